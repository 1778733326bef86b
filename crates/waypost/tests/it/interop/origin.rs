//! What connections lead to: sends, takes in and echoes, so that every byte can be checked.

use std::{net::SocketAddr, sync::OnceLock};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What one large transfer carries.
pub(super) const LARGE_BYTES: usize = 64 << 20;
/// How much is made at a time.
const PIECE_BYTES: usize = 1 << 16;

/// Sends so much.
pub(super) const DOWN: u8 = b'd';
/// Takes in so much, and answers its checksum.
pub(super) const UP: u8 = b'u';
/// Sends eight bytes back.
pub(super) const ECHO: u8 = b'e';

/// A server of large and small answers.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
}

impl Origin {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away ends its connection only.
                tokio::spawn(async move { drop(serve(stream).await) });
            }
        });
        Self { address }
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match stream.read_u8().await? {
        DOWN => stream.write_all(bytes()).await?,
        UP => {
            let digest = take_in(&mut stream).await?;
            stream.write_all(&digest).await?;
        }
        _ => {
            let mut token = [0; 8];
            stream.read_exact(&mut token).await?;
            stream.write_all(&token).await?;
        }
    }
    stream.shutdown().await?;
    // The other end closes first, or a reset would overtake the answer.
    stream.read(&mut [0; 1]).await.map(drop)
}

/// What is sent, never the same for long, and its checksum.
fn large() -> &'static (Vec<u8>, [u8; 32]) {
    static LARGE: OnceLock<(Vec<u8>, [u8; 32])> = OnceLock::new();
    LARGE.get_or_init(|| {
        let mut bytes = vec![0; LARGE_BYTES];
        StdRng::seed_from_u64(7).fill_bytes(&mut bytes);
        let digest = Sha256::digest(&bytes).into();
        (bytes, digest)
    })
}

/// A large transfer.
pub(super) fn bytes() -> &'static [u8] {
    &large().0
}

/// Its checksum.
pub(super) fn checksum() -> [u8; 32] {
    large().1
}

/// Reads a large transfer, and says its checksum.
pub(super) async fn take_in(stream: &mut TcpStream) -> std::io::Result<[u8; 32]> {
    let (mut hash, mut left) = (Sha256::new(), LARGE_BYTES);
    let mut buffer = vec![0; PIECE_BYTES];
    while left > 0 {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        hash.update(&buffer[..count]);
        left = left.saturating_sub(count);
    }
    Ok(hash.finalize().into())
}
