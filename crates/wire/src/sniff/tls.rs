use waypost_net::Host;

use super::{Sniff, Sniffed};
use crate::client_hello::{ClientHello, Stop};

/// The extension `server_name` (RFC 6066 §3).
const SERVER_NAME: usize = 0;
/// The only kind of name that there is (RFC 6066 §3).
const HOST_NAME: usize = 0;
/// No name is longer (RFC 1035 §2.3.4).
const MAX_NAME_BYTES: usize = 255;

pub(super) fn sniff(bytes: &[u8]) -> Sniff {
    match ClientHello::begin(bytes).and_then(|mut hello| server_name(&mut hello)) {
        Ok(host) => Sniff::Found(Sniffed::new("tls", host)),
        Err(Stop::Short) => Sniff::NeedMore,
        Err(Stop::Malformed) => Sniff::Unknown,
    }
}

/// The name in a hello whose body begins here.
pub(super) fn server_name(hello: &mut ClientHello<'_>) -> Result<Option<Host>, Stop> {
    hello.enter_extensions()?;
    while let Some(extension) = hello.next_extension()? {
        if extension.kind == SERVER_NAME {
            return read_list(hello, extension.length);
        }
        hello.skip(extension.length)?;
    }
    Ok(None)
}

/// The first host name of the list.
fn read_list(hello: &mut ClientHello<'_>, extension_bytes: usize) -> Result<Option<Host>, Stop> {
    let mut left = hello.number(2)?;
    if left + 2 != extension_bytes {
        return Err(Stop::Malformed);
    }
    while left > 0 {
        let (kind, length) = (hello.number(1)?, hello.number(2)?);
        left = left.checked_sub(1 + 2 + length).ok_or(Stop::Malformed)?;
        if kind == HOST_NAME {
            return read_name(hello, length);
        }
        hello.skip(length)?;
    }
    Ok(None)
}

/// A valid name, which has no dot at its end (RFC 6066 §3), or an address, which some clients send.
fn read_name(hello: &mut ClientHello<'_>, length: usize) -> Result<Option<Host>, Stop> {
    let mut buffer = [0; MAX_NAME_BYTES];
    let Some(name) = buffer.get_mut(..length) else {
        hello.skip(length)?;
        return Ok(None);
    };
    hello.copy(name)?;
    let text = std::str::from_utf8(name).ok().filter(|text| text.is_ascii() && !text.ends_with('.'));
    Ok(text.and_then(|text| Host::parse(text).ok()))
}
