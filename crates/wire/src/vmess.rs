//! VMess with AEAD headers, as V2Ray 4.28 introduced it. The headers of before (alter ids above 0) are not
//! spoken.

mod chunks;
mod client;
mod cryption;
mod header;
mod kdf;
mod lengths;
mod opener;
mod replay;
mod sealer;
mod server;
mod user;

pub use chunks::MAX_VMESS_DATAGRAM_BYTES;
pub use client::{VmessClient, VmessRequest};
pub use header::{UnknownSecurity, VmessSecurity};
pub use opener::{VmessOpenError, VmessOpener};
pub use replay::ReplayFilter;
pub use sealer::VmessSealer;
pub use server::{VmessAccepted, VmessServer, VmessServerError};
pub use user::VmessUser;
