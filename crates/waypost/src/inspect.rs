use std::{io::IsTerminal as _, net::SocketAddr, path::Path, process::ExitCode};

use anyhow::Context as _;
use serde_json::{Value, json};
use waypost_config::Severity;
use waypost_proxy::{
    explain::explain_with_lookups,
    net::{Flow, Tag},
    simulate,
};
use waypost_service::{
    LogFormat, Outcome, Remote, RemoteAnswer, assets, load_files, remote, report, write_stderr,
};

use crate::{
    EXIT_ERRORS,
    arguments::{Check, Explain, Simulate},
    print,
};

/// Runs a configuration, or talks to a program that does.
pub(crate) fn service(command: &waypost_service::Command) -> anyhow::Result<ExitCode> {
    match waypost_service::command(command)? {
        Outcome::Done(text) => print(&text),
        Outcome::Wrong => Ok(ExitCode::from(EXIT_ERRORS)),
    }
}

/// Reports every problem; the exit code tells whether the configuration can run.
pub(crate) fn check(arguments: &Check) -> anyhow::Result<ExitCode> {
    let paths = [&*arguments.file.config, &*arguments.paths].concat();
    let (source, loaded) = load_files(&paths, &arguments.file)?;
    let (errors, warnings) = (loaded.count(Severity::Error), loaded.count(Severity::Warning));
    match arguments.format {
        LogFormat::Text => {
            report(&source, &loaded)?;
            // Scripts take silence for consent; somebody who looks on wants to be told.
            if errors + warnings == 0 && !std::io::stdout().is_terminal() {
                return Ok(ExitCode::SUCCESS);
            }
            let verdict = if errors == 0 { "can run" } else { "cannot run" };
            print(&format!("{}: {verdict} (errors: {errors}, warnings: {warnings})\n", source.name()))?;
        }
        LogFormat::Json => drop(print(&format!("{:#}\n", loaded.to_json(&source)))?),
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_ERRORS) })
}

/// Decides about one connection that is only thought of. Names are looked up for real.
pub(crate) fn explain(arguments: &Explain) -> anyhow::Result<ExitCode> {
    if let Some(remote) = remote(&arguments.remote)? {
        return explain_live(arguments, &remote);
    }
    let (source, loaded) = load_files(&arguments.file.config, &arguments.file)?;
    if loaded.ready.is_none() || !arguments.json {
        report(&source, &loaded)?;
    }
    let Some(ready) = loaded.ready else { return Ok(ExitCode::from(EXIT_ERRORS)) };
    let flow = Flow {
        source: arguments.source.map(|ip| SocketAddr::new(ip, arguments.source_port.unwrap_or(0))),
        inbound: arguments.inbound.as_deref().map(Tag::from),
        user: arguments.user.as_deref().map(Into::into),
        protocol: arguments.protocol.clone().map(Into::into),
        ..Flow::new(arguments.network, arguments.target.clone())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    #[expect(clippy::disallowed_methods, reason = "the binary is where randomness comes from")]
    let explained = explain_with_lookups(ready.snapshot, &flow, &runtime, &mut rand::rng())?;
    if arguments.json {
        return print(&format!("{:#}\n", explained.to_json(&flow)));
    }
    print(&format!("{} to {}\n{explained}", flow.network, flow.target))
}

/// Has a program that runs decide, with all that it knows of its members.
fn explain_live(arguments: &Explain, remote: &Remote) -> anyhow::Result<ExitCode> {
    let source = arguments.source.map(|ip| SocketAddr::new(ip, arguments.source_port.unwrap_or(0)));
    let answer = remote.explain(&json!({
        "target": arguments.target.to_string(), "network": arguments.network.as_str(),
        "source": source.map(|source| source.to_string()), "inbound": arguments.inbound,
        "user": arguments.user, "protocol": arguments.protocol,
    }))?;
    let explained = match answer {
        RemoteAnswer::Done(explained) => explained,
        RemoteAnswer::Refused(why) => anyhow::bail!("{}: {why}", remote.address),
    };
    match explained.get("text").and_then(Value::as_str) {
        Some(text) if !arguments.json => {
            print(&format!("{} to {}\n{text}", arguments.network, arguments.target))
        }
        Some(_) | None => print(&format!("{explained:#}\n")),
    }
}

/// Looks into files of lists, or makes them.
pub(crate) fn files(command: &waypost_inspect::Command) -> anyhow::Result<ExitCode> {
    #[expect(clippy::disallowed_methods, reason = "the binary is where the environment is read")]
    let outcome = waypost_inspect::run(command, &assets(None), &|name| std::env::var(name).ok())?;
    write_stderr(&outcome.notes)?;
    print(&outcome.text)?;
    Ok(if outcome.failed { ExitCode::from(EXIT_ERRORS) } else { ExitCode::SUCCESS })
}

/// Runs a group against a script.
pub(crate) fn simulate(arguments: Simulate) -> anyhow::Result<ExitCode> {
    let Simulate { trace, file, group, seed, plot, json } = arguments;
    let (source, loaded) = load_files(&file.config, &file)?;
    report(&source, &loaded)?;
    let Some(ready) = loaded.ready else { return Ok(ExitCode::from(EXIT_ERRORS)) };
    let path = |path: &Path| format!("`{}`", path.display());
    let text = std::fs::read_to_string(&trace).with_context(|| path(&trace))?;
    let outcome = simulate::simulate(ready.snapshot, &group, &text, seed).with_context(|| path(&trace))?;
    if let Some(plot) = plot {
        std::fs::write(&plot, simulate::plot(&outcome)?).with_context(|| path(&plot))?;
    }
    print(&if json { outcome.to_json() } else { outcome.to_string() })
}
