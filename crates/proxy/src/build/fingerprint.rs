//! Whether two configurations were made from the same.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use waypost_config::{Source, model::Config};

use super::{assets::Assets, geo};
use crate::rule_sets::Stamp;

/// What a configuration was made from: the texts of its files, and which versions of geo files it read. Rule
/// sets in files are followed by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn new(source: &Source, config: &Config, assets: &Assets) -> Self {
        let mut digest = Sha256::new();
        for (name, span) in source.files() {
            digest.update(name.as_bytes());
            digest.update([0]);
            digest.update(source.text().as_bytes().get(span.start..span.end).unwrap_or_default());
            digest.update([0]);
        }
        for file in geo::named_files(config) {
            digest.update(file.as_bytes());
            let stamp = assets.find(file).and_then(|path| Stamp::of(Path::new(&path)));
            digest.update(format!("{stamp:?}"));
        }
        Self(digest.finalize().into())
    }
}
