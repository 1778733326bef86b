//! Configurations of random bytes: each is answered with a code that says whose fault it is, and the API goes on.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tonic::Code;
use waypost_grpc::proto::{
    v2ray::core::app::{
        proxyman::command::{
            AddInboundRequest, AddInboundResponse, AddOutboundRequest, AddOutboundResponse,
            AlterInboundRequest, AlterInboundResponse, InboundHandlerConfig, OutboundHandlerConfig,
        },
        router::command::{AddRuleRequest, AddRuleResponse, RoutingContext, TestRouteRequest},
    },
    waypost::{
        common::{IpOrDomain, PortRange, TypedMessage, ip_or_domain::Address},
        proxy::V2rayReceiver,
    },
};

use crate::world::{self, CONFIG, World};

const ROUTING: &str = "xray.app.router.command.RoutingService";
const HANDLER: &str = "xray.app.proxyman.command.HandlerService";
/// The types that are read.
const NAMES: [&str; 16] = [
    "app.router.Config",
    "app.proxyman.ReceiverConfig",
    "app.proxyman.SenderConfig",
    "app.proxyman.command.AddUserOperation",
    "app.proxyman.command.RemoveUserOperation",
    "proxy.socks.ServerConfig",
    "proxy.socks.ClientConfig",
    "proxy.http.ServerConfig",
    "proxy.http.ClientConfig",
    "proxy.dokodemo.Config",
    "proxy.freedom.Config",
    "proxy.blackhole.Config",
    "proxy.dns.Config",
    "proxy.loopback.Config",
    "proxy.trojan.ServerConfig",
    "",
];

/// Bytes that often are fields of a message: a number with its kind, a length, and something.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = proptest::collection::vec(any::<u8>(), 0..12);
    let field = (1..24_u8, prop_oneof![Just(0_u8), Just(2)], text).prop_map(|(number, kind, text)| {
        let key = (u16::from(number) << 3) | u16::from(kind);
        let mut field = if key < 0x80 {
            vec![u8::try_from(key).unwrap()]
        } else {
            vec![u8::try_from(key & 0x7f).unwrap() | 0x80, u8::try_from(key >> 7).unwrap()]
        };
        match kind {
            0 => field.push(text.first().copied().unwrap_or(1) & 0x7f),
            _ => {
                field.push(u8::try_from(text.len()).unwrap());
                field.extend(text);
            }
        }
        field
    });
    let fields = proptest::collection::vec(field, 0..6).prop_map(|fields| fields.concat());
    prop_oneof![3 => fields, 1 => proptest::collection::vec(any::<u8>(), 0..64)]
}

fn typed() -> impl Strategy<Value = TypedMessage> {
    let family =
        prop_oneof![Just("xray."), Just("v2ray.core."), Just("types.v2fly.org/v2ray.core."), Just("")];
    (family, proptest::sample::select(&NAMES[..]), bytes())
        .prop_map(|(family, name, value)| TypedMessage { r#type: format!("{family}{name}"), value })
}

/// Where no inbound can listen: on an address of documentation (RFC 5737).
fn receiver() -> Option<TypedMessage> {
    let listen = Some(IpOrDomain { address: Some(Address::Ip(vec![192, 0, 2, 1])) });
    let port_range = Some(PortRange { from: 1, to: 1 });
    let receiver = V2rayReceiver { listen, port_range, ..V2rayReceiver::default() };
    world::typed("v2ray.core.app.proxyman.ReceiverConfig", &receiver)
}

/// What a client may be told.
fn is_answer<A>(answer: Result<A, tonic::Status>) -> bool {
    match answer.map_err(|status| status.code()) {
        Ok(_) => true,
        Err(code) => matches!(
            code,
            Code::InvalidArgument
                | Code::Unimplemented
                | Code::AlreadyExists
                | Code::FailedPrecondition
                | Code::NotFound
                | Code::Unknown
        ),
    }
}

#[test]
fn random_configurations_are_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::start(CONFIG));
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let cases = (typed(), typed(), any::<bool>(), proptest::collection::vec(bytes(), 0..3), any::<u32>());
    let result = runner.run(&cases, |(first, second, flag, addresses, number)| {
        let (one, two) = (Some(first), Some(second));
        runtime.block_on(async {
            let request = AddRuleRequest { config: one.clone(), should_append: flag };
            let method = format!("{ROUTING}/AddRule");
            prop_assert!(is_answer::<AddRuleResponse>(world.call(&method, request).await));
            let inbound = InboundHandlerConfig {
                tag: "x".to_owned(),
                receiver_settings: if flag { receiver() } else { one.clone() },
                proxy_settings: two.clone(),
            };
            let request = AddInboundRequest { inbound: Some(inbound) };
            let method = format!("{HANDLER}/AddInbound");
            prop_assert!(is_answer::<AddInboundResponse>(world.call(&method, request).await));
            let outbound = OutboundHandlerConfig {
                tag: "x".to_owned(),
                sender_settings: one.clone().filter(|_| flag),
                proxy_settings: two,
                ..Default::default()
            };
            let request = AddOutboundRequest { outbound: Some(outbound) };
            let method = format!("{HANDLER}/AddOutbound");
            prop_assert!(is_answer::<AddOutboundResponse>(world.call(&method, request).await));
            let request = AlterInboundRequest { tag: "login".to_owned(), operation: one };
            let method = format!("{HANDLER}/AlterInbound");
            prop_assert!(is_answer::<AlterInboundResponse>(world.call(&method, request).await));
            let context = RoutingContext {
                target_ips: addresses,
                target_port: number,
                network: i32::from(flag) * 3,
                ..RoutingContext::default()
            };
            let request = TestRouteRequest { routing_context: Some(context), ..TestRouteRequest::default() };
            let method = format!("{ROUTING}/TestRoute");
            prop_assert!(is_answer::<RoutingContext>(world.call(&method, request).await));
            Ok(())
        })
    });
    result.unwrap();
}
