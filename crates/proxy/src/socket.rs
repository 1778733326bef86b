//! What the configuration sets on sockets.

use std::{io, net::SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpSocket, TcpStream};
use waypost_config::model::SocketOptions;

/// Connects with the options of an outbound, without delay on small writes.
pub(crate) async fn connect(address: SocketAddr, options: &SocketOptions) -> io::Result<TcpStream> {
    if *options != SocketOptions::default() {
        return Box::pin(connect_with(address, options)).await;
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn connect_with(address: SocketAddr, options: &SocketOptions) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    apply(&SockRef::from(&socket), options)?;
    if options.fast_open.is_some() {
        setsockopt(&socket, sockopt::TcpFastOpenConnect, &true)?;
    }
    if let Some(from) = options.send_through {
        if from.is_ipv4() != address.is_ipv4() {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("`{address}` cannot be reached from {from}, which is of the other family"),
            ));
        }
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    TcpSocket::from_std_stream(socket.into()).connect(address).await
}

/// Sets what is the same for sockets that listen and sockets that connect, but for the local address.
///
/// # Errors
///
/// What the system says of an option, with its name.
pub(crate) fn apply(socket: &SockRef<'_>, options: &SocketOptions) -> io::Result<()> {
    let named = |name: &'static str| {
        move |error: io::Error| io::Error::new(error.kind(), format!("`{name}` cannot be set: {error}"))
    };
    if let Some(mark) = options.mark {
        socket.set_mark(mark).map_err(named("mark"))?;
    }
    if let Some(interface) = &options.interface {
        socket.bind_device(Some(interface.as_bytes())).map_err(named("interface"))?;
    }
    if options.keep_alive_idle.is_some() || options.keep_alive_interval.is_some() {
        let mut keep_alive = TcpKeepalive::new();
        if let Some(idle) = options.keep_alive_idle {
            keep_alive = keep_alive.with_time(idle);
        }
        if let Some(interval) = options.keep_alive_interval {
            keep_alive = keep_alive.with_interval(interval);
        }
        socket.set_tcp_keepalive(&keep_alive).map_err(named("tcpKeepAlive"))?;
    }
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout).map_err(named("tcpUserTimeout"))?;
    }
    if let Some(congestion) = &options.congestion {
        socket.set_tcp_congestion(congestion.as_bytes()).map_err(named("tcpcongestion"))?;
    }
    Ok(())
}
