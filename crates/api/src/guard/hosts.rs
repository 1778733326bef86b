//! The names that the interface may be called by. A page of another site can point a name of its own at
//! this machine, and would then count as the same site: such names are refused ("DNS rebinding").

use std::net::IpAddr;

use axum::http::{header, request::Parts, uri::Authority};

use crate::ListenOn;

#[derive(Debug)]
pub(super) struct Hosts {
    /// The address that it listens on, unless that stands for all addresses.
    bound: Option<IpAddr>,
    allowed: Box<[String]>,
}

impl Hosts {
    pub(super) fn new(listen: &ListenOn, allowed: &[String]) -> Self {
        let bound = match listen {
            ListenOn::Tcp(address) => Some(address.ip().to_canonical()).filter(|ip| !ip.is_unspecified()),
            ListenOn::Unix(_) => None,
        };
        Self { bound, allowed: allowed.iter().map(|name| plain(name)).collect() }
    }

    /// What a request calls the interface, with the port, if it may be called so. `local` is the address
    /// that the client reached.
    pub(super) fn called(&self, request: &Parts, local: Option<IpAddr>) -> Option<String> {
        let mut hosts = request.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
        let host: Authority = host.to_str().ok()?.parse().ok()?;
        let in_line = request.uri.authority();
        if in_line.is_some_and(|in_line| in_line != &host) || host.as_str().contains('@') {
            return None;
        }
        self.admits(host.host(), local).then(|| host.as_str().to_ascii_lowercase())
    }

    fn admits(&self, host: &str, local: Option<IpAddr>) -> bool {
        let host = plain(host);
        if self.allowed.contains(&host) || host == "localhost" || host.ends_with(".localhost") {
            return true;
        }
        let Ok(ip) = host.parse::<IpAddr>() else { return false };
        let ip = ip.to_canonical();
        ip.is_loopback() || Some(ip) == self.bound || Some(ip) == local
    }
}

/// A host as it is compared: in small letters, without brackets and the dot at the end.
fn plain(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[track_caller]
    fn check(listen: &str, uri: &str, host: &[&str], is_admitted: bool) {
        let hosts = Hosts::new(
            &ListenOn::Tcp(listen.parse().unwrap()),
            &["Board.example.".into(), "[2001:db8::5]".into()],
        );
        let mut request = Request::builder().uri(uri);
        for host in host {
            request = request.header(header::HOST, *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let called = hosts.called(&parts, "192.0.2.7".parse().ok());
        assert_eq!(called.is_some(), is_admitted, "{host:?}");
    }

    #[test]
    fn it_may_be_called_by_loopback_names_its_address_and_what_is_allowed() {
        const ANY: &str = "0.0.0.0:9090";
        for host in [
            "localhost",
            "LOCALHOST:9090",
            "localhost.:1",
            "board.localhost",
            "127.0.0.1:9090",
            "127.9.9.9",
            "[::1]:9090",
            "board.EXAMPLE:80",
            "board.example.",
            "192.0.2.7:9090",
            "[::ffff:127.0.0.1]",
            "[2001:db8::5]:9090",
        ] {
            check(ANY, "/", &[host], true);
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "[2001:db8::1]",
            "a@localhost",
            "",
            "127.0.0.1.evil.example",
            "evillocalhost",
            "0.0.0.0",
            "127.1",
            "2130706433",
        ] {
            check(ANY, "/", &[host], false);
        }
        check("198.51.100.1:9090", "/", &["198.51.100.1:9090"], true);
    }

    #[test]
    fn it_is_called_by_one_name() {
        const LOOPBACK: &str = "127.0.0.1:9090";
        check(LOOPBACK, "/", &[], false);
        check(LOOPBACK, "/", &["localhost", "localhost"], false);
        check(LOOPBACK, "http://localhost/", &["localhost"], true);
        check(LOOPBACK, "http://evil.example/", &["localhost"], false);
        check(LOOPBACK, "http://localhost/", &["evil.example"], false);
    }
}
