use std::net::SocketAddr;

use prost::Message;
use tokio::{net::TcpStream, time::timeout};
use tonic::Code;
use waypost_grpc::proto::{
    v2ray::core::app::proxyman::command::{
        AddInboundRequest, AddInboundResponse, AddOutboundRequest, AddOutboundResponse, AddUserOperation,
        AlterInboundRequest, AlterInboundResponse, GetInboundUserRequest, GetInboundUserResponse,
        GetInboundUsersCountResponse, InboundHandlerConfig, ListInboundsRequest, ListInboundsResponse,
        ListOutboundsRequest, ListOutboundsResponse, OutboundHandlerConfig, RemoveInboundRequest,
        RemoveInboundResponse, RemoveOutboundRequest, RemoveOutboundResponse, RemoveUserOperation,
    },
    waypost::{
        common::{
            IpOrDomain, PortList, PortRange, ServerEndpoint, TypedMessage, User, ip_or_domain::Address,
        },
        proxy::{
            Account, Blackhole, Client, Door, Freedom, HttpServer, Loopback, Multiplexing, Sender,
            SocksServer, V2rayReceiver, XrayReceiver,
        },
    },
};
use waypost_testkit::EchoServer;

use crate::world::{CONFIG, LIMIT, World, echo, refused, socks, typed};

const SERVICE: &str = "xray.app.proxyman.command.HandlerService";

fn loopback() -> Option<IpOrDomain> {
    Some(IpOrDomain { address: Some(Address::Ip(vec![127, 0, 0, 1])) })
}

fn v2ray_receiver() -> Option<TypedMessage> {
    let port_range = Some(PortRange { from: 0, to: 0 });
    let receiver = V2rayReceiver { port_range, listen: loopback(), ..V2rayReceiver::default() };
    typed("v2ray.core.app.proxyman.ReceiverConfig", &receiver)
}

fn xray_receiver() -> Option<TypedMessage> {
    let port_list = Some(PortList { range: vec![PortRange { from: 0, to: 0 }] });
    let receiver = XrayReceiver { port_list, listen: loopback(), ..XrayReceiver::default() };
    typed("xray.app.proxyman.ReceiverConfig", &receiver)
}

async fn add_inbound(
    world: &World,
    tag: &str,
    receiver_settings: Option<TypedMessage>,
    proxy_settings: Option<TypedMessage>,
) -> Result<(), tonic::Status> {
    let inbound = InboundHandlerConfig { tag: tag.to_owned(), receiver_settings, proxy_settings };
    let request = AddInboundRequest { inbound: Some(inbound) };
    world.call::<_, AddInboundResponse>(&format!("{SERVICE}/AddInbound"), request).await.map(|_| ())
}

async fn add_outbound(
    world: &World,
    tag: &str,
    sender_settings: Option<TypedMessage>,
    proxy_settings: Option<TypedMessage>,
) -> Result<(), tonic::Status> {
    let outbound =
        OutboundHandlerConfig { tag: tag.to_owned(), sender_settings, proxy_settings, ..Default::default() };
    let request = AddOutboundRequest { outbound: Some(outbound) };
    world.call::<_, AddOutboundResponse>(&format!("{SERVICE}/AddOutbound"), request).await.map(|_| ())
}

async fn alter(world: &World, tag: &str, operation: Option<TypedMessage>) -> Result<(), tonic::Status> {
    let request = AlterInboundRequest { tag: tag.to_owned(), operation };
    world.call::<_, AlterInboundResponse>(&format!("{SERVICE}/AlterInbound"), request).await.map(|_| ())
}

/// Ends when no client can come in any more.
async fn nobody_listens(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn inbounds_of_both_programs_come_and_go() {
    let (world, target) = (World::start(CONFIG).await, EchoServer::start().await);
    let accounts = [("eve".to_owned(), "e".to_owned())];
    let login = SocksServer { auth_type: 1, accounts: accounts.into(), ..SocksServer::default() };
    let old = ("old", v2ray_receiver(), typed("v2ray.core.proxy.socks.ServerConfig", &login));
    let new = ("new", xray_receiver(), typed("xray.proxy.socks.ServerConfig", &login));
    for (tag, receiver, proxy) in [old, new] {
        add_inbound(&world, tag, receiver.clone(), proxy.clone()).await.unwrap();
        let address = world.inbound(tag).unwrap();
        let mut stream = socks(address, Some(("eve", "e")), &target.address.to_string()).await.unwrap();
        echo(&mut stream, b"in").await;
        assert!(socks(address, Some(("eve", "wrong")), &target.address.to_string()).await.is_err());
        let again = add_inbound(&world, tag, receiver, proxy).await;
        assert_eq!(refused(again), (Code::AlreadyExists, format!("there is an inbound `{tag}` already")));
        let request = || RemoveInboundRequest { tag: tag.to_owned() };
        let method = format!("{SERVICE}/RemoveInbound");
        world.call::<_, RemoveInboundResponse>(&method, request()).await.unwrap();
        assert_eq!(world.inbound(tag), None);
        timeout(LIMIT, nobody_listens(address)).await.expect("closed in time");
        // Who is there may stay.
        echo(&mut stream, b"still").await;
        let gone = world.call::<_, RemoveInboundResponse>(&method, request()).await;
        assert_eq!(refused(gone), (Code::NotFound, format!("there is no inbound `{tag}`")));
    }
}

#[tokio::test]
async fn other_inbounds_are_added() {
    let (world, target) = (World::start(CONFIG).await, EchoServer::start().await);
    let accounts = [("eve".to_owned(), "e".to_owned())];
    let http = HttpServer { accounts: accounts.into(), ..HttpServer::default() };
    add_inbound(&world, "web", v2ray_receiver(), typed("v2ray.core.proxy.http.ServerConfig", &http))
        .await
        .unwrap();
    assert!(world.inbound("web").is_some());
    let door = Door {
        address: loopback(),
        port: target.address.port().into(),
        networks: vec![2],
        ..Door::default()
    };
    add_inbound(&world, "echo", xray_receiver(), typed("xray.proxy.dokodemo.Config", &door)).await.unwrap();
    let mut stream = TcpStream::connect(world.inbound("echo").unwrap()).await.unwrap();
    echo(&mut stream, b"door").await;
}

#[tokio::test]
async fn inbounds_that_cannot_be_are_refused() {
    let world = World::start(CONFIG).await;
    let generation = world.control.generation();
    let vmess = TypedMessage { r#type: "xray.proxy.vmess.inbound.Config".to_owned(), value: Vec::new() };
    assert_eq!(
        refused(add_inbound(&world, "x", xray_receiver(), Some(vmess)).await),
        (Code::Unimplemented, "the inbound protocol `vmess` is not available".to_owned())
    );
    let open = XrayReceiver {
        port_list: Some(PortList { range: vec![PortRange { from: 0, to: 0 }] }),
        listen: Some(IpOrDomain { address: Some(Address::Ip(vec![0, 0, 0, 0])) }),
        ..XrayReceiver::default()
    };
    let socks = || typed("xray.proxy.socks.ServerConfig", &SocksServer::default());
    let open = typed("xray.app.proxyman.ReceiverConfig", &open);
    let (code, message) = refused(add_inbound(&world, "x", open, socks()).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("asks for no password, so anybody could use it"), "{message}");
    assert_eq!(refused(add_inbound(&world, "x", None, socks()).await).0, Code::InvalidArgument);
    assert_eq!(refused(add_inbound(&world, "x", xray_receiver(), None).await).0, Code::InvalidArgument);
    let garbage =
        TypedMessage { r#type: "xray.proxy.socks.ServerConfig".to_owned(), value: vec![0xff, 0xff] };
    assert_eq!(
        refused(add_inbound(&world, "x", xray_receiver(), Some(garbage)).await).0,
        Code::InvalidArgument
    );
    let taken = XrayReceiver {
        port_list: Some(PortList {
            range: vec![PortRange { from: world.address.port().into(), to: world.address.port().into() }],
        }),
        listen: loopback(),
        ..XrayReceiver::default()
    };
    let taken = typed("xray.app.proxyman.ReceiverConfig", &taken);
    assert_eq!(refused(add_inbound(&world, "x", taken, socks()).await).0, Code::FailedPrecondition);
    assert_eq!(world.control.generation(), generation);
}

#[tokio::test]
async fn outbounds_come_and_go() {
    let world = World::start(CONFIG).await;
    let freedom =
        || typed("v2ray.core.proxy.freedom.Config", &Freedom { domain_strategy: 2, ..Freedom::default() });
    let login = Account { username: "u".to_owned(), password: "p".to_owned() };
    let user = User { account: typed("xray.proxy.socks.Account", &login), ..User::default() };
    let client =
        Client { server: vec![ServerEndpoint { address: loopback(), port: 1080, user: vec![user] }] };
    let response = TypedMessage { r#type: "xray.proxy.blackhole.HTTPResponse".to_owned(), value: Vec::new() };
    for (tag, proxy) in [
        ("f", freedom()),
        ("s", typed("xray.proxy.socks.ClientConfig", &client)),
        ("h", typed("types.v2fly.org/v2ray.core.proxy.http.ClientConfig", &client)),
        ("b", typed("xray.proxy.blackhole.Config", &Blackhole { response: Some(response) })),
        ("l", typed("xray.proxy.loopback.Config", &Loopback { inbound_tag: "in".to_owned() })),
    ] {
        add_outbound(&world, tag, None, proxy).await.unwrap();
    }
    assert_eq!(world.outbounds(), ["direct", "block", "a1", "a2", "f", "s", "h", "b", "l"]);
    let again = add_outbound(&world, "f", None, freedom()).await;
    assert_eq!(refused(again), (Code::AlreadyExists, "there is an outbound `f` already".to_owned()));
    let method = format!("{SERVICE}/RemoveOutbound");
    let remove = |tag: &str| {
        let request = RemoveOutboundRequest { tag: tag.to_owned() };
        world.call::<_, RemoveOutboundResponse>(&method, request)
    };
    remove("s").await.unwrap();
    assert_eq!(world.outbounds(), ["direct", "block", "a1", "a2", "f", "h", "b", "l"]);
    assert_eq!(refused(remove("s").await), (Code::NotFound, "there is no outbound `s`".to_owned()));
    // A rule needs it.
    let (code, message) = refused(remove("block").await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("there is no outbound with the tag `block`"), "{message}");
}

#[tokio::test]
async fn outbounds_that_cannot_be_are_refused() {
    let world = World::start(CONFIG).await;
    let vless = TypedMessage { r#type: "xray.proxy.vless.outbound.Config".to_owned(), value: Vec::new() };
    assert_eq!(
        refused(add_outbound(&world, "x", None, Some(vless)).await),
        (Code::Unimplemented, "the outbound protocol `vless` is not available".to_owned())
    );
    // `fragment`, which would change what is sent.
    let fragment = TypedMessage { r#type: "xray.proxy.freedom.Config".to_owned(), value: vec![0x2a, 0] };
    assert_eq!(
        refused(add_outbound(&world, "x", None, Some(fragment)).await),
        (Code::Unimplemented, "field 5 of `proxy.freedom.Config` is not available".to_owned())
    );
    let multiplex_settings = Some(Multiplexing { enabled: true });
    let sender = typed("xray.app.proxyman.SenderConfig", &Sender { multiplex_settings, ..Sender::default() });
    let freedom = typed("xray.proxy.freedom.Config", &Freedom::default());
    let (code, message) = refused(add_outbound(&world, "x", sender, freedom).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("`mux` is not available"), "{message}");
    let nowhere = typed("xray.proxy.socks.ClientConfig", &Client::default());
    assert_eq!(refused(add_outbound(&world, "x", None, nowhere).await).0, Code::InvalidArgument);
    assert_eq!(world.control.generation(), 1);
}

#[tokio::test]
async fn users_come_and_go() {
    let (world, target) = (World::start(CONFIG).await, EchoServer::start().await);
    let target = target.address.to_string();
    let login = Account { username: "eve".to_owned(), password: "e".to_owned() };
    let user = User { account: typed("xray.proxy.socks.Account", &login), ..User::default() };
    let adding = typed("xray.app.proxyman.command.AddUserOperation", &AddUserOperation { user: Some(user) });
    let removing = |name: &str| {
        let operation = RemoveUserOperation { email: name.to_owned() };
        typed("v2ray.core.app.proxyman.command.RemoveUserOperation", &operation)
    };
    let enter = async |name: &str| {
        let password = &name[..1];
        socks(world.inbound("login").unwrap(), Some((name, password)), &target).await.is_ok()
    };
    assert!(!enter("eve").await);
    alter(&world, "login", adding.clone()).await.unwrap();
    assert!(enter("eve").await && enter("ann").await);
    let again = alter(&world, "login", adding.clone()).await;
    assert_eq!(refused(again), (Code::AlreadyExists, "there is a user `eve` already".to_owned()));
    alter(&world, "login", removing("ann")).await.unwrap();
    assert!(!enter("ann").await && enter("eve").await);
    let gone = alter(&world, "login", removing("ann")).await;
    assert_eq!(refused(gone), (Code::NotFound, "there is no user `ann`".to_owned()));
    alter(&world, "login", removing("bob")).await.unwrap();
    assert_eq!(refused(alter(&world, "login", removing("eve")).await).0, Code::FailedPrecondition);
    assert_eq!(refused(alter(&world, "in", adding.clone()).await).0, Code::FailedPrecondition);
    assert_eq!(refused(alter(&world, "door", adding.clone()).await).0, Code::FailedPrecondition);
    assert_eq!(refused(alter(&world, "none", adding).await).0, Code::NotFound);
    let other = TypedMessage { r#type: "xray.app.stats.Config".to_owned(), value: Vec::new() };
    assert_eq!(refused(alter(&world, "login", Some(other)).await).0, Code::Unimplemented);
}

#[tokio::test]
async fn users_are_listed_without_their_passwords() {
    let world = World::start(CONFIG).await;
    let users = async |email: &str| {
        let request = GetInboundUserRequest { tag: "login".to_owned(), email: email.to_owned() };
        let answer: GetInboundUserResponse =
            world.call(&format!("{SERVICE}/GetInboundUsers"), request).await.unwrap();
        answer.users
    };
    let all = users("").await;
    assert_eq!(all.iter().map(|user| user.email.as_str()).collect::<Vec<_>>(), ["ann", "bob"]);
    let [bob] = &users("bob").await[..] else { panic!() };
    let account = bob.account.clone().unwrap();
    assert_eq!(account.r#type, "xray.proxy.socks.Account");
    let account = Account::decode(&*account.value).unwrap();
    assert_eq!((account.username.as_str(), account.password.as_str()), ("bob", ""));
    let request = GetInboundUserRequest { tag: "login".to_owned(), email: String::new() };
    let count: GetInboundUsersCountResponse =
        world.call(&format!("{SERVICE}/GetInboundUsersCount"), request).await.unwrap();
    assert_eq!(count.count, 2);
}

#[tokio::test]
async fn what_is_listed_can_be_added_under_another_tag() {
    let world = World::start(CONFIG).await;
    let all: ListInboundsResponse =
        world.call(&format!("{SERVICE}/ListInbounds"), ListInboundsRequest::default()).await.unwrap();
    assert_eq!(all.inbounds.iter().map(|one| one.tag.as_str()).collect::<Vec<_>>(), ["in", "login", "door"]);
    let tags: ListInboundsResponse = world
        .call(&format!("{SERVICE}/ListInbounds"), ListInboundsRequest { is_only_tags: true })
        .await
        .unwrap();
    assert!(tags.inbounds.iter().all(|one| one.proxy_settings.is_none() && !one.tag.is_empty()));
    for one in all.inbounds.into_iter().filter(|one| one.tag != "login") {
        let tag = format!("{}-2", one.tag);
        add_inbound(&world, &tag, one.receiver_settings, one.proxy_settings).await.unwrap();
    }
    let all: ListOutboundsResponse =
        world.call(&format!("{SERVICE}/ListOutbounds"), ListOutboundsRequest {}).await.unwrap();
    for one in all.outbounds {
        let tag = format!("{}-2", one.tag);
        add_outbound(&world, &tag, one.sender_settings, one.proxy_settings).await.unwrap();
    }
    assert_eq!(world.outbounds().len(), 8);
}
