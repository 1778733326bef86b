//! What a link says of a server, and the outbound that it means.

use super::{
    LinkError,
    made::{Members, list, number, object, word},
    stream::Stream,
};
use crate::{Options, Severity, Source, json::Value, model::Outbound, report::Report, v2ray};

/// A server as a link or an entry of a list describes it, in the words of V2Ray.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) login: Login,
    pub(super) stream: Stream,
    /// Whether datagrams go there, too.
    pub(super) udp: bool,
}

/// The protocol, and how this end proves itself.
pub(super) enum Login {
    Shadowsocks { method: String, password: String },
    Vmess { id: String, alter_id: String, security: String },
    Vless { id: String, encryption: String, flow: String },
    Trojan { password: String, flow: String },
    Socks(Option<(String, String)>),
    Http(Option<(String, String)>),
}

impl Server {
    /// The outbound, read as one of a file, with what is doubtful about it.
    pub(super) fn outbound(self) -> Result<(Outbound, Vec<Box<str>>), LinkError> {
        let Self { host, port, login, stream, udp } = self;
        let (protocol, settings) = login.settings(&host, port);
        let outbound = object([
            ("protocol", word(protocol)),
            ("settings", settings),
            ("streamSettings", stream.settings(&host)),
        ]);
        // Without a way in, no configuration is one.
        let inbound =
            object([("protocol", word("socks")), ("listen", word("127.0.0.1")), ("port", number(1080))]);
        let root = object([("inbounds", list([inbound])), ("outbounds", list([outbound]))]);
        let refused = |message: &str, help: Option<&str>| LinkError::Refused {
            message: message.into(),
            help: help.map(Into::into),
        };
        let source = Source::of_files("", []).map_err(|error| refused(&error.to_string(), None))?;
        let options = Options::default();
        let mut report = Report::new(&source, &options);
        let config = v2ray::read(&root, &mut report);
        let diagnostics = report.finish();
        if let Some(error) = diagnostics.iter().find(|found| found.severity == Severity::Error) {
            return Err(refused(&error.message, error.help.as_deref()));
        }
        let outbound = config.and_then(|mut config| config.outbounds.pop());
        let Some(mut outbound) = outbound else { return Err(refused("it makes no outbound", None)) };
        outbound.networks.udp &= udp;
        Ok((outbound, diagnostics.into_iter().map(|found| found.message.into()).collect()))
    }
}

impl Login {
    /// The protocol, and the object `settings`.
    fn settings(self, host: &str, port: u16) -> (&'static str, Value) {
        let mut server = Members::default();
        server.text("address", host);
        server.put("port", number(port.into()));
        let (protocol, servers) = match self {
            Self::Shadowsocks { method, password } => {
                server.put("method", word(&method));
                server.put("password", word(&password));
                ("shadowsocks", "servers")
            }
            Self::Trojan { password, flow } => {
                server.put("password", word(&password));
                server.text("flow", &flow);
                ("trojan", "servers")
            }
            Self::Vmess { id, alter_id, security } => {
                let mut user = Members::default();
                user.put("id", word(&id));
                user.count("alterId", &alter_id);
                user.text("security", &security);
                server.put("users", list([user.into()]));
                ("vmess", "vnext")
            }
            Self::Vless { id, encryption, flow } => {
                let mut user = Members::default();
                user.put("id", word(&id));
                user.put("encryption", word(if encryption.is_empty() { "none" } else { &encryption }));
                user.text("flow", &flow);
                server.put("users", list([user.into()]));
                ("vless", "vnext")
            }
            Self::Socks(account) => {
                server.put_if(account.is_some(), "users", || users(account.as_ref()));
                ("socks", "servers")
            }
            Self::Http(account) => {
                server.put_if(account.is_some(), "users", || users(account.as_ref()));
                ("http", "servers")
            }
        };
        (protocol, object([(servers, list([server.into()]))]))
    }
}

fn users(account: Option<&(String, String)>) -> Value {
    list(account.iter().map(|(user, password)| object([("user", word(user)), ("pass", word(password))])))
}
