//! Many streams in one connection, and connections that do not last.

use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    task::JoinSet,
};
use waypost_transport::{
    ClientLayer, ClientTransport, Entered, FirstBytes, GrpcClient, GrpcServer, Moment, ServerLayer,
    ServerTransport, TransportError,
};

use crate::world::{World, client, open_to, open_to_bytes, reason, send_to, server};

/// An answer to a ping may take so long.
const PING_TIMEOUT: Duration = Duration::from_secs(15);

fn our_client() -> ClientTransport {
    client_with(GrpcClient::default())
}

fn client_with(options: GrpcClient) -> ClientTransport {
    client(None, ClientLayer::Grpc(GrpcClient { service_name: "service".to_owned(), ..options }))
}

fn our_server(service_name: &str) -> ServerTransport {
    let service_name = service_name.to_owned();
    server(None, ServerLayer::Grpc(GrpcServer { service_name, ..GrpcServer::default() }))
}

async fn echo(near: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    near.write_all(bytes).await?;
    near.flush().await?;
    let mut echoed = vec![0; bytes.len()];
    near.read_exact(&mut echoed).await?;
    assert!(echoed == bytes);
    Ok(())
}

/// A server that echoes every stream, with what it takes to cut its connections.
struct Echo {
    server: std::sync::Arc<ServerTransport>,
    connections: JoinSet<()>,
}

impl Echo {
    fn new() -> Self {
        Self { server: std::sync::Arc::new(our_server("service")), connections: JoinSet::new() }
    }

    fn connect(&mut self) -> DuplexStream {
        let (near, far) = duplex(64 * 1024);
        let server = self.server.clone();
        self.connections.spawn(async move {
            let Ok(Entered::Many(mut streams)) = server.accept(far).await else { return };
            while let Some(Ok(stream)) = streams.next().await {
                let (mut from, mut to) = tokio::io::split(stream);
                tokio::spawn(async move {
                    // A stream that is cut is not echoed to its end.
                    let _cut = tokio::io::copy(&mut from, &mut to).await;
                    let _cut = to.shutdown().await;
                });
            }
        });
        near
    }

    async fn open(
        &mut self,
        client: &ClientTransport,
    ) -> Result<waypost_transport::IoStream, TransportError> {
        let authority = "192.0.2.1:1".parse().unwrap();
        let connect = async { Ok::<_, std::convert::Infallible>(self.connect()) };
        client.open(&authority, connect).await.map_err(crate::world::transport_error)
    }
}

#[tokio::test]
async fn fifty_streams_share_a_connection() {
    let (client, mut world) = (our_client(), World::new(our_server("service")));
    let mut all = JoinSet::new();
    for n in 0..50_u8 {
        let (mut near, mut far) = world.pair(&client).await;
        all.spawn(async move {
            let (mut from, mut to) = tokio::io::split(far);
            tokio::io::copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
            far = from.unsplit(to);
            drop(far);
        });
        all.spawn(async move {
            echo(&mut near, &vec![n; 50_000]).await.unwrap();
            near.shutdown().await.unwrap();
            assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    assert_eq!(world.n_connections(), 1);
}

#[tokio::test]
async fn many_at_once_open_one_connection() {
    let client = our_client();
    let (dialled, mut dials) = mpsc::unbounded_channel();
    let mut all = JoinSet::new();
    for _ in 0..20 {
        let (client, dialled) = (client.clone(), dialled.clone());
        all.spawn(async move {
            let connect = async {
                let (near, far) = duplex(64 * 1024);
                dialled.send(far).unwrap();
                Ok::<_, std::convert::Infallible>(near)
            };
            client.open(&"192.0.2.1:1".parse().unwrap(), connect).await.unwrap()
        });
    }
    let far = dials.recv().await.unwrap();
    let server = our_server("service");
    let mut streams = match server.accept(far).await.unwrap() {
        Entered::Many(streams) => streams,
        Entered::One(_) => panic!("one stream"),
    };
    for _ in 0..20 {
        streams.next().await.unwrap().unwrap();
    }
    assert!(dials.try_recv().is_err());
}

#[tokio::test]
async fn a_full_connection_gets_a_second_one_beside_it() {
    let (client, mut world) = (our_client(), World::new(our_server("service")));
    let mut open = Vec::new();
    for _ in 0..130 {
        open.push(world.pair(&client).await);
    }
    assert_eq!(world.n_connections(), 2);
    open.clear();
    tokio::task::yield_now().await;
    open.push(world.pair(&client).await);
    assert_eq!(world.n_connections(), 2);
}

#[tokio::test]
async fn a_stream_that_one_side_drops_is_reset_for_the_other() {
    let (client, mut world) = (our_client(), World::new(our_server("service")));
    let (near, mut far) = world.pair(&client).await;
    drop(near);
    let reset = TransportError::Http2 { reason: h2::Reason::CANCEL.into() };
    assert_eq!(reason(far.read(&mut [0]).await), reset);

    let (mut near, far) = world.pair(&client).await;
    drop(far);
    assert_eq!(reason(near.read(&mut [0]).await), reset);
    while near.write_all(b"more").await.is_ok() {
        tokio::task::yield_now().await;
    }
    let (mut near, mut far) = world.pair(&client).await;
    near.write_all(b"x").await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'x');
    assert_eq!(world.n_connections(), 1);
}

#[tokio::test]
async fn a_connection_that_is_gone_is_replaced() {
    let (client, mut server) = (our_client(), Echo::new());
    let mut near = server.open(&client).await.unwrap();
    echo(&mut near, b"one").await.unwrap();
    server.connections.shutdown().await;
    let gone = TransportError::Closed { during: Moment::Stream };
    assert_eq!(reason(near.read(&mut [0]).await), gone);
    let mut near = server.open(&client).await.unwrap();
    echo(&mut near, b"two").await.unwrap();
}

#[tokio::test]
async fn a_connection_whose_server_says_farewell_takes_no_more_streams() {
    let client = our_client();
    let server = our_server("service");
    let serve = async |far: DuplexStream| match server.accept(far).await.unwrap() {
        Entered::Many(streams) => streams,
        Entered::One(_) => panic!("one stream"),
    };
    let (near, far) = duplex(64 * 1024);
    let (opened, mut streams) = tokio::join!(open_to(&client, near), serve(far));
    let mut first_near = opened.unwrap();
    let mut first_far = streams.next().await.unwrap().unwrap();
    streams.close();
    let driving = tokio::spawn(async move { streams.next().await.is_none() });
    // The farewell comes before this.
    first_far.write_all(b"x").await.unwrap();
    first_near.read_u8().await.unwrap();

    let (near, far) = duplex(64 * 1024);
    let (opened, mut streams) = tokio::join!(open_to(&client, near), serve(far));
    let _second = opened.unwrap();
    streams.next().await.unwrap().unwrap();
    // The stream of the old connection goes on until both sides have ended it.
    first_near.write_all(b"y").await.unwrap();
    first_near.shutdown().await.unwrap();
    assert_eq!(first_far.read_u8().await.unwrap(), b'y');
    first_far.shutdown().await.unwrap();
    assert_eq!(first_near.read(&mut [0]).await.unwrap(), 0);
    drop((first_near, first_far));
    assert!(driving.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_connection_is_found_out_when_it_gets_a_stream() {
    let client = our_client();
    let (mut near, _frozen) = frozen_connection(&client).await;
    tokio::time::advance(Duration::from_secs(11)).await;
    // The frozen connection takes the stream, as nobody knows yet.
    let never = async { panic!("a connection is opened") };
    let authority = "192.0.2.1:1".parse().unwrap();
    let mut second = client
        .open::<DuplexStream, std::convert::Infallible, _>(&authority, never)
        .await
        .map_err(crate::world::transport_error)
        .unwrap();
    let asked = tokio::time::Instant::now();
    let dead = TransportError::NoPong { waited: PING_TIMEOUT };
    assert_eq!(reason(second.read(&mut [0]).await), dead);
    assert_eq!(reason(near.read(&mut [0]).await), dead);
    let waited = asked.elapsed();
    assert!(waited >= PING_TIMEOUT && waited < PING_TIMEOUT + Duration::from_secs(1), "{waited:?}");

    let mut server = Echo::new();
    echo(&mut server.open(&client).await.unwrap(), b"alive").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_asked_if_it_is_to_be() {
    let (idle, ping) = (Some(Duration::from_secs(60)), Some(Duration::from_secs(5)));
    let options = GrpcClient { idle_timeout: idle, ping_timeout: ping, ..GrpcClient::default() };
    let client = client_with(options);
    let (mut near, _frozen) = frozen_connection(&client).await;
    let since = tokio::time::Instant::now();
    let dead = TransportError::NoPong { waited: Duration::from_secs(5) };
    assert_eq!(reason(near.read(&mut [0]).await), dead);
    assert_eq!(since.elapsed().as_secs(), 65);
}

/// A connection with a stream whose server does not say anything any more. Keep the second part.
async fn frozen_connection(client: &ClientTransport) -> (waypost_transport::IoStream, DuplexStream) {
    let (near, mut far) = duplex(64 * 1024);
    // The SETTINGS of a server and nothing else: they are empty, and those of the client are not acknowledged.
    far.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    (open_to(client, near).await.unwrap(), far)
}

#[tokio::test(start_paused = true)]
async fn a_server_finds_a_client_that_is_gone_without_a_word() {
    let (mut near, far) = duplex(64 * 1024);
    // The preface of a client, its SETTINGS, and nothing else.
    near.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut streams = match our_server("service").accept(far).await.unwrap() {
        Entered::Many(streams) => streams,
        Entered::One(_) => panic!("one stream"),
    };
    let since = tokio::time::Instant::now();
    let dead = TransportError::NoPong { waited: Duration::from_secs(20) };
    assert_eq!(streams.next().await.unwrap().unwrap_err(), dead);
    assert_eq!(since.elapsed().as_secs(), 140);
    assert!(streams.next().await.is_none());
}

/// How a server that is not ours answers a call.
async fn answered<F>(
    answer: impl FnOnce(SendResponse<Bytes>) -> F + Send + 'static,
) -> (TransportError, Vec<u8>)
where
    F: Future<Output = ()> + Send,
{
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let mut connection = h2::server::handshake(far).await.unwrap();
        let (_request, respond) = connection.accept().await.unwrap().unwrap();
        answer(respond).await;
        while connection.accept().await.is_some() {}
    });
    let mut near = open_to(&our_client(), near).await.unwrap();
    let mut read = Vec::new();
    let error = near.read_to_end(&mut read).await;
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0, "nothing follows a failure");
    let reason = match error {
        Ok(_) => TransportError::Io(std::io::ErrorKind::Other),
        Err(error) => TransportError::of(&error),
    };
    (reason, read)
}

fn response(status: StatusCode, headers: &[(&'static str, &str)]) -> Response<()> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap()
}

#[tokio::test]
async fn a_refusal_is_found_by_the_first_read() {
    let refuse = |status: StatusCode, headers: &'static [(&'static str, &'static str)]| {
        answered(async move |mut respond: SendResponse<Bytes>| {
            respond.send_response(response(status, headers), true).unwrap();
        })
    };
    let (error, _) = refuse(StatusCode::NOT_FOUND, &[]).await;
    assert_eq!(error, TransportError::GrpcHttpStatus { status: 404 });
    assert!(error.to_string().ends_with("HTTP status 404 (is the service name right?)"), "{error}");
    let (error, _) =
        refuse(StatusCode::OK, &[("grpc-status", "12"), ("grpc-message", "unknown service x")]).await;
    assert_eq!(error, TransportError::GrpcStatus { code: 12, message: "unknown service x".into() });
    let (error, _) = refuse(StatusCode::OK, &[("grpc-status", "x")]).await;
    assert!(matches!(error, TransportError::BrokenGrpc { .. }), "{error}");
}

#[tokio::test]
async fn what_comes_before_a_failure_is_read_first() {
    let (error, read) = answered(async |mut respond: SendResponse<Bytes>| {
        let mut sender = respond.send_response(response(StatusCode::OK, &[]), false).unwrap();
        sender.send_data(Bytes::from_static(b"\0\0\0\0\x04\x0a\x02hi"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "14".parse().unwrap());
        sender.send_trailers(trailers).unwrap();
    })
    .await;
    assert_eq!(read, b"hi");
    assert_eq!(error, TransportError::GrpcStatus { code: 14, message: "".into() });
}

#[tokio::test]
async fn messages_that_are_none_end_the_stream() {
    for (bytes, ends, expected) in [
        (&b"\x01\0\0\0\x01"[..], false, TransportError::BrokenGrpc { problem: "a compressed message" }),
        (
            b"\0\xff\xff\xff\xff",
            false,
            TransportError::BrokenGrpc { problem: "a message of more than 4 MiB" },
        ),
        (
            b"\0\0\0\0\x04\x12\x0a\x01a",
            false,
            TransportError::BrokenGrpc { problem: "a message with an unknown field" },
        ),
        (b"\0\0\0\0\x09\x0a\x07cut", true, TransportError::Closed { during: Moment::Message }),
        (b"\0\0\0\0\x05\x0a\x03end", true, TransportError::Io(std::io::ErrorKind::Other)),
    ] {
        let (error, _) = answered(async move |mut respond: SendResponse<Bytes>| {
            let mut sender = respond.send_response(response(StatusCode::OK, &[]), false).unwrap();
            sender.send_data(Bytes::from_static(bytes), ends).unwrap();
        })
        .await;
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_told_by_its_first_bytes() {
    for (sent, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "the peer does not speak HTTP/2, it sent `HTTP/1.1`"),
        (b"SSH-2.0-x", "the peer does not speak HTTP/2, it sent `SSH-2.0-`"),
        (b"", "the peer closed the connection during the HTTP/2 handshake"),
    ] {
        assert_eq!(open_to_bytes(&our_client(), sent).await.to_string(), expected);
    }
    for (sent, expected) in [
        (
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            TransportError::NotHttp2 { found: FirstBytes::new(b"GET / HT") },
        ),
        (b"PRI * HTTP", TransportError::Closed { during: Moment::Http2Handshake }),
    ] {
        let (result, _answer) = send_to(&our_server("service"), sent).await;
        assert_eq!(result.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn calls_for_another_service_are_not_found() {
    let (client, mut world) = (our_client(), World::new(our_server("other")));
    let mut near = world.open(&client).await.unwrap();
    assert_eq!(reason(near.read(&mut [0]).await), TransportError::GrpcHttpStatus { status: 404 });
}

#[tokio::test]
async fn a_path_of_its_own_is_served() {
    for (near, far) in [("/a/path/one", "/a/path/one|many"), ("/a/path/many", "/a/path/one|many")] {
        let service_name = near.to_owned();
        let client = client(None, ClientLayer::Grpc(GrpcClient { service_name, ..GrpcClient::default() }));
        let mut world = World::new(our_server(far));
        let (mut near, mut far) = world.pair(&client).await;
        near.write_all(b"x").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
    }
}

#[tokio::test]
async fn a_reader_that_stands_still_does_not_hold_up_the_others() {
    let (client, mut world) = (our_client(), World::new(our_server("service")));
    let (near, mut far) = world.pair(&client).await;
    let filling = tokio::spawn(async move {
        let bytes = vec![0; 64 * 1024];
        while far.write_all(&bytes).await.is_ok() {}
    });
    let (mut other_near, mut other_far) = world.pair(&client).await;
    let bytes = vec![1; 8 * 1024 * 1024];
    let mut read = vec![0; bytes.len()];
    let (written, got) = tokio::join!(other_far.write_all(&bytes), other_near.read_exact(&mut read));
    written.unwrap();
    got.unwrap();
    assert!(read == bytes);
    drop(near);
    filling.await.unwrap();
}
