//! A proxy with its API, and clients of both.

use std::{
    net::SocketAddr,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status, Streaming,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use waypost_config::{Options, Source, UnknownKeys};
use waypost_grpc::{Exposure, GrpcApi, GrpcServices, RestartLogger, proto::waypost::common::TypedMessage};
use waypost_proxy::{
    BoundAddress, Control, Proxy, Reading, Workers,
    build::{Assets, load},
};

/// Whatever takes longer hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) const ALL: GrpcServices = GrpcServices {
    routing: true,
    stats: true,
    handler: true,
    logger: true,
    observatory: true,
    reflection: true,
};

/// Inbounds with and without login, three ways out, one rule and one balancer.
pub(crate) const CONFIG: &str = r#"{
    "stats": {},
    "policy": {"system": {
        "statsInboundUplink": true, "statsInboundDownlink": true,
        "statsOutboundUplink": true, "statsOutboundDownlink": true
    }},
    "inbounds": [
        {"tag": "in", "protocol": "socks", "listen": "127.0.0.1", "port": 0},
        {"tag": "login", "protocol": "socks", "listen": "127.0.0.1", "port": 0, "settings": {
            "auth": "password",
            "accounts": [{"user": "ann", "pass": "a"}, {"user": "bob", "pass": "b"}]
        }},
        {"tag": "door", "protocol": "dokodemo-door", "listen": "127.0.0.1", "port": 0, "settings": {"address": "127.0.0.1", "port": 9}}
    ],
    "outbounds": [
        {"tag": "direct", "protocol": "freedom"},
        {"tag": "block", "protocol": "blackhole"},
        {"tag": "a1", "protocol": "freedom"},
        {"tag": "a2", "protocol": "freedom"}
    ],
    "routing": {
        "rules": [
            {"ruleTag": "bad", "domain": ["full:bad.example"], "outboundTag": "block"},
            {"ruleTag": "many", "domain": ["full:many.example"], "balancerTag": "lb"},
            {"ruleTag": "ann", "inboundTag": ["login"], "user": ["ann"], "outboundTag": "a1"}
        ],
        "balancers": [{"tag": "lb", "selector": ["a"]}]
    }
}"#;

/// A running proxy and its API.
pub(crate) struct World {
    pub(crate) control: Control,
    pub(crate) api: GrpcApi,
    pub(crate) address: SocketAddr,
    pub(crate) channel: Channel,
    pub(crate) n_restarts: Arc<AtomicUsize>,
    stop: CancellationToken,
    _proxy: Proxy,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(crate) async fn start(config: &str) -> Self {
        Self::with(config, ALL).await
    }

    pub(crate) async fn with(config: &str, services: GrpcServices) -> Self {
        let source = Source::new("config.json", config).unwrap();
        let assets = Assets::new(None, &|_| None);
        let loaded = load(&source, &Options::default(), &assets);
        let ready = loaded.ready.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
        let proxy = Proxy::launch(Workers::current(), ready).await.unwrap();
        let control = proxy.control();
        let reading = Reading {
            paths: Vec::new(),
            unknown_keys: UnknownKeys::Error,
            assets,
            env: |_| None,
            confined_to: None,
        };
        let n_restarts = Arc::new(AtomicUsize::new(0));
        let counter = n_restarts.clone();
        let logger = RestartLogger::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let api = GrpcApi::new(&control, reading, services, logger);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, serving) = (CancellationToken::new(), api.clone());
        let until = stop.clone();
        tokio::spawn(async move { serving.serve(listener, Exposure::Loopback, until).await.unwrap() });
        let channel = connect(address).await;
        Self { control, api, address, channel, n_restarts, stop, _proxy: proxy }
    }

    /// Calls a method of a service, such as `v2ray.core.app.stats.command.StatsService/GetStats`.
    pub(crate) async fn call<Q, A>(&self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        call(&self.channel, method, request).await
    }

    /// Calls a method of a service that answers with a stream.
    pub(crate) async fn stream<Q, A>(&self, method: &str, request: Q) -> Result<Streaming<A>, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let answer =
            client.server_streaming(Request::new(request), path(method), ProstCodec::<Q, A>::default());
        Ok(tokio::time::timeout(LIMIT, answer).await.expect("in time")?.into_inner())
    }

    /// Where an inbound listens; `None` if there is none of this tag.
    pub(crate) fn inbound(&self, tag: &str) -> Option<SocketAddr> {
        let addresses = self.control.addresses();
        let found = addresses.iter().find(|address| address.inbound.as_deref() == Some(tag))?;
        match &found.address {
            BoundAddress::Ip(address) => Some(*address),
            other => panic!("{other:?}"),
        }
    }

    /// The tags of the outbounds in force.
    pub(crate) fn outbounds(&self) -> Vec<String> {
        let config = self.control.config();
        config.outbounds.iter().map(|one| one.tag.as_ref().unwrap().value.to_string()).collect()
    }
}

pub(crate) async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

pub(crate) async fn call<Q, A>(channel: &Channel, method: &str, request: Q) -> Result<A, Status>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let answer = client.unary(Request::new(request), path(method), ProstCodec::<Q, A>::default());
    Ok(tokio::time::timeout(LIMIT, answer).await.expect("in time")?.into_inner())
}

fn path(method: &str) -> PathAndQuery {
    PathAndQuery::from_str(&format!("/{method}")).unwrap()
}

/// A configuration under its full name.
pub(crate) fn typed(name: &str, message: &impl Message) -> Option<TypedMessage> {
    Some(TypedMessage { r#type: name.to_owned(), value: message.encode_to_vec() })
}

/// The code and the message of a refusal.
#[track_caller]
pub(crate) fn refused<A: std::fmt::Debug>(answer: Result<A, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    (status.code(), status.message().to_owned())
}

/// Opens a connection through a SOCKS inbound; the answer of the proxy if it refuses.
pub(crate) async fn socks(
    inbound: SocketAddr,
    login: Option<(&str, &str)>,
    target: &str,
) -> Result<TcpStream, u8> {
    let (host, port) = target.rsplit_once(':').unwrap();
    let mut stream = TcpStream::connect(inbound).await.unwrap();
    let method = if login.is_some() { 2 } else { 0 };
    stream.write_all(&[5, 1, method]).await.unwrap();
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await.unwrap();
    if chosen != [5, method] {
        return Err(chosen[1]);
    }
    if let Some((user, password)) = login {
        let mut message = vec![1, u8::try_from(user.len()).unwrap()];
        message.extend(user.bytes());
        message.push(u8::try_from(password.len()).unwrap());
        message.extend(password.bytes());
        stream.write_all(&message).await.unwrap();
        stream.read_exact(&mut chosen).await.unwrap();
        if chosen[1] != 0 {
            return Err(chosen[1]);
        }
    }
    let mut request = vec![5, 1, 0, 3, u8::try_from(host.len()).unwrap()];
    request.extend(host.bytes());
    request.extend(port.parse::<u16>().unwrap().to_be_bytes());
    stream.write_all(&request).await.unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).await.unwrap();
    if answer[1] == 0 { Ok(stream) } else { Err(answer[1]) }
}

/// Sends bytes that come back.
pub(crate) async fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, bytes);
}
