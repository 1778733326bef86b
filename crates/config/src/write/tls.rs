//! Parts of TLS that both dialects write in the same way, under keys of their own.

use super::json::Fields;
use crate::model::{Pem, TlsVersion, TlsVersions};

/// The oldest and the newest version, where they are not the default.
pub(super) fn put_versions(versions: TlsVersions, [oldest, newest]: [&str; 2], fields: &mut Fields) {
    let TlsVersions { least, most } = versions;
    let default = TlsVersions::default();
    fields.put_some(oldest, (least != default.least).then(|| version(least)));
    fields.put_some(newest, (most != default.most).then(|| version(most)));
}

fn version(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    }
}

/// PEM under the key of a path, or its lines under the key of the text.
pub(super) fn put_pem(pem: &Pem, [file, text]: [&str; 2], fields: &mut Fields) {
    match pem {
        Pem::File(path) => fields.put(file, &*path.value),
        Pem::Inline(inline) => fields.put(text, inline.value.expose().split('\n').collect::<Vec<_>>()),
    }
}
