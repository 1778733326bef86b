//! The interface on a Unix socket.

use std::os::unix::fs::PermissionsExt as _;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};
use waypost_api::{Api, ApiSettings, ListenOn};
use waypost_net::Secret;

use crate::{
    client::{LIMIT, Reply},
    world::World,
};

async fn ask(path: &std::path::Path, head: &str) -> Reply {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    Reply::parse(&answer)
}

#[tokio::test]
async fn the_own_user_needs_no_secret_and_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    // What a program left that ended badly is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let world = World::with(&|settings| {
        settings.listen = ListenOn::Unix(path.clone());
        settings.secret = None;
    })
    .await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for head in ["GET /version HTTP/1.1\r\n", "GET /version HTTP/1.1\r\nHost: whatever\r\n"] {
        assert_eq!(ask(&path, head).await.status, 200);
    }
    let foreign = "GET /version HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n";
    assert_eq!(ask(&path, foreign).await.status, 403);
    let taken = ApiSettings::new(ListenOn::Unix(path.clone()), None, "/".into());
    assert!(Api::bind(taken).await.is_err(), "somebody listens there");
    world.stop.cancel();
    timeout(LIMIT, world.running).await.unwrap().unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_secret_that_the_file_gives_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let _world = World::with(&|settings| {
        settings.listen = ListenOn::Unix(path.clone());
        settings.secret = Some(Secret::new("x"));
    })
    .await;
    assert_eq!(ask(&path, "GET /version HTTP/1.1\r\n").await.status, 401);
    assert_eq!(ask(&path, "GET /version HTTP/1.1\r\nAuthorization: Bearer x\r\n").await.status, 200);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "dear diary").unwrap();
    let settings = ApiSettings::new(ListenOn::Unix(path.clone()), None, "/".into());
    assert!(Api::bind(settings).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary");
}
