use std::{net::SocketAddr, process::ExitCode};

use waypost_proxy::{
    explain::explain as explain_flow,
    net::{Flow, Tag},
};

use crate::{
    EXIT_ERRORS, arguments,
    load::{load_file, report},
    print,
};

/// Decides about one connection that is only thought of. Names are looked up for real.
pub(crate) fn explain(arguments: &arguments::Explain) -> anyhow::Result<ExitCode> {
    let (source, loaded) = load_file(arguments.file.config.as_deref(), &arguments.file)?;
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
    let snapshot = &ready.snapshot;
    let resolve = |name: &_| {
        let lookup = snapshot.resolver().resolve(name, snapshot.family());
        runtime.block_on(lookup).map_err(|error| error.to_string())
    };
    #[expect(clippy::disallowed_methods, reason = "the binary is where randomness comes from")]
    let explained = explain_flow(snapshot, &flow, resolve, &mut rand::rng());
    if arguments.json {
        return print(&format!("{:#}\n", explained.to_json(&flow)));
    }
    print(&format!("{} to {}\n{explained}", flow.network, flow.target))
}
