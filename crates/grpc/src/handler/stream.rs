//! `streamSettings`.

use tonic::Status;

use super::fields::Fields;
use crate::{
    family::Family,
    messages::proxy::{Stream, Tcp, Transport, V2raySocket, XraySocket},
    typed::{self, Typed},
};

/// What V2Ray calls its transports by number, where it does not name them.
const PROTOCOLS: [&str; 6] = ["tcp", "udp", "mkcp", "websocket", "http", "domainsocket"];
const V2RAY_SOCKET: [u32; 8] = [1, 2, 3, 4, 8, 9, 10, 11];
const XRAY_SOCKET: [u32; 9] = [1, 2, 3, 4, 10, 11, 12, 13, 16];

/// Reads what carries connections. Another transport than TCP is refused when the file is read.
pub(super) fn read(stream: &[u8], family: Family) -> Result<Fields, Status> {
    let stream: Stream = typed::read(stream, &[1, 2, 3, 4, 5, 6], "StreamConfig")?;
    let mut fields = Fields::default();
    let named = name_of(stream.protocol, &stream.protocol_name)?;
    if named == "tcp" {
        stream.transport_settings.iter().try_for_each(check_tcp)?;
    } else {
        fields.put("network", named);
    }
    fields.put_text("security", &stream.security_type);
    if !stream.socket.is_empty() {
        let socket = match family {
            Family::V2ray => v2ray(&typed::read(&stream.socket, &V2RAY_SOCKET, "SocketConfig")?),
            Family::Xray => xray(&typed::read(&stream.socket, &XRAY_SOCKET, "SocketConfig")?),
        };
        fields.put_filled("sockopt", socket);
    }
    Ok(fields)
}

/// The name of a transport that has one, or only a number.
fn name_of(number: i32, name: &str) -> Result<&str, Status> {
    let by_number = usize::try_from(number).ok().and_then(|number| PROTOCOLS.get(number));
    match (name, by_number) {
        ("", Some(name)) => Ok(name),
        ("", None) => Err(Status::unimplemented(format!("the transport {number} is not available"))),
        (name, _) => Ok(name),
    }
}

/// Refuses settings of TCP that say more than nothing, such as a header that looks like HTTP.
fn check_tcp(transport: &Transport) -> Result<(), Status> {
    if name_of(transport.protocol, &transport.protocol_name)? != "tcp" {
        return Ok(());
    }
    let Some(settings) = transport.settings.as_ref().filter(|settings| !settings.r#type.is_empty()) else {
        return Ok(());
    };
    let tcp: Tcp = Typed::of(Some(settings), "settings of TCP")?.read(&[2])?;
    let Some(header) = tcp.header_settings.as_ref().filter(|header| !header.r#type.is_empty()) else {
        return Ok(());
    };
    let header = Typed::of(Some(header), "header")?;
    if header.name == "transport.internet.headers.noop.ConnectionConfig" {
        return Ok(());
    }
    Err(header.refuse("header"))
}

fn v2ray(socket: &V2raySocket) -> Fields {
    let mut fields = Fields::default();
    fields.put_number("mark", socket.mark);
    match (socket.tfo, socket.tfo_queue_length) {
        (1, 0) => fields.put("tcpFastOpen", true),
        (1, queue) => fields.put("tcpFastOpen", queue),
        (2, _) => fields.put("tcpFastOpen", false),
        _ => {}
    }
    put_redirection(&mut fields, socket.tproxy);
    fields.put_number("tcpKeepAliveInterval", socket.tcp_keep_alive_interval);
    fields.put_number("tcpKeepAliveIdle", socket.tcp_keep_alive_idle);
    fields.put_text("interface", &socket.bind_to_device);
    fields
}

fn xray(socket: &XraySocket) -> Fields {
    let mut fields = Fields::default();
    fields.put_number("mark", socket.mark);
    match socket.tfo {
        0 => {}
        off if off < 0 => fields.put("tcpFastOpen", false),
        queue => fields.put("tcpFastOpen", queue),
    }
    put_redirection(&mut fields, socket.tproxy);
    fields.put_number("tcpKeepAliveInterval", socket.tcp_keep_alive_interval);
    fields.put_number("tcpKeepAliveIdle", socket.tcp_keep_alive_idle);
    fields.put_text("tcpcongestion", &socket.tcp_congestion);
    fields.put_text("interface", &socket.interface);
    fields.put_number("tcpUserTimeout", socket.tcp_user_timeout);
    fields
}

fn put_redirection(fields: &mut Fields, tproxy: i32) {
    match tproxy {
        0 => {}
        2 => fields.put("tproxy", "redirect"),
        // Whatever it is, it is not available, and the reader says so.
        _ => fields.put("tproxy", "tproxy"),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use serde_json::{Value, json};

    use super::*;
    use crate::messages::common::TypedMessage;

    #[track_caller]
    fn check(stream: &Stream, family: Family, expected: &Value) {
        assert_eq!(Value::from(read(&stream.encode_to_vec(), family).unwrap()), *expected);
    }

    #[test]
    fn plain_tcp_says_nothing() {
        check(&Stream::default(), Family::V2ray, &json!({}));
        check(&Stream { protocol_name: "tcp".to_owned(), ..Stream::default() }, Family::Xray, &json!({}));
    }

    #[test]
    fn other_transports_are_left_to_the_reader() {
        let stream = Stream { protocol: 3, security_type: "tls".to_owned(), ..Stream::default() };
        check(&stream, Family::V2ray, &json!({"network": "websocket", "security": "tls"}));
        let unknown = read(&Stream { protocol: -1, ..Stream::default() }.encode_to_vec(), Family::V2ray);
        assert_eq!(unknown.unwrap_err().code(), tonic::Code::Unimplemented);
    }

    #[test]
    fn each_program_has_its_own_numbers() {
        let old = V2raySocket {
            mark: 7,
            tfo: 1,
            tproxy: 2,
            tcp_keep_alive_interval: 5,
            tfo_queue_length: 64,
            tcp_keep_alive_idle: 6,
            bind_to_device: "lo".to_owned(),
            ..V2raySocket::default()
        };
        let stream = Stream { socket: old.encode_to_vec(), ..Stream::default() };
        let expected = json!({"sockopt": {
            "mark": 7, "tcpFastOpen": 64, "tproxy": "redirect", "tcpKeepAliveInterval": 5,
            "tcpKeepAliveIdle": 6, "interface": "lo",
        }});
        check(&stream, Family::V2ray, &expected);
        let idle = V2raySocket { tcp_keep_alive_interval: 5, ..V2raySocket::default() };
        let idle = Stream { socket: idle.encode_to_vec(), ..Stream::default() };
        let refused = read(&idle.encode_to_vec(), Family::Xray).unwrap_err();
        assert_eq!(refused.message(), "field 8 of `SocketConfig` is not available");
        let new = XraySocket {
            tfo: -1,
            tcp_congestion: "bbr".to_owned(),
            interface: "lo".to_owned(),
            tcp_user_timeout: 9,
            ..XraySocket::default()
        };
        let stream = Stream { socket: new.encode_to_vec(), ..Stream::default() };
        let expected = json!({"sockopt": {
            "tcpFastOpen": false, "tcpcongestion": "bbr", "interface": "lo", "tcpUserTimeout": 9,
        }});
        check(&stream, Family::Xray, &expected);
    }
    #[test]
    fn tcp_with_a_header_is_refused_and_without_one_is_plain() {
        let typed =
            |name: &str, value: Vec<u8>| TypedMessage { r#type: format!("xray.transport.{name}"), value };
        let stream = |header: &str| {
            let tcp = Tcp { header_settings: Some(typed(header, Vec::new())) };
            let settings = Some(typed("internet.tcp.Config", tcp.encode_to_vec()));
            let transport = Transport { protocol_name: "tcp".to_owned(), settings, ..Transport::default() };
            Stream { transport_settings: vec![transport], ..Stream::default() }
        };
        check(&stream("internet.headers.noop.ConnectionConfig"), Family::Xray, &json!({}));
        let http = stream("internet.headers.http.Config").encode_to_vec();
        assert_eq!(read(&http, Family::Xray).unwrap_err().code(), tonic::Code::Unimplemented);
        // `tcpmasks` of Xray.
        let masked = [0x5a, 0];
        assert_eq!(
            read(&masked, Family::Xray).unwrap_err().message(),
            "field 11 of `StreamConfig` is not available"
        );
    }
}
