// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
/// `freedom`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Freedom {
    /// 0 to 3: as it is, any address, IPv4, IPv6.
    #[prost(int32, tag = "1")]
    pub domain_strategy: i32,
    #[prost(uint32, tag = "2")]
    pub timeout: u32,
    #[prost(message, optional, tag = "3")]
    pub destination_override: ::core::option::Option<DestinationOverride>,
    #[prost(uint32, tag = "4")]
    pub user_level: u32,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct DestinationOverride {
    #[prost(message, optional, tag = "1")]
    pub server: ::core::option::Option<super::common::ServerEndpoint>,
}
/// `blackhole`.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Blackhole {
    /// NoneResponse or HTTPResponse.
    #[prost(message, optional, tag = "1")]
    pub response: ::core::option::Option<super::common::TypedMessage>,
}
/// `dokodemo-door`.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Door {
    #[prost(message, optional, tag = "1")]
    pub address: ::core::option::Option<super::common::IpOrDomain>,
    #[prost(uint32, tag = "2")]
    pub port: u32,
    /// Only V2Ray, and old; in Xray the number is of `port_map`.
    #[prost(message, optional, tag = "3")]
    pub network_list: ::core::option::Option<super::common::NetworkList>,
    #[prost(uint32, tag = "4")]
    pub timeout: u32,
    #[prost(bool, tag = "5")]
    pub follow_redirect: bool,
    #[prost(uint32, tag = "6")]
    pub user_level: u32,
    #[prost(enumeration = "super::common::Network", repeated, tag = "7")]
    pub networks: ::prost::alloc::vec::Vec<i32>,
}
/// `socks` inbound.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SocksServer {
    /// 1 for a password.
    #[prost(int32, tag = "1")]
    pub auth_type: i32,
    #[prost(btree_map = "string, string", tag = "2")]
    pub accounts: ::prost::alloc::collections::BTreeMap<
        ::prost::alloc::string::String,
        ::prost::alloc::string::String,
    >,
    #[prost(message, optional, tag = "3")]
    pub address: ::core::option::Option<super::common::IpOrDomain>,
    #[prost(bool, tag = "4")]
    pub udp_enabled: bool,
    #[prost(uint32, tag = "5")]
    pub timeout: u32,
    #[prost(uint32, tag = "6")]
    pub user_level: u32,
}
/// `http` inbound.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct HttpServer {
    #[prost(uint32, tag = "1")]
    pub timeout: u32,
    #[prost(btree_map = "string, string", tag = "2")]
    pub accounts: ::prost::alloc::collections::BTreeMap<
        ::prost::alloc::string::String,
        ::prost::alloc::string::String,
    >,
    #[prost(bool, tag = "3")]
    pub allow_transparent: bool,
    #[prost(uint32, tag = "4")]
    pub user_level: u32,
}
/// `socks` and `http` outbounds.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Client {
    #[prost(message, repeated, tag = "1")]
    pub server: ::prost::alloc::vec::Vec<super::common::ServerEndpoint>,
}
/// An account of `socks` and `http`.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Account {
    #[prost(string, tag = "1")]
    pub username: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub password: ::prost::alloc::string::String,
}
/// `dns` of V2Ray.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Dns {
    #[prost(message, optional, tag = "1")]
    pub server: ::core::option::Option<super::common::Endpoint>,
    #[prost(uint32, tag = "2")]
    pub user_level: u32,
    #[prost(string, tag = "5")]
    pub non_ip_query: ::prost::alloc::string::String,
}
/// `dns` of Xray.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct XrayDns {
    #[prost(uint32, tag = "1")]
    pub user_level: u32,
    #[prost(message, optional, tag = "3")]
    pub rewrite_server: ::core::option::Option<super::common::Endpoint>,
}
/// `loopback`.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Loopback {
    #[prost(string, tag = "1")]
    pub inbound_tag: ::prost::alloc::string::String,
}
/// `streamSettings`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Stream {
    #[prost(int32, tag = "1")]
    pub protocol: i32,
    #[prost(message, repeated, tag = "2")]
    pub transport_settings: ::prost::alloc::vec::Vec<Transport>,
    #[prost(string, tag = "3")]
    pub security_type: ::prost::alloc::string::String,
    /// Only of use with `security_type`.
    #[prost(message, repeated, tag = "4")]
    pub security_settings: ::prost::alloc::vec::Vec<super::common::TypedMessage>,
    #[prost(string, tag = "5")]
    pub protocol_name: ::prost::alloc::string::String,
    /// V2raySocket or XraySocket.
    #[prost(bytes = "vec", tag = "6")]
    pub socket: ::prost::alloc::vec::Vec<u8>,
}
/// Settings of one transport; only those of the one that is named count.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Transport {
    #[prost(int32, tag = "1")]
    pub protocol: i32,
    #[prost(message, optional, tag = "2")]
    pub settings: ::core::option::Option<super::common::TypedMessage>,
    #[prost(string, tag = "3")]
    pub protocol_name: ::prost::alloc::string::String,
}
/// Settings of plain TCP.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Tcp {
    #[prost(message, optional, tag = "2")]
    pub header_settings: ::core::option::Option<super::common::TypedMessage>,
}
/// `sockopt` of V2Ray.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct V2raySocket {
    #[prost(uint32, tag = "1")]
    pub mark: u32,
    /// 1 for on, 2 for off.
    #[prost(int32, tag = "2")]
    pub tfo: i32,
    /// 1 for `tproxy`, 2 for `redirect`.
    #[prost(int32, tag = "3")]
    pub tproxy: i32,
    #[prost(bool, tag = "4")]
    pub receive_original_dest_address: bool,
    #[prost(int32, tag = "8")]
    pub tcp_keep_alive_interval: i32,
    #[prost(uint32, tag = "9")]
    pub tfo_queue_length: u32,
    #[prost(int32, tag = "10")]
    pub tcp_keep_alive_idle: i32,
    #[prost(string, tag = "11")]
    pub bind_to_device: ::prost::alloc::string::String,
}
/// `sockopt` of Xray.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct XraySocket {
    #[prost(int32, tag = "1")]
    pub mark: i32,
    /// Above zero for on, below for off.
    #[prost(int32, tag = "2")]
    pub tfo: i32,
    #[prost(int32, tag = "3")]
    pub tproxy: i32,
    #[prost(bool, tag = "4")]
    pub receive_original_dest_address: bool,
    #[prost(int32, tag = "10")]
    pub tcp_keep_alive_interval: i32,
    #[prost(int32, tag = "11")]
    pub tcp_keep_alive_idle: i32,
    #[prost(string, tag = "12")]
    pub tcp_congestion: ::prost::alloc::string::String,
    #[prost(string, tag = "13")]
    pub interface: ::prost::alloc::string::String,
    #[prost(int32, tag = "16")]
    pub tcp_user_timeout: i32,
}
/// Where an inbound of V2Ray listens.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct V2rayReceiver {
    #[prost(message, optional, tag = "1")]
    pub port_range: ::core::option::Option<super::common::PortRange>,
    #[prost(message, optional, tag = "2")]
    pub listen: ::core::option::Option<super::common::IpOrDomain>,
    #[prost(message, optional, tag = "3")]
    pub allocation_strategy: ::core::option::Option<Allocation>,
    /// Stream.
    #[prost(bytes = "vec", tag = "4")]
    pub stream_settings: ::prost::alloc::vec::Vec<u8>,
    #[prost(bool, tag = "5")]
    pub receive_original_destination: bool,
    /// V2raySniffing.
    #[prost(bytes = "vec", tag = "8")]
    pub sniffing_settings: ::prost::alloc::vec::Vec<u8>,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Allocation {
    /// 0 for always.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct V2raySniffing {
    #[prost(bool, tag = "1")]
    pub enabled: bool,
    #[prost(string, repeated, tag = "2")]
    pub destination_override: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(bool, tag = "3")]
    pub metadata_only: bool,
}
/// Where an inbound of Xray listens.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct XrayReceiver {
    #[prost(message, optional, tag = "1")]
    pub port_list: ::core::option::Option<super::common::PortList>,
    #[prost(message, optional, tag = "2")]
    pub listen: ::core::option::Option<super::common::IpOrDomain>,
    /// Stream.
    #[prost(bytes = "vec", tag = "3")]
    pub stream_settings: ::prost::alloc::vec::Vec<u8>,
    #[prost(bool, tag = "4")]
    pub receive_original_destination: bool,
    /// XraySniffing.
    #[prost(bytes = "vec", tag = "6")]
    pub sniffing_settings: ::prost::alloc::vec::Vec<u8>,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct XraySniffing {
    #[prost(bool, tag = "1")]
    pub enabled: bool,
    #[prost(string, repeated, tag = "2")]
    pub destination_override: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(message, repeated, tag = "3")]
    pub domains_excluded: ::prost::alloc::vec::Vec<super::rules::XrayDomain>,
    #[prost(bool, tag = "4")]
    pub metadata_only: bool,
    #[prost(bool, tag = "5")]
    pub route_only: bool,
    #[prost(message, repeated, tag = "6")]
    pub ips_excluded: ::prost::alloc::vec::Vec<super::rules::XrayIp>,
}
/// What is common to outbounds.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Sender {
    #[prost(message, optional, tag = "1")]
    pub via: ::core::option::Option<super::common::IpOrDomain>,
    /// Stream.
    #[prost(bytes = "vec", tag = "2")]
    pub stream_settings: ::prost::alloc::vec::Vec<u8>,
    #[prost(message, optional, tag = "3")]
    pub proxy_settings: ::core::option::Option<Chain>,
    #[prost(message, optional, tag = "4")]
    pub multiplex_settings: ::core::option::Option<Multiplexing>,
    /// 0 for as it is.
    #[prost(int32, tag = "5")]
    pub domain_strategy: i32,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Chain {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Multiplexing {
    #[prost(bool, tag = "1")]
    pub enabled: bool,
}
