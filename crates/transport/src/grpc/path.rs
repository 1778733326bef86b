use crate::SetupError;

/// The paths of the two calls of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    /// One piece of bytes in a message.
    pub(super) tun: String,
    /// Xray's: several pieces in a message.
    pub(super) tun_multi: String,
}

impl Paths {
    /// The paths that Xray makes of a service name: `name` gives `/name/Tun`; with a slash in front it is a
    /// path of its own, `/some/path/stream`, for a server also with both calls, `/some/path/one|many`.
    pub(super) fn try_new(name: &str) -> Result<Self, SetupError> {
        let wrong = || SetupError::ServiceName { name: name.into() };
        if name.chars().any(char::is_control) {
            return Err(wrong());
        }
        let Some(path) = name.strip_prefix('/') else {
            let service = escape(name);
            return Ok(Self { tun: format!("/{service}/Tun"), tun_multi: format!("/{service}/TunMulti") });
        };
        let (service, streams) = path.rsplit_once('/').ok_or_else(wrong)?;
        let service = service.split('/').map(escape).collect::<Vec<_>>().join("/");
        let (one, many) = streams.split_once('|').unwrap_or((streams, streams));
        if service.is_empty() || one.is_empty() || many.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            tun: format!("/{service}/{}", escape(one)),
            tun_multi: format!("/{service}/{}", escape(many)),
        })
    }

    /// Whether a request is for one of them, however it is escaped.
    pub(super) fn serve(&self, path: &str) -> bool {
        let path = unescape(path);
        path == unescape(&self.tun) || path == unescape(&self.tun_multi)
    }
}

/// What Go leaves as it is in a segment of a path.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~$&+=:@".contains(&byte)
}

fn escape(segment: &str) -> String {
    let mut escaped = String::new();
    for byte in segment.bytes() {
        if is_plain(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn unescape(path: &str) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        rest = after;
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(u8::try_from(high * 16 + low).unwrap_or(byte));
                rest = after.get(2..).unwrap_or_default();
            }
            _ => plain.push(byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<(&str, &str)>) {
        let expected =
            expected.map(|(tun, multi)| Paths { tun: tun.to_owned(), tun_multi: multi.to_owned() });
        assert_eq!(Paths::try_new(name).ok(), expected);
    }

    #[test]
    fn names_give_the_paths_that_xray_makes_of_them() {
        check("GunService", Some(("/GunService/Tun", "/GunService/TunMulti")));
        check("my service/x", Some(("/my%20service%2Fx/Tun", "/my%20service%2Fx/TunMulti")));
        check("", Some(("//Tun", "//TunMulti")));
        check("/my/path/a|b", Some(("/my/path/a", "/my/path/b")));
        check("/my/a b", Some(("/my/a%20b", "/my/a%20b")));
        check("/alone", None);
        check("//x", None);
        check("/a/", None);
        check("a\nb", None);
    }

    #[test]
    fn a_path_is_served_however_it_is_escaped() {
        let paths = Paths::try_new("my service").unwrap();
        for (path, expected) in [
            ("/my%20service/Tun", true),
            ("/my service/Tun", true),
            ("/my%20service/TunMulti", true),
            ("/my%2", false),
            ("/other/Tun", false),
        ] {
            assert_eq!(paths.serve(path), expected, "{path}");
        }
    }
}
