//! What runs in the processes of the demo: a member and the origin.
//!
//! Each says on standard output where it listens, and ends when its standard input does: that is when
//! the process that started it is gone, however it went.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
    time::sleep,
};
use waypost_config::model::ClientProtocol;
use waypost_proxy::{HandshakeSettings, Opened, Stream, accept_client, bind};

use crate::{DemoError, DemoMember, proxy};

/// A request head that needs more is not of this demo.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// How long the port of a member that was killed may be taken.
const BIND_TRIES: u32 = 20;
const BIND_PAUSE: Duration = Duration::from_millis(100);

/// Has the system kill this process with the one that started it, which also ends one that is frozen.
/// Elsewhere the system wakes a frozen one when its group is orphaned.
pub(crate) fn end_with_parent() -> Result<(), DemoError> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| DemoError::system("to follow the demo to its end")(error.into()))?;
    Ok(())
}

/// Runs a member: a SOCKS server that grants each request after its delay.
pub(crate) async fn member(arguments: &DemoMember) -> Result<(), DemoError> {
    let ready = proxy::load(&proxy::member_configuration(arguments.port))?;
    let Some(inbound) = ready.config.inbounds.first() else { return Ok(()) };
    let settings = HandshakeSettings::try_new(ClientProtocol::Socks, inbound)
        .map_err(waypost_proxy::StartError::from)?;
    let mut tries = 1;
    let listener = loop {
        match bind(inbound, 1) {
            Ok(listeners) => break listeners,
            Err(error) if tries == BIND_TRIES => return Err(error.into()),
            Err(_taken) => sleep(BIND_PAUSE).await,
        }
        tries += 1;
    };
    let Some(listener) = listener.into_iter().flatten().next() else { return Ok(()) };
    let listener = listener.listen().map_err(DemoError::system("to listen"))?;
    let (settings, delay) = (Arc::new(settings), arguments.delay());
    let Some(address) = listener.address().ip() else { return Ok(()) };
    announce(address)?;
    let serving = async {
        loop {
            let (stream, _client) = listener.accept().await;
            let settings = settings.clone();
            tokio::spawn(async move {
                // A client that goes away ends its connection only.
                let _gone = carry(stream, &settings, delay).await;
            });
        }
    };
    until_input_ends(serving).await
}

async fn carry(stream: Stream, settings: &HandshakeSettings, delay: Duration) -> Result<(), DemoError> {
    let failed = DemoError::system("to carry a connection");
    // The demo itself is the only client, and asks for tunnels.
    let Opened::Tunnel(accepted) = accept_client(stream, settings).await? else { return Ok(()) };
    sleep(delay).await;
    let carrying = async {
        let target = (accepted.target.host.to_string(), accepted.target.port);
        let mut target = TcpStream::connect(target).await?;
        let (mut client, rest) = accepted.client.answer_success(target.local_addr()?).await?;
        target.write_all(&rest).await?;
        copy_bidirectional(&mut client, &mut target).await
    };
    carrying.await.map_err(failed).map(|_bytes| ())
}

/// Runs the origin: an HTTP server that answers with the path it was asked for.
pub(crate) async fn origin() -> Result<(), DemoError> {
    let listen = DemoError::system("to listen for the origin");
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let (listener, address) = bound
        .and_then(|listener| listener.local_addr().map(|address| (listener, address)))
        .map_err(listen)?;
    announce(address)?;
    let serving = async {
        loop {
            // Without a free descriptor the next try is as good as this one.
            let Ok((stream, _client)) = listener.accept().await else {
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            tokio::spawn(async move {
                let _gone = answer(stream).await;
            });
        }
    };
    until_input_ends(serving).await
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > MAX_HEAD_BYTES || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split(' ');
    let is_get = words.next() == Some("GET");
    let path = words.next().unwrap_or_default();
    let body = if is_get { path } else { "" };
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", path.len());
    stream.write_all(answer.as_bytes()).await
}

fn announce(address: SocketAddr) -> Result<(), DemoError> {
    let mut output = std::io::stdout();
    let written = writeln!(output, "{}", address.port()).and_then(|()| output.flush());
    written.map_err(DemoError::Output)
}

async fn until_input_ends(serving: impl Future<Output = ()>) -> Result<(), DemoError> {
    let ended = spawn_blocking(|| {
        let mut input = std::io::stdin().lock();
        // An input that cannot be read is at its end, too.
        while input.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
    });
    tokio::select! {
        () = serving => {}
        // Nobody is left who wants to know how.
        _ended = ended => {}
    }
    Ok(())
}
