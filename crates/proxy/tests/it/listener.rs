use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::net::TcpStream;
use waypost_config::{
    Span,
    model::{Inbound, InboundProtocol},
};
use waypost_net::PortRange;
use waypost_proxy::{BindError, bind};

pub(crate) fn inbound(listen: IpAddr, first: u16, last: u16) -> Inbound {
    Inbound {
        tag: None,
        listen,
        ports: PortRange { first, last },
        protocol: InboundProtocol::Mixed,
        accounts: Vec::new(),
        span: Span::default(),
    }
}

#[tokio::test]
async fn port_0_is_a_free_port_and_clients_come_in_by_it() {
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let listeners = bind(&inbound(ip, 0, 0)).unwrap();
        let [listener] = listeners.as_slice() else { panic!("{listeners:?}") };
        assert_ne!(listener.address().port(), 0);
        let (client, (accepted, peer)) =
            tokio::join!(TcpStream::connect(listener.address()), listener.accept());
        assert_eq!(client.unwrap().local_addr().unwrap(), peer);
        assert!(accepted.nodelay().unwrap());
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_address() {
    let localhost = IpAddr::from(Ipv4Addr::LOCALHOST);
    let listeners = bind(&inbound(localhost, 0, 0)).unwrap();
    let address = listeners[0].address();
    let error = bind(&inbound(localhost, address.port(), address.port())).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on `{address}`"));
}

#[tokio::test]
async fn a_reversed_range_is_an_error() {
    let error = bind(&inbound(IpAddr::from(Ipv4Addr::LOCALHOST), 2, 1)).unwrap_err();
    assert!(matches!(error, BindError::NoPort { .. }), "{error}");
}
