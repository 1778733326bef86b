use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use waypost_proxy::{Proxy, Workers, build::Ready, level_filter, raise_descriptor_limit};

use crate::{
    EXIT_ERRORS,
    arguments::{LogFormat, Run},
    load::{load_files, report},
};

/// Runs until a signal. Nothing listens before the whole configuration is known to be good.
pub(crate) fn run(arguments: &Run) -> anyhow::Result<ExitCode> {
    let (source, loaded) = load_files(&arguments.file.config, &arguments.file)?;
    report(&source, &loaded)?;
    let Some(ready) = loaded.ready else { return Ok(ExitCode::from(EXIT_ERRORS)) };
    let level = level_filter(arguments.log_level.or(ready.config.log.level));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(ready, Duration::from_secs(arguments.grace)))?;
    // A look-up that the system still works on must not hold the process back.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(ready: Ready, grace: Duration) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let workers = Workers::per_core().context("cannot start threads")?;
    let mut told = async || tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
    let proxy = tokio::select! {
        proxy = Proxy::launch(workers, ready) => proxy.context("cannot start")?,
        () = told() => return Ok(()),
    };
    for listen in proxy.addresses() {
        info!(inbound = listen.inbound.as_deref(), address = %listen.address, "listening");
    }
    told().await;
    info!(connections = proxy.connections().len(), "stopping; a second signal stops at once");
    let connections = proxy.connections().clone();
    tokio::select! { () = proxy.stop(grace) => {}, () = told() => {} }
    for (place, amount) in connections.traffic() {
        info!(%place, up = amount.up, down = amount.down, "traffic");
    }
    Ok(())
}
