//! Servers that answer as a test says.

use std::{
    collections::HashMap,
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_proto::{
    op::{Message, Metadata, ResponseCode},
    rr::{
        Name, RData, Record,
        rdata::{A, AAAA, CNAME, SOA},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
};
pub(crate) use waypost_dns::Stream;
use waypost_dns::{
    Datagrams, Destination, Fallback, Hosts, LookupFuture, NamesBuilder, Network, NetworkFuture, Protocol,
    Resolver, ServerAddress, ServerSpec, ServersSpec, SystemLookup, Way,
};
use waypost_net::{DomainName, Target};

/// A query as a server sees it.
pub(crate) struct Asked {
    pub(crate) to: Destination,
    pub(crate) message: Message,
    pub(crate) in_stream: bool,
}

/// What a server sends for a query: messages one after the other.
pub(crate) type Script = dyn Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync;

/// A network with these servers and nobody else.
#[derive(Default)]
pub(crate) struct World {
    servers: Mutex<HashMap<Target, Arc<Script>>>,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Mutex<usize>,
    delay: Mutex<Duration>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    /// A server with a script; `address` is an address or a name, the port is 53.
    pub(crate) fn serve(
        &self,
        address: &str,
        script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) {
        self.servers.lock().unwrap().insert(target(address), Arc::new(script));
    }

    /// A server with one answer to everything.
    pub(crate) fn serve_always(
        &self,
        address: &str,
        answer: impl Fn(Response) -> Response + Send + Sync + 'static,
    ) {
        self.serve(address, move |asked| vec![answer(asked.response()).bytes()]);
    }

    /// A server whose answers to datagrams take a while.
    pub(crate) fn serve_after(
        &self,
        address: &str,
        delay: Duration,
        answer: impl Fn(Response) -> Response + Send + Sync + 'static,
    ) {
        self.serve_always(address, answer);
        *self.delay.lock().unwrap() = delay;
    }

    /// What was asked since the last call: `SERVER NAME TYPE`, with `stream` behind it where it was one.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// How many streams were opened.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    fn script(&self, to: &Destination) -> io::Result<Arc<Script>> {
        let found = self.servers.lock().unwrap().get(&to.target).cloned();
        found.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }
}

fn replies(seen: &Mutex<Vec<String>>, script: &Script, asked: &Asked) -> Vec<Vec<u8>> {
    let question = asked.message.queries.first().unwrap();
    let name = question.name().to_ascii();
    let suffix = if asked.in_stream { " stream" } else { "" };
    let line =
        format!("{} {} {}{suffix}", asked.to.target.host, name.trim_end_matches('.'), question.query_type());
    seen.lock().unwrap().push(line);
    script(asked)
}

impl Network for World {
    fn stream<'a>(&'a self, to: &'a Destination) -> NetworkFuture<'a, Box<dyn Stream>> {
        Box::pin(async move {
            let script = self.script(to)?;
            *self.connections.lock().unwrap() += 1;
            let (near, far) = duplex(1 << 16);
            tokio::spawn(converse(far, to.clone(), script, self.seen.clone()));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }

    fn datagrams<'a>(&'a self, to: &'a Destination) -> NetworkFuture<'a, Option<Box<dyn Datagrams>>> {
        Box::pin(async move {
            let (sender, receiver) = mpsc::unbounded_channel();
            let socket = Socket {
                to: to.clone(),
                script: self.script(to)?,
                seen: self.seen.clone(),
                delay: *self.delay.lock().unwrap(),
                sender,
                receiver: tokio::sync::Mutex::new(receiver),
            };
            Ok(Some(Box::new(socket) as Box<dyn Datagrams>))
        })
    }
}

async fn converse(
    mut stream: DuplexStream,
    to: Destination,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    while let Ok(length) = stream.read_u16().await {
        let mut bytes = vec![0; length.into()];
        stream.read_exact(&mut bytes).await.unwrap();
        let asked = Asked { to: to.clone(), message: Message::from_vec(&bytes).unwrap(), in_stream: true };
        for reply in replies(&seen, &*script, &asked) {
            // An empty message stands for the end of the connection.
            if reply.is_empty() {
                return;
            }
            stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    }
}

struct Socket {
    to: Destination,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<String>>>,
    delay: Duration,
    sender: mpsc::UnboundedSender<Vec<u8>>,
    receiver: tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl Datagrams for Socket {
    fn send<'a>(&'a self, datagram: &'a [u8]) -> NetworkFuture<'a, ()> {
        Box::pin(async move {
            let message = Message::from_vec(datagram).unwrap();
            let asked = Asked { to: self.to.clone(), message, in_stream: false };
            for reply in replies(&self.seen, &*self.script, &asked) {
                self.sender.send(reply).unwrap();
            }
            Ok(())
        })
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> NetworkFuture<'a, usize> {
        Box::pin(async move {
            let datagram = self.receiver.lock().await.recv().await.unwrap();
            tokio::time::sleep(self.delay).await;
            let length = datagram.len().min(buffer.len());
            buffer[..length].copy_from_slice(&datagram[..length]);
            Ok(length)
        })
    }
}

/// An answer in the making.
pub(crate) struct Response(pub(crate) Message);

impl Asked {
    /// A query that came in a real socket.
    pub(crate) fn of(message: Message) -> Self {
        let to =
            Destination { target: target("127.0.0.1"), way: Way::Direct, network: waypost_net::Network::Udp };
        Self { to, message, in_stream: false }
    }

    /// An answer without records.
    pub(crate) fn response(&self) -> Response {
        let query = &self.message;
        let mut message = Message::response(query.metadata.id, query.metadata.op_code);
        message.metadata = Metadata::response_from_request(&query.metadata);
        message.add_queries(query.queries.iter().cloned());
        Response(message)
    }

    pub(crate) fn name(&self) -> String {
        self.message.queries.first().unwrap().name().to_ascii().trim_end_matches('.').to_owned()
    }

    pub(crate) fn is_for_v6(&self) -> bool {
        self.message.queries.first().unwrap().query_type() == hickory_proto::rr::RecordType::AAAA
    }
}

impl Response {
    /// Adds an address of the name in the question, if it is of the kind that is asked for.
    pub(crate) fn address(self, ttl: u32, address: &str) -> Self {
        let name = self.0.queries.first().unwrap().name().to_ascii();
        self.address_of(&name, ttl, address)
    }

    pub(crate) fn address_of(mut self, name: &str, ttl: u32, address: &str) -> Self {
        let data = match address.parse().unwrap() {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        if data.record_type() == self.0.queries.first().unwrap().query_type() {
            self.0.add_answer(Record::from_rdata(wire(name), ttl, data));
        }
        self
    }

    pub(crate) fn alias(mut self, name: &str, ttl: u32, target: &str) -> Self {
        self.0.add_answer(Record::from_rdata(wire(name), ttl, RData::CNAME(CNAME(wire(target)))));
        self
    }

    /// Says for how long there is nothing.
    pub(crate) fn soa(mut self, ttl: u32, minimum: u32) -> Self {
        let soa = SOA::new(wire("ns.test"), wire("admin.test"), 1, 1, 1, 1, minimum);
        self.0.add_authority(Record::from_rdata(wire("test"), ttl, RData::SOA(soa)));
        self
    }

    pub(crate) fn code(mut self, code: ResponseCode) -> Self {
        self.0.metadata.response_code = code;
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.to_vec().unwrap()
    }
}

pub(crate) fn wire(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}

pub(crate) fn name(text: &str) -> DomainName {
    DomainName::new(text).unwrap()
}

pub(crate) fn target(address: &str) -> Target {
    Target::new(waypost_net::Host::parse(address).unwrap(), 53)
}

/// A server of this address, asked in datagrams.
pub(crate) fn udp(address: &str) -> ServerSpec {
    remote(address, Protocol::Udp)
}

/// A server of this address, asked in streams.
pub(crate) fn tcp(address: &str) -> ServerSpec {
    remote(address, Protocol::Tcp)
}

pub(crate) fn remote(address: &str, protocol: Protocol) -> ServerSpec {
    ServerSpec::new(ServerAddress::Remote { protocol, target: target(address), way: Way::Direct })
}

/// A system that knows `system.test` and the names of servers, and nothing else.
#[derive(Debug)]
struct System;

impl SystemLookup for System {
    fn lookup<'a>(&'a self, name: &'a str) -> LookupFuture<'a> {
        Box::pin(async move {
            match name {
                "system.test" => Ok(vec!["192.0.2.200".parse().unwrap()]),
                "dns.test" => Ok(vec!["192.0.2.1".parse().unwrap()]),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }
}

/// A resolver that asks these servers.
pub(crate) fn resolver(world: &Arc<World>, servers: Vec<ServerSpec>) -> Resolver {
    resolver_with(world, servers, Fallback::Always, |_| {})
}

/// A resolver that asks these servers, some of them for certain names first.
pub(crate) fn resolver_with<'n>(
    world: &Arc<World>,
    servers: Vec<ServerSpec>,
    fallback: Fallback,
    give_names: impl FnOnce(&mut NamesBuilder<'n>),
) -> Resolver {
    let mut names = NamesBuilder::default();
    give_names(&mut names);
    let spec = ServersSpec {
        servers,
        names: names.build().unwrap(),
        fallback,
        chooser: None,
        network: world.clone(),
        roots: None,
    };
    Resolver::with_lookup(Hosts::default(), Arc::new(System)).with_servers(spec).unwrap()
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What a look-up comes to, in one line.
pub(crate) async fn look_up(resolver: &Resolver, text: &str, family: waypost_dns::Family) -> String {
    match resolver.resolve(&name(text), family).await {
        Ok(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            format!("{error}{}", source.unwrap_or_default())
        }
    }
}
