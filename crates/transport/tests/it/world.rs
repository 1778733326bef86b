//! Certificates, and connections that exist nowhere else.

use std::{convert::Infallible, io, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
};
use waypost_net::Host;
use waypost_transport::{
    CertificateDer, ClientLayer, ClientOptions, ClientTls, ClientTransport, Entered, Identity,
    IdentitySource, IoStream, OpenError, Roots, ServerLayer, ServerOptions, ServerTls, ServerTransport,
    TransportError,
};

/// The name that servers have certificates for.
pub(crate) const NAME: &str = "proxy.example";
/// What a connection holds on its way.
const WIRE_BYTES: usize = 64 * 1024;

/// An authority that nobody trusts unless told to.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: CertificateDer<'static>,
}

/// A certificate with its key.
pub(crate) struct Issued {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Issued {
    pub(crate) fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            certificate: certificate.der().clone(),
            certificate_pem: pem("CERTIFICATE", certificate.der()),
            key_pem: pem("PRIVATE KEY", &key.serialize_der()),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate_pem, &self.key_pem).unwrap()
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // Two of the same name would be taken for each other until a signature is wrong.
        let name = BASE64_STANDARD.encode(key.public_key_raw());
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_as(&CertificateParams::new([name.to_owned()]).unwrap())
    }

    pub(crate) fn issue_as(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        Issued::new(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::Own(vec![self.certificate.clone()])
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

pub(crate) fn server_tls(issued: &Issued) -> ServerTls {
    ServerTls { identities: vec![IdentitySource::Inline(issued.identity())], ..ServerTls::default() }
}

pub(crate) fn client_tls(roots: Roots) -> ClientTls {
    ClientTls { roots, ..ClientTls::new(Host::parse(NAME).unwrap()) }
}

pub(crate) fn client(tls: Option<ClientTls>, layer: ClientLayer) -> ClientTransport {
    ClientTransport::try_new(&ClientOptions { tls, layer }).unwrap()
}

pub(crate) fn server(tls: Option<ServerTls>, layer: ServerLayer) -> ServerTransport {
    ServerTransport::try_new(&ServerOptions { tls, layer }).unwrap()
}

/// A server that listens, so to speak.
pub(crate) struct World {
    server: Arc<ServerTransport>,
    came: mpsc::UnboundedSender<Result<IoStream, TransportError>>,
    accepted: mpsc::UnboundedReceiver<Result<IoStream, TransportError>>,
    n_connections: usize,
}

impl World {
    pub(crate) fn new(server: ServerTransport) -> Self {
        let (came, accepted) = mpsc::unbounded_channel();
        Self { server: Arc::new(server), came, accepted, n_connections: 0 }
    }

    /// Opens a connection to the server.
    pub(crate) fn connect(&mut self) -> DuplexStream {
        let (near, far) = duplex(WIRE_BYTES);
        let (server, came) = (self.server.clone(), self.came.clone());
        self.n_connections += 1;
        tokio::spawn(async move {
            match server.accept(far).await {
                Ok(Entered::One(stream)) => drop(came.send(Ok(stream))),
                Ok(Entered::Many(mut streams)) => {
                    while let Some(stream) = streams.next().await {
                        drop(came.send(stream));
                    }
                }
                Err(error) => drop(came.send(Err(error))),
            }
        });
        near
    }

    pub(crate) fn n_connections(&self) -> usize {
        self.n_connections
    }

    /// What the server got next.
    pub(crate) async fn next(&mut self) -> Result<IoStream, TransportError> {
        self.accepted.recv().await.unwrap()
    }

    pub(crate) async fn open(&mut self, client: &ClientTransport) -> Result<IoStream, TransportError> {
        let connect = async { Ok::<_, Infallible>(self.connect()) };
        client.open(&"192.0.2.1:8443".parse().unwrap(), connect).await.map_err(transport_error)
    }

    /// A stream from end to end.
    pub(crate) async fn pair(&mut self, client: &ClientTransport) -> (IoStream, IoStream) {
        let near = self.open(client).await.unwrap();
        (near, self.next().await.unwrap())
    }
}

pub(crate) fn transport_error(error: OpenError<Infallible>) -> TransportError {
    match error {
        OpenError::Connect(never) => match never {},
        OpenError::Transport(error) => error,
    }
}

/// Opens a stream to a peer that is not ours.
pub(crate) async fn open_to(
    client: &ClientTransport,
    near: DuplexStream,
) -> Result<IoStream, TransportError> {
    let connect = async { Ok::<_, Infallible>(near) };
    client.open(&"192.0.2.1:8443".parse().unwrap(), connect).await.map_err(transport_error)
}

/// The error of a client whose peer sends these bytes and closes.
pub(crate) async fn open_to_bytes(client: &ClientTransport, bytes: &[u8]) -> TransportError {
    let (near, mut far) = duplex(WIRE_BYTES);
    far.write_all(bytes).await.unwrap();
    far.shutdown().await.unwrap();
    open_to(client, near).await.unwrap_err()
}

/// What a server does with these bytes, and what it answers.
pub(crate) async fn send_to(
    server: &ServerTransport,
    bytes: &[u8],
) -> (Result<Entered, TransportError>, Vec<u8>) {
    let (mut near, far) = duplex(WIRE_BYTES);
    near.write_all(bytes).await.unwrap();
    near.shutdown().await.unwrap();
    let entered = server.accept(far).await;
    let mut answer = vec![0; WIRE_BYTES];
    let length =
        if entered.is_ok() { near.read(&mut answer).await } else { read_all(&mut near, &mut answer).await };
    answer.truncate(length.unwrap());
    (entered, answer)
}

async fn read_all(stream: &mut DuplexStream, answer: &mut Vec<u8>) -> io::Result<usize> {
    answer.clear();
    stream.read_to_end(answer).await
}

/// The reason inside of the error of a stream.
#[track_caller]
pub(crate) fn reason<T: std::fmt::Debug>(result: io::Result<T>) -> TransportError {
    TransportError::of(&result.unwrap_err())
}
