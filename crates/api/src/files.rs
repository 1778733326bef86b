//! A folder of a web page that the user brings.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    time::UNIX_EPOCH,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use hyper::body::Frame;
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::{
    page::{enter_validator, is_known},
    respond::Refusal,
};

/// What is read of a file at once.
const CHUNK: usize = 64 << 10;

/// A body that somebody else makes, piece by piece; its length is what waits at most.
pub(crate) struct Pieces(pub(crate) mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// A file of the folder. Nothing outside of it is ever shown, whatever links it has.
pub(crate) async fn answer(folder: PathBuf, name: String, asked: HeaderMap) -> Response {
    let found = spawn_blocking(move || find(&folder, &name)).await;
    let Ok(Some((path, file, metadata))) = found else { return Refusal::NOT_FOUND.into_response() };
    let tag = tag(&metadata);
    let mut response = if is_known(&asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let (sender, pieces) = mpsc::channel(2);
        let length = metadata.len();
        spawn_blocking(move || read(file, length, &sender));
        let mut response = Response::new(Body::new(Pieces(pieces)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type(&path));
        headers.insert(header::CONTENT_LENGTH, length.into());
        response
    };
    enter_validator(response.headers_mut(), &tag);
    response
}

fn find(folder: &Path, name: &str) -> Option<(PathBuf, File, Metadata)> {
    let root = folder.canonicalize().ok()?;
    let mut path = root.clone();
    for part in name.split('/') {
        // Among the names with a dot in front are `..`, and files that are not meant to be seen.
        if part.starts_with('.') || part.contains(['\\', '\0']) {
            return None;
        }
        path.push(part);
    }
    let mut path = path.canonicalize().ok()?;
    if path.is_dir() {
        path = path.join("index.html").canonicalize().ok()?;
    }
    // Links have been followed.
    if !path.starts_with(&root) {
        return None;
    }
    // To open a pipe would wait for whoever writes to it.
    path.metadata().ok().filter(Metadata::is_file)?;
    let file = File::open(&path).ok()?;
    let metadata = file.metadata().ok()?;
    Some((path, file, metadata))
}

/// Sends so many bytes of a file, or as many as it has, unless nobody wants more.
fn read(file: File, length: u64, to: &mpsc::Sender<io::Result<Bytes>>) {
    let mut rest = file.take(length);
    loop {
        let mut piece = Vec::with_capacity(CHUNK);
        let read = rest.by_ref().take(CHUNK as u64).read_to_end(&mut piece);
        let piece = match read {
            Ok(0) => return,
            Ok(_) => Ok(Bytes::from(piece)),
            Err(error) => Err(error),
        };
        let is_broken = piece.is_err();
        if to.blocking_send(piece).is_err() || is_broken {
            return;
        }
    }
}

/// Tells versions of a file apart by size and time.
fn tag(metadata: &Metadata) -> String {
    let changed = metadata.modified().ok().and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
    format!("W/\"{:x}-{:x}\"", metadata.len(), changed.unwrap_or_default().as_nanos())
}

fn content_type(path: &Path) -> HeaderValue {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    HeaderValue::from_static(match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/vnd.microsoft.icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "wasm" => "application/wasm",
        "xml" => "text/xml; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}
