//! The identities of a server, which are read again when their files change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::crypto::CryptoProvider;

use super::identity::{Identity, IdentitySource, Pem, Shown};
use crate::{PemSource, SetupError};

/// A chain of certificates has some KiB.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// An identity, and whether it may be another one by now.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) shown: Shown,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    certificate: Arc<PathBuf>,
    key: Arc<PathBuf>,
    /// How the files were when they were last read, whether they could be used or not.
    seen: [Stamp; 2],
}

/// What tells a changed file, without reading it; of a file that is not there, nothing.
type Stamp = Option<(u64, Option<SystemTime>)>;

impl Kept {
    pub(super) fn load(source: &IdentitySource, provider: &CryptoProvider) -> Result<Self, SetupError> {
        match source {
            IdentitySource::Inline(identity) => {
                let inline = PemSource::Inline;
                let shown = Arc::new(identity.certified(provider, &inline, &inline)?);
                Ok(Self { shown, files: None })
            }
            IdentitySource::Files { certificate, key } => {
                let seen = [stamp(certificate), stamp(key)];
                let files =
                    Files { certificate: Arc::new(certificate.clone()), key: Arc::new(key.clone()), seen };
                Ok(Self { shown: files.load(provider)?, files: Some(files) })
            }
        }
    }

    /// Reads the files again if they have changed; says whether the identity is a new one. A change
    /// that cannot be used is told once.
    pub(super) fn refresh(&mut self, provider: &CryptoProvider) -> Result<bool, SetupError> {
        let Some(files) = &mut self.files else { return Ok(false) };
        let seen = [stamp(&files.certificate), stamp(&files.key)];
        if seen == files.seen {
            return Ok(false);
        }
        files.seen = seen;
        self.shown = files.load(provider)?;
        Ok(true)
    }
}

impl Files {
    fn load(&self, provider: &CryptoProvider) -> Result<Shown, SetupError> {
        let certificate_source = PemSource::File(self.certificate.clone());
        let key_source = PemSource::File(self.key.clone());
        let (certificate, key) =
            (read(&self.certificate, &certificate_source)?, read(&self.key, &key_source)?);
        let certificate = Pem { text: &certificate, source: &certificate_source };
        let key = Pem { text: &key, source: &key_source };
        let identity = Identity::read(&certificate, &key)?;
        Ok(Arc::new(identity.certified(provider, &certificate_source, &key_source)?))
    }
}

fn stamp(path: &Path) -> Stamp {
    fs::metadata(path).ok().map(|metadata| (metadata.len(), metadata.modified().ok()))
}

fn read(path: &Path, file: &PemSource) -> Result<Vec<u8>, SetupError> {
    let failed = |error: io::Error| SetupError::Read { file: file.clone(), kind: error.kind() };
    let mut bytes = Vec::new();
    let opened = fs::File::open(path).map_err(failed)?;
    io::Read::read_to_end(&mut io::Read::take(opened, MAX_PEM_BYTES + 1), &mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_PEM_BYTES) {
        Ok(bytes)
    } else {
        Err(SetupError::TooLarge { file: file.clone(), max_bytes: MAX_PEM_BYTES })
    }
}
