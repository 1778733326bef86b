use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::JoinHandle,
};

/// Datagrams with where they came from.
type Seen = Arc<Mutex<Vec<(SocketAddr, Vec<u8>)>>>;

/// Sends datagrams back to where they came from, and remembers where that was.
#[derive(Debug)]
pub struct UdpEcho {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Seen,
    serving: JoinHandle<()>,
}

impl UdpEcho {
    /// Starts one on 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST)).await
    }

    /// Starts one on another address of this machine.
    pub async fn start_at(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let seen = Seen::default();
        let serving = tokio::spawn({
            let seen = seen.clone();
            async move {
                let mut buffer = vec![0; 65_536];
                // An error is about an answer that nobody took.
                loop {
                    let Ok((count, source)) = socket.recv_from(&mut buffer).await else { continue };
                    let datagram = buffer.iter().take(count).copied().collect();
                    seen.lock().unwrap().push((source, datagram));
                    let _gone = socket.send_to(&buffer[..count], source).await;
                }
            }
        });
        Self { address, seen, serving }
    }

    /// Where datagrams came from, and what they were, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Grants a SOCKS5 association and carries IPv4 datagrams for it while `carries` says so, until the
/// client closes `control`.
pub(crate) async fn relay_datagrams(
    mut control: TcpStream,
    carries: impl Fn() -> bool + Send,
) -> std::io::Result<()> {
    let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut reply = vec![5, 0, 0, 1, 127, 0, 0, 1];
    reply.extend_from_slice(&near.local_addr()?.port().to_be_bytes());
    control.write_all(&reply).await?;
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    let mut client = None;
    let mut headers: HashMap<SocketAddr, Vec<u8>> = HashMap::new();
    loop {
        tokio::select! {
            read = control.read_u8() => {
                if read.is_err() {
                    return Ok(());
                }
            }
            Ok((count, source)) = near.recv_from(&mut up) => {
                client = Some(source);
                if let Some((header, target)) = target_of(&up[..count]).filter(|_| carries()) {
                    headers.insert(target, header.to_vec());
                    far.send_to(&up[header.len()..count], target).await?;
                }
            }
            Ok((count, source)) = far.recv_from(&mut down) => {
                if let (Some(header), Some(client), true) = (headers.get(&source), client, carries()) {
                    near.send_to(&[header, &down[..count]].concat(), client).await?;
                }
            }
        }
    }
}

/// The header of a datagram to an IPv4 address, and that address.
fn target_of(datagram: &[u8]) -> Option<(&[u8], SocketAddr)> {
    let header = datagram.get(..10).filter(|header| header[..4] == [0, 0, 0, 1])?;
    let ip = Ipv4Addr::new(header[4], header[5], header[6], header[7]);
    Some((header, SocketAddr::from((ip, u16::from_be_bytes([header[8], header[9]])))))
}
