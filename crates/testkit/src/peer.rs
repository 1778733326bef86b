use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A listener on a port that the system chooses.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Two ends of one connection over the loopback device.
pub async fn tcp_pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listen().await;
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}

/// An address that refuses connections for as long as `TcpListener` is not listened on again: it was
/// bound a moment ago, and the system gives such a port to nobody else soon.
pub async fn refused_address() -> SocketAddr {
    let (listener, address) = listen().await;
    drop(listener);
    address
}

/// Serves each connection in a task of its own; dropping it ends them all.
#[derive(Debug)]
pub(crate) struct Serving(JoinHandle<()>);

impl Serving {
    pub(crate) fn start<F>(
        listener: TcpListener,
        mut serve: impl FnMut(TcpStream) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _peer)) = listener.accept().await {
                connections.spawn(serve(stream));
                while connections.try_join_next().is_some() {}
            }
        }))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}
