use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep},
};
use waypost_net::{Host, Target};

use crate::{
    peer::{Serving, listen},
    udp::relay_datagrams,
};

const UDP_ASSOCIATE: u8 = 3;

/// What a [`Socks5Node`] does with a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Connects to the target and carries bytes; datagrams, too.
    Relay,
    /// Connects to the target and carries bytes, and refuses datagrams as unknown.
    ConnectOnly,
    /// Connects to the target after a while, and carries bytes.
    Slow(Duration),
    /// Grants every request, sends its label and closes.
    Label,
    /// Grants every request and says nothing more, whatever comes.
    GrantThenSilent,
    /// Grants every request, and resets the connection when something comes.
    GrantThenReset,
    /// Grants every request, and closes the connection when something has come.
    GrantThenClose,
    /// Answers every request with this code.
    Refuse(u8),
    /// Accepts connections and says nothing.
    HangAfterAccept,
    /// Chooses a method and says nothing more.
    HangAfterMethod,
    /// Answers with bytes that are no SOCKS.
    Garbage,
    /// Closes connections as soon as they are made.
    Close,
}

/// A request that came in, but for those that are granted as associations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What was asked for.
    pub target: Target,
    /// When.
    pub at: Instant,
}

/// An upstream SOCKS5 server without authentication that remembers what it was asked for.
#[derive(Debug)]
pub struct Socks5Node {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
    behaviour: watch::Sender<Behaviour>,
    _serving: Serving,
}

#[derive(Debug)]
struct State {
    label: Box<str>,
    accepted: AtomicUsize,
    associated: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
}

impl Socks5Node {
    /// Starts one.
    pub async fn start(label: &str, behaviour: Behaviour) -> Self {
        let (listener, address) = listen().await;
        let state = Arc::new(State {
            label: label.into(),
            accepted: AtomicUsize::new(0),
            associated: AtomicUsize::new(0),
            seen: Mutex::new(Vec::new()),
        });
        let (behaviour, current) = watch::channel(behaviour);
        let serving = Serving::start(listener, {
            let state = state.clone();
            move |stream| {
                state.accepted.fetch_add(1, Ordering::Relaxed);
                let (state, behaviour, current) = (state.clone(), *current.borrow(), current.clone());
                async move {
                    // A client that goes away, or breaks off, ends its connection only.
                    let _gone = serve(stream, &state, behaviour, current).await;
                }
            }
        });
        Self { address, state, behaviour, _serving: serving }
    }

    /// Changes what it does with the clients to come.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    /// The requests that came in, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How many associations for datagrams were granted.
    #[must_use]
    pub fn associated(&self) -> usize {
        self.state.associated.load(Ordering::Relaxed)
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::Relaxed)
    }
}

async fn serve(
    mut stream: TcpStream,
    state: &State,
    behaviour: Behaviour,
    current: watch::Receiver<Behaviour>,
) -> std::io::Result<()> {
    match behaviour {
        Behaviour::Close => return Ok(()),
        Behaviour::HangAfterAccept => return hang(stream).await,
        Behaviour::Garbage => {
            stream.write_all(b"SSH-2.0-not-a-proxy\r\n").await?;
            return stream.shutdown().await;
        }
        Behaviour::Slow(delay) => sleep(delay).await,
        Behaviour::Relay
        | Behaviour::ConnectOnly
        | Behaviour::Label
        | Behaviour::GrantThenSilent
        | Behaviour::GrantThenReset
        | Behaviour::GrantThenClose
        | Behaviour::Refuse(_)
        | Behaviour::HangAfterMethod => {}
    }
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await?;
    stream.read_exact(&mut vec![0; greeting[1].into()]).await?;
    stream.write_all(&[5, 0]).await?;
    let (command, target) = read_request(&mut stream).await?;
    if command == UDP_ASSOCIATE && behaviour == Behaviour::Relay {
        state.associated.fetch_add(1, Ordering::Relaxed);
        return relay_datagrams(stream, || *current.borrow() == Behaviour::Relay).await;
    }
    state.seen.lock().unwrap().push(Seen { target: target.clone(), at: Instant::now() });
    match behaviour {
        Behaviour::ConnectOnly if command == UDP_ASSOCIATE => reply(&mut stream, 7).await,
        Behaviour::Refuse(code) => {
            reply(&mut stream, code).await?;
            stream.shutdown().await
        }
        Behaviour::Label => {
            reply(&mut stream, 0).await?;
            stream.write_all(state.label.as_bytes()).await?;
            stream.shutdown().await
        }
        Behaviour::GrantThenSilent => {
            reply(&mut stream, 0).await?;
            hang(stream).await
        }
        Behaviour::GrantThenReset => {
            reply(&mut stream, 0).await?;
            stream.read_u8().await?;
            stream.set_zero_linger()
        }
        Behaviour::GrantThenClose => {
            reply(&mut stream, 0).await?;
            stream.read_u8().await?;
            stream.shutdown().await?;
            hang(stream).await
        }
        Behaviour::Relay | Behaviour::ConnectOnly | Behaviour::Slow(_) => {
            match TcpStream::connect((target.host.to_string(), target.port)).await {
                Ok(mut upstream) => {
                    reply(&mut stream, 0).await?;
                    copy_bidirectional(&mut stream, &mut upstream).await.map(|_bytes| ())
                }
                Err(_refused) => reply(&mut stream, 5).await,
            }
        }
        Behaviour::HangAfterMethod | Behaviour::HangAfterAccept | Behaviour::Garbage | Behaviour::Close => {
            hang(stream).await
        }
    }
}

/// Keeps the connection open until the client closes it.
async fn hang(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn reply(stream: &mut TcpStream, code: u8) -> std::io::Result<()> {
    stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

/// The command and its target.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<(u8, Target)> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let host = match head[3] {
        1 => Host::from(std::net::IpAddr::V4(Ipv4Addr::from_bits(stream.read_u32().await?))),
        4 => Host::from(std::net::IpAddr::V6(Ipv6Addr::from_bits(stream.read_u128().await?))),
        _ => {
            let mut name = vec![0; stream.read_u8().await?.into()];
            stream.read_exact(&mut name).await?;
            Host::parse(std::str::from_utf8(&name).expect("a name in ascii")).expect("a valid name")
        }
    };
    Ok((head[1], Target::new(host, stream.read_u16().await?)))
}
