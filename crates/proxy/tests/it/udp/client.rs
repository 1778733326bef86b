//! A SOCKS5 client for datagrams that can also do what no client should.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use waypost_wire::UdpDatagram;

pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// An association with the proxy.
pub(super) struct Associated {
    pub(super) control: TcpStream,
    pub(super) relay: SocketAddr,
    pub(super) socket: UdpSocket,
}

/// Asks for an association; the claimed address goes into the request. `Err` is the reply's code.
pub(super) async fn request(
    proxy: SocketAddr,
    claimed: SocketAddr,
    login: Option<(&str, &str)>,
) -> Result<(TcpStream, SocketAddr), u8> {
    let mut control = TcpStream::connect(proxy).await.unwrap();
    let mut hello = [0; 2];
    match login {
        None => {
            control.write_all(&[5, 1, 0]).await.unwrap();
            control.read_exact(&mut hello).await.unwrap();
        }
        Some((user, password)) => {
            let length = |text: &str| u8::try_from(text.len()).unwrap();
            let mut credentials = vec![5, 1, 2, 1, length(user)];
            credentials.extend_from_slice(user.as_bytes());
            credentials.push(length(password));
            credentials.extend_from_slice(password.as_bytes());
            control.write_all(&credentials).await.unwrap();
            control.read_exact(&mut hello).await.unwrap();
            control.read_exact(&mut hello).await.unwrap();
        }
    }
    let address = UdpDatagram::header_from(claimed);
    control.write_all(&[&[5, 3, 0], &address[3..]].concat()).await.unwrap();
    let mut reply = [0; 10];
    control.read_exact(&mut reply).await.unwrap();
    if reply[1] != 0 {
        return Err(reply[1]);
    }
    assert_eq!(reply[..4], [5, 0, 0, 1]);
    let ip = Ipv4Addr::new(reply[4], reply[5], reply[6], reply[7]);
    Ok((control, SocketAddr::from((ip, u16::from_be_bytes([reply[8], reply[9]])))))
}

impl Associated {
    pub(super) async fn open(proxy: SocketAddr) -> Self {
        Self::open_as(proxy, None).await
    }

    pub(super) async fn open_as(proxy: SocketAddr, login: Option<(&str, &str)>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (control, relay) = request(proxy, "0.0.0.0:0".parse().unwrap(), login).await.unwrap();
        Self { control, relay, socket }
    }

    pub(super) async fn send(&self, target: &str, payload: &[u8]) {
        let header = UdpDatagram::header_to(&target.parse().unwrap());
        self.send_raw(&[&header, payload].concat()).await;
    }

    pub(super) async fn send_raw(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.relay).await.unwrap();
    }

    /// The next datagram: who it is from, and what it says.
    pub(super) async fn receive(&self) -> (String, Vec<u8>) {
        timeout(LIMIT, receive(&self.socket)).await.expect("a datagram in time")
    }

    /// Sends and waits for the answer, which has to come from the target.
    pub(super) async fn ask(&self, target: &str, payload: &[u8]) -> Vec<u8> {
        self.send(target, payload).await;
        let (source, answer) = self.receive().await;
        assert_eq!(source, target);
        answer
    }

    /// Checks that nothing more has come, by asking something whose answer would come after it.
    pub(super) async fn expect_silence(&self, echo: SocketAddr) {
        assert_eq!(self.ask(&echo.to_string(), b"marker").await, b"marker");
    }
}

pub(super) async fn receive(socket: &UdpSocket) -> (String, Vec<u8>) {
    let mut buffer = vec![0; 65_536];
    let (count, _) = socket.recv_from(&mut buffer).await.unwrap();
    let datagram = UdpDatagram::parse(&buffer[..count]).unwrap();
    (datagram.target().unwrap().to_string(), datagram.payload.to_vec())
}
