//! Which headers go on from one connection to the next (RFC 9110 §7.6).

use hyper::{
    HeaderMap, Method,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};
use waypost_net::Attributes;
use waypost_wire::AbsoluteUri;

/// What the client asks of the origin server's connection, and not of this proxy's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wishes {
    /// The protocol to switch to.
    pub(super) upgrade: Option<HeaderValue>,
    /// It understands trailers.
    trailers: bool,
}

/// Removes what is for one connection only, and yields what is asked for in it.
pub(super) fn strip(headers: &mut HeaderMap) -> Wishes {
    let options: Vec<String> = list(headers, &CONNECTION).collect();
    let wishes = Wishes {
        upgrade: headers.get(UPGRADE).filter(|_| options.iter().any(|option| option == "upgrade")).cloned(),
        trailers: list(headers, &TE).any(|coding| coding == "trailers"),
    };
    let named = options.iter().filter_map(|option| HeaderName::from_bytes(option.as_bytes()).ok());
    // What frames the body and what names the server goes on, whatever `Connection` says of it.
    let named = named.filter(|name| ![CONTENT_LENGTH, HOST, TRAILER].contains(name));
    let of_proxies = headers.keys().filter(|name| name.as_str().starts_with("proxy-")).cloned();
    let fixed = [CONNECTION, HeaderName::from_static("keep-alive"), TE, UPGRADE, TRANSFER_ENCODING];
    let removed: Vec<HeaderName> = named.chain(of_proxies).chain(fixed).collect();
    for name in removed {
        headers.remove(name);
    }
    wishes
}

/// Asks the same of the next connection. An upgrade that is not wished for is not asked for.
pub(super) fn ask(headers: &mut HeaderMap, wishes: Wishes) {
    let options = match (&wishes.upgrade, wishes.trailers) {
        (Some(_), true) => "upgrade, te",
        (Some(_), false) => "upgrade",
        (None, true) => "te",
        (None, false) => return,
    };
    headers.insert(CONNECTION, HeaderValue::from_static(options));
    if let Some(protocol) = wishes.upgrade {
        headers.insert(UPGRADE, protocol);
    }
    if wishes.trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// What rules see of a request.
pub(super) fn attributes(method: &Method, uri: &AbsoluteUri, headers: &HeaderMap) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.insert(":method", &method.as_str().to_ascii_uppercase());
    attributes.insert(":path", &uri.decoded_path());
    attributes.insert("host", &uri.host());
    // Of a header that comes several times, V2Ray's attribute has the first value.
    for name in headers.keys().filter(|name| **name != HOST) {
        if let Some(value) = headers.get(name) {
            attributes.insert(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
        }
    }
    attributes
}

/// The elements of a header that is a list, in lower case.
fn list(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|element| element.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(pair).collect()
    }

    #[test]
    fn headers_for_this_hop_are_not_sent_on() {
        let mut stripped = headers(&[
            ("connection", "close, X-Mine , content-length"),
            ("connection", "host,not a name"),
            ("x-mine", "1"),
            ("x-mine-too", "2"),
            ("host", "a"),
            ("content-length", "5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("keep-alive", "5"),
            ("te", "gzip, trailers"),
            ("trailer", "expires"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"),
        ]);
        let wishes = strip(&mut stripped);
        assert_eq!(wishes, Wishes { upgrade: None, trailers: true });
        let left = [("x-mine-too", "2"), ("host", "a"), ("content-length", "5"), ("trailer", "expires")];
        assert_eq!(stripped, headers(&left));
        ask(&mut stripped, wishes);
        assert_eq!(
            (&stripped["connection"], &stripped["te"]),
            (&"te".parse().unwrap(), &"trailers".parse().unwrap())
        );
    }

    #[test]
    fn an_upgrade_is_asked_for_again() {
        let mut asked = headers(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        let wishes = strip(&mut asked);
        assert!(asked.is_empty());
        ask(&mut asked, wishes);
        assert_eq!(asked, headers(&[("connection", "upgrade"), ("upgrade", "websocket")]));
    }

    #[test]
    fn rules_see_a_request() {
        let uri = AbsoluteUri::parse("http://a:81/x%20y?z").unwrap();
        let headers = headers(&[("host", "other"), ("x-a", "1"), ("x-a", "2")]);
        let attributes = attributes(&Method::from_bytes(b"get").unwrap(), &uri, &headers);
        for (key, value) in [
            (":method", Some("GET")),
            (":path", Some("/x y")),
            ("host", Some("a:81")),
            ("x-a", Some("1")),
            ("x", None),
        ] {
            assert_eq!(attributes.get(key), value, "{key}");
        }
    }
}
