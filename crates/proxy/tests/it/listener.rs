use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::net::TcpStream;
use waypost_config::{
    Span,
    model::{ClientProtocol, Inbound, InboundProtocol, Limits, Listen, Policy, SocketOptions},
};
use waypost_net::PortRange;
use waypost_proxy::{BindError, Ends, Stream, bind};

pub(crate) fn inbound(listen: IpAddr, first: u16, last: u16) -> Inbound {
    Inbound {
        tag: None,
        listen: Listen::Ports { ip: listen, ports: PortRange { first, last } },
        protocol: InboundProtocol::Client(ClientProtocol::Mixed),
        accounts: Vec::new(),
        udp: None,
        transport: waypost_config::model::Transport::default(),
        sniffing: None,
        policy: Policy::default(),
        limits: Limits::default(),
        socket: SocketOptions::default(),
        span: Span::default(),
    }
}

#[tokio::test]
async fn port_0_is_a_free_port_and_clients_come_in_by_it() {
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let listener = bind(&inbound(ip, 0, 0), 1).unwrap().remove(0).remove(0).listen().unwrap();
        let address = listener.address().ip().unwrap();
        assert_ne!(address.port(), 0);
        let (client, (accepted, ends)) = tokio::join!(TcpStream::connect(address), listener.accept());
        let source = client.unwrap().local_addr().unwrap();
        assert_eq!(ends, Ends { source: Some(source), local: Some(address) });
        let Stream::Tcp(accepted) = accepted else { panic!("{accepted:?}") };
        assert!(accepted.nodelay().unwrap());
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_address() {
    let localhost = IpAddr::from(Ipv4Addr::LOCALHOST);
    for (taken, wanted) in [(1, 1), (1, 3), (3, 1), (3, 3)] {
        let listeners = bind(&inbound(localhost, 0, 0), taken).unwrap();
        assert_eq!(listeners[0].len(), taken);
        let address = listeners[0][0].address().ip().unwrap();
        let error = bind(&inbound(localhost, address.port(), address.port()), wanted).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on `{address}`"));
    }
}

#[tokio::test]
async fn a_reversed_range_is_an_error() {
    let error = bind(&inbound(IpAddr::from(Ipv4Addr::LOCALHOST), 2, 1), 1).unwrap_err();
    assert!(matches!(error, BindError::NoPort { .. }), "{error}");
}
