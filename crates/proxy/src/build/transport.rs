//! TLS and transports of the configuration → what speaks them.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use waypost_config::{
    Diagnostic, Severity, Source, Span, Spanned,
    model::{self, Inbound, Layer, Outbound, OutboundProtocol, Pem, ProxyServer, Transport},
};
use waypost_net::Host;
use waypost_transport::{
    CertificateDer, ClientLayer, ClientOptions, ClientTls, ClientTransport, EarlyData, GrpcClient,
    GrpcServer, HttpUpgradeClient, HttpUpgradeServer, Identity, IdentitySource, Pin, Roots, ServerLayer,
    ServerOptions, ServerTls, ServerTransport, SetupError, TlsVersion, TlsVersions, WebSocketClient,
    WebSocketServer, certificates_from_pem,
};

/// Certificates are smaller, also all that a system trusts.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// What is laid over the way to each server of an outbound; nothing if that is plain.
pub(super) fn of_outbound(
    outbound: &Outbound,
    source: &Source,
    problems: &mut Vec<Diagnostic>,
) -> Vec<ClientTransport> {
    if outbound.transport.is_plain() {
        return Vec::new();
    }
    let files = Files { source };
    let made: Result<Vec<_>, Diagnostic> = hosts(&outbound.protocol)
        .into_iter()
        .map(|host| {
            let options = files.client(&outbound.transport, host)?;
            ClientTransport::try_new(&options).map_err(|error| files.problem(outbound.span, &error))
        })
        .collect();
    made.unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    })
}

/// What carries the protocol of an inbound; `None` if nothing does.
pub(super) fn of_inbound(
    inbound: &Inbound,
    source: &Source,
    problems: &mut Vec<Diagnostic>,
) -> Option<Arc<ServerTransport>> {
    if inbound.transport.is_plain() {
        return None;
    }
    let files = Files { source };
    let made = files.server(&inbound.transport).and_then(|options| {
        ServerTransport::try_new(&options).map_err(|error| files.problem(inbound.span, &error))
    });
    match made {
        Ok(transport) => Some(Arc::new(transport)),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// The hosts of the servers of an outbound.
fn hosts(protocol: &OutboundProtocol) -> Vec<&Host> {
    fn of<A>(servers: &[ProxyServer<A>]) -> Vec<&Host> {
        servers.iter().map(|server| &server.host).collect()
    }
    match protocol {
        OutboundProtocol::Socks(servers) | OutboundProtocol::Http(servers) => of(servers),
        OutboundProtocol::Shadowsocks(servers) => of(servers),
        OutboundProtocol::Vmess(servers) => of(servers),
        OutboundProtocol::Vless(servers) => of(servers),
        OutboundProtocol::Trojan(servers) => of(servers),
        OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Blackhole { .. }
        | OutboundProtocol::Dns(_)
        | OutboundProtocol::Api
        | OutboundProtocol::Loopback { .. }
        | OutboundProtocol::LoadBalance(_)
        | OutboundProtocol::Selector(_)
        | OutboundProtocol::UrlTest(_) => Vec::new(),
    }
}

/// Where certificates and keys are.
struct Files<'s> {
    source: &'s Source,
}

impl Files<'_> {
    fn problem(&self, span: Span, error: &dyn std::error::Error) -> Diagnostic {
        Diagnostic { severity: Severity::Error, span, message: error.to_string(), help: None }
    }

    /// A path begins in the folder of the file that it stands in.
    fn path(&self, written: &Spanned<Box<str>>) -> PathBuf {
        let file = Path::new(self.source.file_of(written.span.start));
        file.parent().unwrap_or_else(|| Path::new("")).join(&*written.value)
    }

    fn text(&self, pem: &Pem) -> Result<String, Diagnostic> {
        let written = match pem {
            Pem::Inline(text) => return Ok(text.value.expose().to_owned()),
            Pem::File(written) => written,
        };
        let path = self.path(written);
        let read = || -> io::Result<String> {
            let mut text = String::new();
            // A part of it would be a file as well, of fewer certificates.
            match fs::File::open(&path)?.take(MAX_PEM_BYTES + 1).read_to_string(&mut text)? as u64 {
                0..=MAX_PEM_BYTES => Ok(text),
                _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large for certificates")),
            }
        };
        read().map_err(|error| Diagnostic {
            severity: Severity::Error,
            span: written.span,
            message: format!("cannot read `{}`: {error}", path.display()),
            help: (error.kind() == io::ErrorKind::NotFound)
                .then(|| "a path begins in the folder of the configuration file".to_owned()),
        })
    }

    fn span(&self, pem: &Pem) -> Span {
        match pem {
            Pem::File(written) => written.span,
            Pem::Inline(written) => written.span,
        }
    }

    fn authorities(&self, pems: &[Pem]) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
        let mut certificates = Vec::new();
        for pem in pems {
            let read = certificates_from_pem(&self.text(pem)?);
            certificates.extend(read.map_err(|error| self.named(pem, &error))?);
        }
        Ok(certificates)
    }

    /// A problem with what is in a file, which is named.
    fn named(&self, pem: &Pem, error: &SetupError) -> Diagnostic {
        let message = match pem {
            Pem::File(written) => format!("`{}`: {error}", written.value),
            Pem::Inline(_) => error.to_string(),
        };
        Diagnostic { severity: Severity::Error, span: self.span(pem), message, help: None }
    }

    fn identity(&self, identity: &model::Identity) -> Result<Identity, Diagnostic> {
        let (certificate, key) = (self.text(&identity.certificate)?, self.text(&identity.key)?);
        Identity::from_pem(&certificate, &key).map_err(|error| self.named(&identity.certificate, &error))
    }

    fn client(
        &self,
        transport: &Transport<model::ClientTls>,
        host: &Host,
    ) -> Result<ClientOptions, Diagnostic> {
        let tls = transport.tls.as_ref().map(|tls| self.client_tls(tls, host)).transpose()?;
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let layer = match &transport.layer {
            Layer::Raw => ClientLayer::Raw,
            Layer::WebSocket(layer) => ClientLayer::WebSocket(WebSocketClient {
                path: layer.path.to_string(),
                host: text(&layer.host),
                headers: headers(&layer.headers),
                early_data: layer.early_data.as_ref().map(early_data),
            }),
            Layer::HttpUpgrade(layer) => ClientLayer::HttpUpgrade(HttpUpgradeClient {
                path: layer.path.to_string(),
                host: text(&layer.host),
                headers: headers(&layer.headers),
            }),
            Layer::Grpc(layer) => ClientLayer::Grpc(GrpcClient {
                service_name: layer.service_name.to_string(),
                authority: text(&layer.authority),
                user_agent: text(&layer.user_agent),
                idle_timeout: layer.idle_timeout,
                ping_timeout: layer.ping_timeout,
                permit_without_stream: layer.permit_without_stream,
            }),
        };
        Ok(ClientOptions { tls, layer })
    }

    fn client_tls(&self, tls: &model::ClientTls, host: &Host) -> Result<ClientTls, Diagnostic> {
        let own = self.authorities(&tls.authorities)?;
        let roots = match (own.is_empty(), tls.only_own_authorities) {
            (true, _) => Roots::Default,
            (false, true) => Roots::Own(own),
            (false, false) => Roots::DefaultAnd(own),
        };
        Ok(ClientTls {
            server_name: tls.server_name.clone().unwrap_or_else(|| host.clone()),
            disable_sni: tls.disable_sni,
            alpn: alpn(&tls.alpn),
            roots,
            pins: tls.pins.iter().map(pin).collect(),
            allow_insecure: tls.allow_insecure,
            identity: tls.identity.as_ref().map(|identity| self.identity(identity)).transpose()?,
            versions: versions(tls.versions),
        })
    }

    fn server(&self, transport: &Transport<model::ServerTls>) -> Result<ServerOptions, Diagnostic> {
        let tls = transport.tls.as_ref().map(|tls| self.server_tls(tls)).transpose()?;
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let layer = match &transport.layer {
            Layer::Raw => ServerLayer::Raw,
            Layer::WebSocket(layer) => ServerLayer::WebSocket(WebSocketServer {
                path: layer.path.to_string(),
                host: text(&layer.host),
                early_data: layer.early_data.as_ref().map(early_data),
                headers: headers(&layer.headers),
            }),
            Layer::HttpUpgrade(layer) => ServerLayer::HttpUpgrade(HttpUpgradeServer {
                path: layer.path.to_string(),
                host: text(&layer.host),
                headers: headers(&layer.headers),
            }),
            Layer::Grpc(layer) => ServerLayer::Grpc(GrpcServer {
                service_name: layer.service_name.to_string(),
                idle_timeout: layer.idle_timeout,
                ping_timeout: layer.ping_timeout,
            }),
        };
        Ok(ServerOptions { tls, layer })
    }

    fn server_tls(&self, tls: &model::ServerTls) -> Result<ServerTls, Diagnostic> {
        let identity = |identity: &model::Identity| match (&identity.certificate, &identity.key) {
            // What is in files is read again when they change; it has to be right from the start.
            (Pem::File(certificate), Pem::File(key)) => {
                self.identity(identity)?;
                Ok(IdentitySource::Files { certificate: self.path(certificate), key: self.path(key) })
            }
            (Pem::File(_) | Pem::Inline(_), _) => Ok(IdentitySource::Inline(self.identity(identity)?)),
        };
        let client_roots = self.authorities(&tls.client_authorities)?;
        Ok(ServerTls {
            identities: tls.identities.iter().map(identity).collect::<Result<_, Diagnostic>>()?,
            alpn: alpn(&tls.alpn),
            client_roots: Some(client_roots).filter(|roots| !roots.is_empty()),
            versions: versions(tls.versions),
            reject_unknown_sni: tls.reject_unknown_sni,
        })
    }
}

fn early_data(early: &model::EarlyData) -> EarlyData {
    EarlyData {
        max_bytes: usize::try_from(early.max_bytes).unwrap_or(usize::MAX),
        header: early.header.as_deref().map(str::to_owned),
    }
}

fn headers(headers: &[(Box<str>, Box<str>)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn alpn(protocols: &[Box<str>]) -> Vec<Vec<u8>> {
    protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
}

fn pin(pin: &model::Pin) -> Pin {
    match pin {
        model::Pin::Certificate(hash) => Pin::Certificate(*hash),
        model::Pin::Chain(hash) => Pin::Chain(*hash),
        model::Pin::PublicKey(hash) => Pin::PublicKey(*hash),
    }
}

fn versions(versions: model::TlsVersions) -> TlsVersions {
    let version = |version| match version {
        model::TlsVersion::V1_2 => TlsVersion::V1_2,
        model::TlsVersion::V1_3 => TlsVersion::V1_3,
    };
    TlsVersions { min: version(versions.least), max: version(versions.most) }
}
