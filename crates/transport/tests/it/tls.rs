//! Who is who.

use std::{
    convert::Infallible,
    fs,
    io::{self, Write},
    pin::Pin as Pinned,
    task::{Context, Poll, ready},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use ring::digest::{SHA256, digest};
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use waypost_net::Host;
use waypost_transport::{
    ClientLayer, ClientTls, FirstBytes, Identity, IdentitySource, Moment, Pin, Roots, ServerLayer,
    ServerOptions, ServerTls, ServerTransport, SetupError, TlsVersion, TlsVersions, TransportError,
    certificates_from_pem,
};

use crate::world::{
    Authority, Issued, NAME, World, client, client_tls, open_to_bytes, send_to, server, server_tls,
};

/// What comes of it when these two meet.
async fn meet(near: ClientTls, far: ServerTls) -> Result<(), TransportError> {
    let client = client(Some(near), ClientLayer::Raw);
    let mut world = World::new(server(Some(far), ServerLayer::Raw));
    let mut near = world.open(&client).await?;
    near.write_all(b"x").await.unwrap();
    near.flush().await.unwrap();
    let far = world.next().await;
    let mut byte = [0];
    if let Ok(mut far) = far {
        far.read_exact(&mut byte).await.unwrap();
        far.write_all(&byte).await.unwrap();
        far.flush().await.unwrap();
    }
    match near.read_exact(&mut byte).await {
        Ok(_) => Ok(()),
        Err(error) => Err(TransportError::of(&error)),
    }
}

fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Issued::new(&params.self_signed(&key).unwrap(), &key)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

#[tokio::test]
async fn a_certificate_for_another_name_is_told_with_its_names() {
    let authority = Authority::new();
    let error = meet(client_tls(authority.roots()), server_tls(&authority.issue("other.example"))).await;
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "the certificate is for `other.example`, not for `proxy.example`");
}

#[tokio::test]
async fn addresses_are_names_too() {
    let authority = Authority::new();
    let to_address =
        || ClientTls { server_name: Host::parse("192.0.2.1").unwrap(), ..client_tls(authority.roots()) };
    assert_eq!(meet(to_address(), server_tls(&authority.issue("192.0.2.1"))).await, Ok(()));
    let error = meet(to_address(), server_tls(&authority.issue("192.0.2.2"))).await.unwrap_err();
    assert!(matches!(error, TransportError::CertificateName { .. }), "{error}");
}

#[tokio::test]
async fn nobody_is_trusted_who_is_not_said_to_be() {
    let (authority, other) = (Authority::new(), Authority::new());
    let issued = authority.issue(NAME);
    for (roots, expected) in [
        (Roots::Default, Err(TransportError::UnknownIssuer)),
        (other.roots(), Err(TransportError::UnknownIssuer)),
        (authority.roots(), Ok(())),
        (Roots::DefaultAnd(vec![authority.certificate.clone()]), Ok(())),
    ] {
        assert_eq!(meet(client_tls(roots), server_tls(&issued)).await, expected);
    }
    let careless = ClientTls { allow_insecure: true, ..client_tls(Roots::Default) };
    assert_eq!(meet(careless, server_tls(&issued)).await, Ok(()));
}

#[tokio::test]
async fn a_certificate_that_is_trusted_itself_may_say_that_it_is_an_authority() {
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let issued = self_signed(|params| params.is_ca = is_ca);
        let roots = || Roots::Own(vec![issued.certificate.clone()]);
        assert_eq!(meet(client_tls(roots()), server_tls(&issued)).await, Ok(()));
        let wrong_name =
            ClientTls { server_name: Host::parse("other.example").unwrap(), ..client_tls(roots()) };
        let error = meet(wrong_name, server_tls(&issued)).await.unwrap_err();
        assert!(matches!(error, TransportError::CertificateName { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_time_of_a_certificate_counts() {
    for trusts_itself in [true, false] {
        let authority = Authority::new();
        let issue = |from: i32, to: i32| {
            let change = |params: &mut CertificateParams| {
                params.not_before = date_time_ymd(from, 1, 1);
                params.not_after = date_time_ymd(to, 1, 1);
            };
            if trusts_itself {
                return self_signed(change);
            }
            let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
            change(&mut params);
            authority.issue_as(&params)
        };
        let check = async |issued: &Issued| {
            let own = if trusts_itself { &issued.certificate } else { &authority.certificate };
            meet(client_tls(Roots::Own(vec![own.clone()])), server_tls(issued)).await.unwrap_err()
        };
        let error = check(&issue(2000, 2001)).await;
        assert!(matches!(error, TransportError::CertificateExpired { since: Some(_) }), "{error}");
        assert!(error.to_string().contains("days ago (is this machine's clock right?)"), "{error}");
        let error = check(&issue(3000, 3001)).await;
        assert!(matches!(error, TransportError::CertificateNotYetValid { until: Some(_) }), "{error}");
    }
}

#[tokio::test]
async fn pins_of_the_server_itself_replace_the_other_checks() {
    let issued = self_signed(|_| {});
    let key = KeyPair::from_pkcs8_der_and_sign_algo(
        &waypost_transport_key(&issued),
        &rcgen::PKCS_ECDSA_P256_SHA256,
    )
    .unwrap();
    let public_key = sha256(&rcgen::PublicKeyData::subject_public_key_info(&key));
    let certificate = sha256(&issued.certificate);
    for (pin, wrong) in [
        (Pin::Certificate(certificate), Pin::Certificate([0; 32])),
        (Pin::PublicKey(public_key), Pin::PublicKey([0; 32])),
    ] {
        let name = Host::parse("other.example").unwrap();
        let pinned =
            |pins: Vec<Pin>| ClientTls { server_name: name.clone(), pins, ..client_tls(Roots::Default) };
        assert_eq!(meet(pinned(vec![wrong, pin]), server_tls(&issued)).await, Ok(()));
        let mismatch = Err(TransportError::PinMismatch { presented: vec![pin] });
        assert_eq!(meet(pinned(vec![wrong]), server_tls(&issued)).await, mismatch);
        let careless = ClientTls { allow_insecure: true, ..pinned(vec![wrong]) };
        assert_eq!(meet(careless, server_tls(&issued)).await, mismatch);
    }
}

/// The key of a certificate in DER.
fn waypost_transport_key(issued: &Issued) -> rustls::pki_types::PrivatePkcs8KeyDer<'static> {
    rustls::pki_types::pem::PemObject::from_pem_slice(issued.key_pem.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_pinned_authority_must_have_issued_the_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let chain = |issued: &Issued, authority: &Authority| {
        let authority = crate::world::pem("CERTIFICATE", &authority.certificate);
        let identity = Identity::from_pem(&format!("{}{authority}", issued.certificate_pem), &issued.key_pem);
        ServerTls { identities: vec![IdentitySource::Inline(identity.unwrap())], ..ServerTls::default() }
    };
    let pins = vec![Pin::Certificate(sha256(&authority.certificate))];
    let pinned = || ClientTls { pins: pins.clone(), ..client_tls(Roots::Default) };
    assert_eq!(meet(pinned(), chain(&authority.issue(NAME), &authority)).await, Ok(()));
    let error = meet(pinned(), chain(&authority.issue("other.example"), &authority)).await.unwrap_err();
    assert!(matches!(error, TransportError::CertificateName { .. }), "{error}");
    let unrelated = chain(&other.issue(NAME), &authority);
    assert_eq!(meet(pinned(), unrelated).await, Err(TransportError::UnknownIssuer));
}

#[tokio::test]
async fn a_pinned_chain_is_checked_beside_the_rest() {
    let authority = Authority::new();
    let issued = authority.issue(NAME);
    let right = Pin::Chain(sha256(&issued.certificate));
    let pinned = |pin: Pin, roots: Roots| ClientTls { pins: vec![pin], ..client_tls(roots) };
    assert_eq!(meet(pinned(right, authority.roots()), server_tls(&issued)).await, Ok(()));
    let untrusted = meet(pinned(right, Roots::Default), server_tls(&issued)).await;
    assert_eq!(untrusted, Err(TransportError::UnknownIssuer));
    let careless = ClientTls { allow_insecure: true, ..pinned(right, Roots::Default) };
    assert_eq!(meet(careless, server_tls(&issued)).await, Ok(()));
    let mismatch = Err(TransportError::PinMismatch { presented: vec![right] });
    for allow_insecure in [true, false] {
        let wrong = ClientTls { allow_insecure, ..pinned(Pin::Chain([0; 32]), authority.roots()) };
        assert_eq!(meet(wrong, server_tls(&issued)).await, mismatch);
    }
}

#[tokio::test]
async fn a_chain_is_hashed_as_v2ray_does() {
    let authority = Authority::new();
    let issued = authority.issue(NAME);
    let pair = [sha256(&issued.certificate), sha256(&authority.certificate)].concat();
    let pem =
        format!("{}{}", issued.certificate_pem, crate::world::pem("CERTIFICATE", &authority.certificate));
    let identity = Identity::from_pem(&pem, &issued.key_pem).unwrap();
    let far = ServerTls { identities: vec![IdentitySource::Inline(identity)], ..ServerTls::default() };
    let near = ClientTls { pins: vec![Pin::Chain(sha256(&pair))], ..client_tls(authority.roots()) };
    assert_eq!(meet(near, far).await, Ok(()));
}

#[tokio::test]
async fn protocols_are_agreed_on() {
    let authority = Authority::new();
    let issued = authority.issue(NAME);
    let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
    for (near, far, expected) in [
        (&["a", "b"][..], &["b"][..], Ok(())),
        (&[], &["b"], Ok(())),
        (&["a"], &[], Ok(())),
        (&["a"], &["b"], Err(TransportError::NoCommonProtocol)),
    ] {
        let near = ClientTls { alpn: names(near), ..client_tls(authority.roots()) };
        let far = ServerTls { alpn: names(far), ..server_tls(&issued) };
        assert_eq!(meet(near, far).await, expected);
    }
}

#[tokio::test]
async fn a_protocol_that_cannot_carry_the_layer_is_refused() {
    let authority = Authority::new();
    let near =
        ClientTls { alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()], ..client_tls(authority.roots()) };
    let far = ServerTls { alpn: vec![b"h2".to_vec()], ..server_tls(&authority.issue(NAME)) };
    let layer = waypost_transport::WebSocketClient::default();
    let client = client(Some(near), ClientLayer::WebSocket(layer));
    let mut world = World::new(server(Some(far), ServerLayer::Raw));
    let expected = TransportError::WrongProtocol { chosen: "h2".into(), wanted: "http/1.1" };
    assert_eq!(world.open(&client).await.unwrap_err(), expected);
}

#[tokio::test]
async fn clients_show_certificates_where_they_must() {
    let (authority, other) = (Authority::new(), Authority::new());
    let far = || ServerTls {
        client_roots: Some(vec![authority.certificate.clone()]),
        ..server_tls(&authority.issue(NAME))
    };
    let mut good = CertificateParams::new(["client".to_owned()]).unwrap();
    good.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    for max in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let versions = TlsVersions { min: TlsVersion::V1_2, max };
        let with =
            |identity: Option<Identity>| ClientTls { identity, versions, ..client_tls(authority.roots()) };
        let own = authority.issue_as(&good).identity();
        assert_eq!(meet(with(Some(own)), far()).await, Ok(()));
        assert_eq!(meet(with(None), far()).await, Err(TransportError::ClientCertificateWanted));
        let foreign = other.issue_as(&good).identity();
        let unknown = Err(TransportError::Alert { alert: AlertDescription::UnknownCA });
        assert_eq!(meet(with(Some(foreign)), far()).await, unknown);
    }
}

#[tokio::test]
async fn a_server_without_the_certificate_of_its_client_says_so() {
    let authority = Authority::new();
    let far = ServerTls {
        client_roots: Some(vec![authority.certificate.clone()]),
        ..server_tls(&authority.issue(NAME))
    };
    let client = client(Some(client_tls(authority.roots())), ClientLayer::Raw);
    let mut world = World::new(server(Some(far), ServerLayer::Raw));
    let _opened = world.open(&client).await;
    assert_eq!(world.next().await.unwrap_err(), TransportError::NoClientCertificate);
}

#[tokio::test]
async fn versions_without_overlap_do_not_meet() {
    let authority = Authority::new();
    let only = |version| TlsVersions { min: version, max: version };
    let near = ClientTls { versions: only(TlsVersion::V1_2), ..client_tls(authority.roots()) };
    let far = ServerTls { versions: only(TlsVersion::V1_3), ..server_tls(&authority.issue(NAME)) };
    let error = meet(near, far).await.unwrap_err();
    assert_eq!(error, TransportError::Alert { alert: AlertDescription::ProtocolVersion });
}

#[tokio::test]
async fn the_certificate_is_the_one_for_the_name() {
    let authority = Authority::new();
    let inline = |name: &str| IdentitySource::Inline(authority.issue(name).identity());
    for (rejects, name, disable_sni, expected) in [
        (false, "b.example", false, None),
        (false, "x.c.example", false, None),
        (false, "unknown.example", false, Some("a.example")),
        (false, "a.example", true, None),
        (true, "b.example", false, None),
        (true, "unknown.example", false, Some("")),
        (true, "a.example", true, Some("")),
    ] {
        let far = ServerTls {
            identities: vec![inline("a.example"), inline("b.example"), inline("*.c.example")],
            reject_unknown_sni: rejects,
            ..ServerTls::default()
        };
        let near = ClientTls { disable_sni, ..client_tls(authority.roots()) };
        let near = ClientTls { server_name: Host::parse(name).unwrap(), ..near };
        match (meet(near, far).await, expected) {
            (Ok(()), None) => {}
            (Err(TransportError::Alert { .. }), Some("")) => {}
            (Err(TransportError::CertificateName { presented, .. }), Some(shown)) => {
                assert!(presented[0].contains(shown), "{presented:?}");
            }
            (result, expected) => panic!("{name}: {result:?}, expected {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_tells_a_client_that_asks_for_an_unknown_name() {
    let authority = Authority::new();
    let far = ServerTls { reject_unknown_sni: true, ..server_tls(&authority.issue("other.example")) };
    let client = client(Some(client_tls(authority.roots())), ClientLayer::Raw);
    let mut world = World::new(server(Some(far), ServerLayer::Raw));
    assert!(world.open(&client).await.is_err());
    assert_eq!(world.next().await.unwrap_err(), TransportError::UnknownServerName);
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_told_by_its_first_bytes() {
    let authority = Authority::new();
    let client = client(Some(client_tls(authority.roots())), ClientLayer::Raw);
    for (sent, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "the peer does not speak TLS, it sent `HTTP/1.1`"),
        (b"SSH-2.0-OpenSSH", "the peer does not speak TLS, it sent `SSH-2.0-`"),
        (&[5, 0xff], "the peer does not speak TLS, it sent 0x05ff"),
    ] {
        assert_eq!(open_to_bytes(&client, sent).await.to_string(), expected);
    }
    let closed = TransportError::Closed { during: Moment::TlsHandshake };
    assert_eq!(open_to_bytes(&client, b"").await, closed);
    let alert = [21, 3, 3, 0, 2, 2, 40];
    let expected = TransportError::Alert { alert: AlertDescription::HandshakeFailure };
    assert_eq!(open_to_bytes(&client, &alert).await, expected);

    let server = server(Some(server_tls(&authority.issue(NAME))), ServerLayer::Raw);
    let (result, _answer) = send_to(&server, b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(result.unwrap_err(), TransportError::NotTls { found: FirstBytes::new(b"GET / HT") });
}

#[tokio::test]
async fn a_connection_that_ends_without_a_farewell_ends_all_the_same() {
    let authority = Authority::new();
    let client = client(Some(client_tls(authority.roots())), ClientLayer::Raw);
    let mut world = World::new(server(Some(server_tls(&authority.issue(NAME))), ServerLayer::Raw));
    let (mut near, far) = world.pair(&client).await;
    let mut far = far;
    far.write_all(b"all").await.unwrap();
    far.flush().await.unwrap();
    drop(far);
    let mut came = Vec::new();
    near.read_to_end(&mut came).await.unwrap();
    assert_eq!(came, b"all");
}

/// A connection that is reset instead of closed. As of a socket, that is told once.
#[derive(Debug)]
struct Reset {
    stream: DuplexStream,
    is_told: bool,
}

impl AsyncRead for Reset {
    fn poll_read(
        mut self: Pinned<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pinned::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() == before && !std::mem::replace(&mut self.is_told, true) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Reset {
    fn poll_write(
        mut self: Pinned<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pinned::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pinned<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pinned::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pinned<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pinned::new(&mut self.stream).poll_shutdown(context)
    }
}

#[tokio::test]
async fn a_reset_behind_the_last_bytes_is_no_end() {
    let authority = Authority::new();
    let client = client(Some(client_tls(authority.roots())), ClientLayer::Raw);
    let mut world = World::new(server(Some(server_tls(&authority.issue(NAME))), ServerLayer::Raw));
    let connect = async { Ok::<_, Infallible>(Reset { stream: world.connect(), is_told: false }) };
    let mut near = client.open(&"192.0.2.1:8443".parse().unwrap(), connect).await.unwrap();
    let mut far = world.next().await.unwrap();
    far.write_all(b"some").await.unwrap();
    far.flush().await.unwrap();
    drop(far);
    let mut came = Vec::new();
    let error = near.read_to_end(&mut came).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(came, b"some");
}

#[tokio::test(start_paused = true)]
async fn a_changed_certificate_is_shown_from_then_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let write = |issued: &Issued| {
        fs::write(&certificate, &issued.certificate_pem).unwrap();
        fs::write(&key, &issued.key_pem).unwrap();
    };
    write(&old.issue(NAME));
    let identities = vec![IdentitySource::Files { certificate: certificate.clone(), key: key.clone() }];
    let far = ServerTls { identities, ..ServerTls::default() };
    let mut world = World::new(server(Some(far), ServerLayer::Raw));
    let client_of = |authority: &Authority| client(Some(client_tls(authority.roots())), ClientLayer::Raw);
    assert!(world.open(&client_of(&old)).await.is_ok());

    // Another size, whatever the clock of the file system makes of the time.
    let issued = new.issue(NAME);
    write(&issued);
    fs::File::options().append(true).open(&key).unwrap().write_all(b"\n\n").unwrap();
    assert!(world.open(&client_of(&old)).await.is_ok(), "not looked at within the second");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(world.open(&client_of(&new)).await.is_ok());

    fs::write(&certificate, "broken").unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(world.open(&client_of(&new)).await.is_ok(), "what cannot be used changes nothing");
}

#[test]
fn what_is_wrong_with_a_file_is_told() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(NAME), authority.issue(NAME));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (certificate, key, expected) in [
        ("", one.key_pem.as_str(), "no certificate in the configuration"),
        (&one.certificate_pem, "", "no private key in the configuration"),
        (&one.certificate_pem, &one.certificate_pem, "no private key in the configuration"),
        (&one.certificate_pem, encrypted, "the key in the configuration is encrypted"),
        (&one.certificate_pem, &other.key_pem, "the key in the configuration does not belong"),
        ("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n", &one.key_pem, "broken PEM in"),
    ] {
        let error = Identity::from_pem(certificate, key).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(certificates_from_pem(&one.certificate_pem).unwrap(), [one.certificate]);
    let missing = IdentitySource::Files { certificate: "missing.pem".into(), key: "missing.key".into() };
    for (tls, expected) in [
        (ServerTls::default(), "a server for TLS needs a certificate and its key"),
        (
            ServerTls { identities: vec![missing], ..ServerTls::default() },
            "cannot read `missing.pem`: entity not found",
        ),
    ] {
        let options = ServerOptions { tls: Some(tls), layer: ServerLayer::Raw };
        assert_eq!(ServerTransport::try_new(&options).unwrap_err().to_string(), expected);
    }
}

#[test]
fn options_that_contradict_themselves_are_refused() {
    let try_new = |tls: ClientTls| {
        let options = waypost_transport::ClientOptions { tls: Some(tls), layer: ClientLayer::Raw };
        waypost_transport::ClientTransport::try_new(&options).unwrap_err()
    };
    let versions = TlsVersions { min: TlsVersion::V1_3, max: TlsVersion::V1_2 };
    assert_eq!(try_new(ClientTls { versions, ..client_tls(Roots::Default) }), SetupError::Versions);
    assert_eq!(try_new(client_tls(Roots::Own(Vec::new()))), SetupError::NoRoots);
    let alpn = vec![Vec::new()];
    assert_eq!(try_new(ClientTls { alpn, ..client_tls(Roots::Default) }), SetupError::Alpn { length: 0 });
}

#[test]
fn a_key_is_not_shown() {
    let identity = Authority::new().issue(NAME).identity();
    assert!(format!("{identity:?}").contains("[secret key elided]"), "{identity:?}");
}
