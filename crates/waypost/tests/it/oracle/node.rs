//! Nodes behind outbounds: SOCKS5 servers that stand for every target and name themselves.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

/// One upstream node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Node {
    /// Starts a node whose answers begin with `label`.
    pub(crate) async fn start(label: &str) -> Self {
        let label: Arc<str> = label.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let datagram_port = datagrams.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(answer_datagrams(datagrams, label.clone()));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let label = label.clone();
                connections.spawn(async move {
                    // A client that goes away ends its own connection only.
                    let _gone = serve(stream, &label, datagram_port).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, _tasks: tasks }
    }
}

async fn serve(mut stream: TcpStream, label: &str, datagram_port: u16) -> io::Result<()> {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await?;
    stream.read_exact(&mut vec![0; greeting[1].into()]).await?;
    stream.write_all(&[5, 0]).await?;
    let mut head = [0; 3];
    stream.read_exact(&mut head).await?;
    let mut target = Vec::new();
    read_address(&mut stream, &mut target).await?;
    let [high, low] = datagram_port.to_be_bytes();
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, high, low]).await?;
    let target = show_address(&target).ok_or(io::ErrorKind::InvalidData)?.0;
    if head[1] == 1 {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        let body = format!("{label} {target}");
        let response =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await?;
    }
    // An association lasts as long as its connection; a tunnel is drained so that it is not reset.
    let mut rest = [0; 256];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

async fn answer_datagrams(socket: UdpSocket, label: Arc<str>) {
    let mut datagram = vec![0; 2048];
    while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
        let Some((target, end)) = datagram.get(3..length).and_then(show_address) else { continue };
        let mut answer = datagram.get(..3 + end).unwrap_or_default().to_vec();
        answer.extend_from_slice(format!("{label} {target}").as_bytes());
        let _gone = socket.send_to(&answer, from).await;
    }
}

async fn read_address(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let kind = stream.read_u8().await?;
    bytes.push(kind);
    let length = match kind {
        1 => 4,
        4 => 16,
        _ => {
            let length = stream.read_u8().await?;
            bytes.push(length);
            length.into()
        }
    };
    let mut rest = vec![0; length + 2];
    stream.read_exact(&mut rest).await?;
    bytes.extend(rest);
    Ok(())
}

/// The target that an address field names, and the length of the field.
fn show_address(bytes: &[u8]) -> Option<(String, usize)> {
    let (start, length) = match bytes.first()? {
        1 => (1, 4),
        4 => (1, 16),
        _ => (2, usize::from(*bytes.get(1)?)),
    };
    let host = bytes.get(start..start + length)?;
    let host = match (start, host.len()) {
        (1, 4) => IpAddr::from(<[u8; 4]>::try_from(host).ok()?).to_string(),
        (1, _) => format!("[{}]", Ipv6Addr::from(<[u8; 16]>::try_from(host).ok()?)),
        _ => String::from_utf8_lossy(host).into_owned(),
    };
    let end = start + length + 2;
    let port = u16::from_be_bytes(bytes.get(start + length..end)?.try_into().ok()?);
    Some((format!("{host}:{port}"), end))
}
