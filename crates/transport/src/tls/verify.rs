use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{ClientTls, Pin, Roots, der};
use crate::{SetupError, TransportError};

/// Decides whether the certificate of a server is good.
#[derive(Debug)]
pub(super) struct Verifier {
    /// What is checked without pins; `None`: nothing.
    usual: Option<Usual>,
    pins: Vec<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
    provider: Arc<CryptoProvider>,
}

/// The usual checks.
#[derive(Debug)]
struct Usual {
    by_roots: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that are trusted as they are, also if no authority may have such a one.
    own: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn try_new(options: &ClientTls, provider: Arc<CryptoProvider>) -> Result<Self, SetupError> {
        let usual = if options.allow_insecure { None } else { Some(Usual::try_new(options, &provider)?) };
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { usual, pins: options.pins.clone(), algorithms, provider })
    }

    fn check(&self, shown: &Shown<'_>) -> Result<(), Error> {
        if self.pins.is_empty() {
            return self.check_usual(shown);
        }
        let leaf = shown.leaf_hash();
        if self.pins.iter().any(|pin| match pin {
            Pin::Certificate(hash) => *hash == leaf,
            Pin::PublicKey(hash) => shown.public_key_hash().is_ok_and(|presented| presented == *hash),
            Pin::Chain(_) => false,
        }) {
            return Ok(());
        }
        if let Some(authority) = shown.intermediates.iter().find(|certificate| {
            let hash = sha256(&[certificate]);
            self.pins.contains(&Pin::Certificate(hash))
        }) {
            return self.check_issued_by(authority, shown);
        }
        let chain = Pin::Chain(shown.chain_hash());
        if self.pins.contains(&chain) {
            return self.check_usual(shown);
        }
        let reason = TransportError::PinMismatch { presented: self.presented(shown) };
        Err(Error::Other(OtherError(Arc::new(reason))))
    }

    fn check_usual(&self, shown: &Shown<'_>) -> Result<(), Error> {
        self.usual.as_ref().map_or(Ok(()), |usual| usual.check(shown))
    }

    /// With this certificate as the only authority.
    fn check_issued_by(&self, authority: &CertificateDer<'_>, shown: &Shown<'_>) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone()).build();
        let verifier = verifier.map_err(|problem| Error::General(problem.to_string()))?;
        shown.check_by(&verifier)
    }

    /// What the server has, as the kinds of pins that are wanted see it.
    fn presented(&self, shown: &Shown<'_>) -> Vec<Pin> {
        let wants = |kind: fn(&Pin) -> bool| self.pins.iter().any(kind);
        let certificate =
            wants(|pin| matches!(pin, Pin::Certificate(_))).then(|| Pin::Certificate(shown.leaf_hash()));
        let chain = wants(|pin| matches!(pin, Pin::Chain(_))).then(|| Pin::Chain(shown.chain_hash()));
        let wants_key = wants(|pin| matches!(pin, Pin::PublicKey(_)));
        let key = wants_key.then(|| shown.public_key_hash().ok().map(Pin::PublicKey)).flatten();
        [certificate, chain, key].into_iter().flatten().collect()
    }
}

impl Usual {
    fn try_new(options: &ClientTls, provider: &Arc<CryptoProvider>) -> Result<Self, SetupError> {
        let mut roots = RootCertStore::empty();
        let own = match &options.roots {
            Roots::Default => &[],
            Roots::Own(own) | Roots::DefaultAnd(own) => own.as_slice(),
        };
        match &options.roots {
            Roots::Own(_) => {}
            Roots::Default | Roots::DefaultAnd(_) => {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
        add_roots(&mut roots, own)?;
        if roots.is_empty() {
            return Err(SetupError::NoRoots);
        }
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let by_roots = builder.build().map_err(|_no_roots| SetupError::NoRoots)?;
        Ok(Self { by_roots: Some(by_roots), own: own.to_vec() })
    }

    fn check(&self, shown: &Shown<'_>) -> Result<(), Error> {
        if self.own.iter().any(|own| own == shown.leaf) {
            return shown.check_as_it_is();
        }
        match &self.by_roots {
            Some(verifier) => shown.check_by(verifier),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }
}

/// Adds certificates of authorities to those that are trusted.
pub(super) fn add_roots(
    roots: &mut RootCertStore,
    certificates: &[CertificateDer<'static>],
) -> Result<(), SetupError> {
    for (index, certificate) in certificates.iter().enumerate() {
        roots
            .add(certificate.clone())
            .map_err(|problem| SetupError::BadRoot { number: index + 1, problem })?;
    }
    Ok(())
}

/// What a server shows of itself.
struct Shown<'a> {
    leaf: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    server_name: &'a ServerName<'a>,
    now: UnixTime,
}

impl Shown<'_> {
    fn check_by(&self, verifier: &WebPkiServerVerifier) -> Result<(), Error> {
        verifier.verify_server_cert(self.leaf, self.intermediates, self.server_name, &[], self.now).map(drop)
    }

    /// Without asking who has issued it.
    fn check_as_it_is(&self) -> Result<(), Error> {
        let (from, to) = der::certificate_validity(self.leaf).ok_or(CertificateError::BadEncoding)?;
        let time = self.now;
        if time.as_secs() < from {
            let not_before = UnixTime::since_unix_epoch(std::time::Duration::from_secs(from));
            return Err(CertificateError::NotValidYetContext { time, not_before }.into());
        }
        if time.as_secs() > to {
            let not_after = UnixTime::since_unix_epoch(std::time::Duration::from_secs(to));
            return Err(CertificateError::ExpiredContext { time, not_after }.into());
        }
        verify_server_name(&ParsedCertificate::try_from(self.leaf)?, self.server_name)
    }

    fn leaf_hash(&self) -> [u8; 32] {
        sha256(&[self.leaf])
    }

    fn public_key_hash(&self) -> Result<[u8; 32], Error> {
        Ok(sha256(&[&ParsedCertificate::try_from(self.leaf)?.subject_public_key_info()]))
    }

    /// See [`Pin::Chain`].
    fn chain_hash(&self) -> [u8; 32] {
        let hashes = self.intermediates.iter().map(|certificate| sha256(&[certificate]));
        hashes.fold(self.leaf_hash(), |chain, next| sha256(&[&chain, &next]))
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = [0; 32];
    let whole = digest(&SHA256, &parts.concat());
    hash.iter_mut().zip(whole.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(&Shown { leaf, intermediates, server_name, now }).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
