//! What every layer must do.

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use waypost_transport::{
    ClientLayer, ClientTransport, EARLY_DATA_HEADER, EarlyData, GrpcClient, GrpcServer, HttpUpgradeClient,
    HttpUpgradeServer, ServerLayer, WebSocketClient, WebSocketServer,
};

use crate::world::{Authority, NAME, World, client, client_tls, server, server_tls};

fn web_socket(early_data: Option<EarlyData>) -> (ClientLayer, ServerLayer) {
    let path = "/ws".to_owned();
    let client =
        WebSocketClient { path: path.clone(), early_data: early_data.clone(), ..WebSocketClient::default() };
    let server = WebSocketServer { path, early_data, ..WebSocketServer::default() };
    (ClientLayer::WebSocket(client), ServerLayer::WebSocket(server))
}

fn layers() -> Vec<(ClientLayer, ServerLayer)> {
    let path = || "up".to_owned();
    let service_name = || "service".to_owned();
    vec![
        (ClientLayer::Raw, ServerLayer::Raw),
        web_socket(None),
        web_socket(Some(EarlyData { max_bytes: 100, header: None })),
        web_socket(Some(EarlyData { max_bytes: 2048, header: Some(EARLY_DATA_HEADER.to_owned()) })),
        (
            ClientLayer::HttpUpgrade(HttpUpgradeClient { path: path(), ..HttpUpgradeClient::default() }),
            ServerLayer::HttpUpgrade(HttpUpgradeServer { path: path(), ..HttpUpgradeServer::default() }),
        ),
        (
            ClientLayer::Grpc(GrpcClient { service_name: service_name(), ..GrpcClient::default() }),
            ServerLayer::Grpc(GrpcServer { service_name: service_name(), ..GrpcServer::default() }),
        ),
    ]
}

/// Every layer, with and without TLS.
fn worlds() -> Vec<(ClientTransport, World)> {
    let authority = Authority::new();
    let issued = authority.issue(NAME);
    let mut worlds = Vec::new();
    for (near, far) in layers() {
        worlds.push((client(None, near.clone()), World::new(server(None, far.clone()))));
        let (client_tls, server_tls) = (client_tls(authority.roots()), server_tls(&issued));
        worlds.push((client(Some(client_tls), near), World::new(server(Some(server_tls), far))));
    }
    worlds
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n * n % 251).unwrap()).collect()
}

#[tokio::test]
async fn a_mebibyte_in_odd_pieces_comes_back_as_it_was() {
    for (client, mut world) in worlds() {
        let near = world.open(&client).await.unwrap();
        let (mut from, mut to) = split(near);
        let sent = payload(1024 * 1024 + 1);
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            let mut rest = &sent[..];
            for size in [1, 2, 125, 126, 127, 4093, 65_535, 65_536, 65_537, 100_003].into_iter().cycle() {
                let (piece, after) = rest.split_at(size.min(rest.len()));
                to.write_all(piece).await.unwrap();
                to.flush().await.unwrap();
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            to.shutdown().await.unwrap();
        });
        let far = world.next().await.unwrap();
        tokio::spawn(async move {
            let (mut from, mut to) = split(far);
            copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        from.read_to_end(&mut received).await.unwrap();
        assert!(received == expected, "{} bytes by {client:?}", received.len());
        writing.await.unwrap();
    }
}

#[tokio::test]
async fn whoever_has_said_all_is_still_answered() {
    for (client, mut world) in worlds() {
        for client_is_first in [true, false] {
            let near = world.open(&client).await;
            let (mut first, mut second) = if client_is_first {
                let mut near = near.unwrap();
                near.write_all(b"question").await.unwrap();
                near.shutdown().await.unwrap();
                (near, world.next().await.unwrap())
            } else {
                let mut near = near.unwrap();
                near.flush().await.unwrap();
                let mut far = world.next().await.unwrap();
                far.write_all(b"question").await.unwrap();
                far.shutdown().await.unwrap();
                (far, near)
            };
            let mut asked = String::new();
            second.read_to_string(&mut asked).await.unwrap();
            assert_eq!(asked, "question");
            let answer = payload(100_000);
            let expected = answer.clone();
            let answering = tokio::spawn(async move {
                second.write_all(&answer).await.unwrap();
                second.shutdown().await.unwrap();
                second
            });
            let mut answered = Vec::new();
            first.read_to_end(&mut answered).await.unwrap();
            assert!(answered == expected, "{client:?}");
            answering.await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_server_may_speak_first() {
    for (client, mut world) in worlds() {
        let mut near = world.open(&client).await.unwrap();
        let reading = tokio::spawn(async move {
            let mut greeting = [0; 5];
            near.read_exact(&mut greeting).await.unwrap();
            greeting
        });
        let mut far = world.next().await.unwrap();
        far.write_all(b"hello").await.unwrap();
        far.flush().await.unwrap();
        assert_eq!(&reading.await.unwrap(), b"hello");
    }
}

#[tokio::test]
async fn opening_a_stream_is_work_for_any_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (client, mut world) = worlds().pop().unwrap();
    let near = is_send(world.open(&client)).await.unwrap();
    is_send(near);
}

#[tokio::test]
async fn a_connection_that_cannot_be_opened_is_told_as_it_is() {
    for (client, _world) in worlds() {
        let connect = async { Err::<tokio::io::DuplexStream, _>("no route") };
        let error = client.open(&"192.0.2.1:1".parse().unwrap(), connect).await.unwrap_err();
        assert_eq!(error, waypost_transport::OpenError::Connect("no route"));
    }
}
