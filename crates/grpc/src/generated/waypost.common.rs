// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
/// A configuration of any type.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct TypedMessage {
    /// The full name of its message.
    #[prost(string, tag = "1")]
    pub r#type: ::prost::alloc::string::String,
    /// The message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: ::prost::alloc::vec::Vec<u8>,
}
/// An address: 4 or 16 bytes, or a name.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct IpOrDomain {
    #[prost(oneof = "ip_or_domain::Address", tags = "1, 2")]
    pub address: ::core::option::Option<ip_or_domain::Address>,
}
/// Nested message and enum types in `IpOrDomain`.
pub mod ip_or_domain {
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Oneof)]
    pub enum Address {
        #[prost(bytes, tag = "1")]
        Ip(::prost::alloc::vec::Vec<u8>),
        #[prost(string, tag = "2")]
        Domain(::prost::alloc::string::String),
    }
}
/// Ports, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct PortRange {
    #[prost(uint32, tag = "1")]
    pub from: u32,
    #[prost(uint32, tag = "2")]
    pub to: u32,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct PortList {
    #[prost(message, repeated, tag = "1")]
    pub range: ::prost::alloc::vec::Vec<PortRange>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct NetworkList {
    #[prost(enumeration = "Network", repeated, tag = "1")]
    pub network: ::prost::alloc::vec::Vec<i32>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Endpoint {
    #[prost(enumeration = "Network", tag = "1")]
    pub network: i32,
    #[prost(message, optional, tag = "2")]
    pub address: ::core::option::Option<IpOrDomain>,
    #[prost(uint32, tag = "3")]
    pub port: u32,
}
/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct User {
    #[prost(uint32, tag = "1")]
    pub level: u32,
    #[prost(string, tag = "2")]
    pub email: ::prost::alloc::string::String,
    /// Of the type of the protocol that it is for.
    #[prost(message, optional, tag = "3")]
    pub account: ::core::option::Option<TypedMessage>,
}
/// A proxy server.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ServerEndpoint {
    #[prost(message, optional, tag = "1")]
    pub address: ::core::option::Option<IpOrDomain>,
    #[prost(uint32, tag = "2")]
    pub port: u32,
    #[prost(message, repeated, tag = "3")]
    pub user: ::prost::alloc::vec::Vec<User>,
}
/// What a connection is carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum Network {
    Unknown = 0,
    RawTcp = 1,
    Tcp = 2,
    Udp = 3,
    Unix = 4,
}
impl Network {
    /// String value of the enum field names used in the ProtoBuf definition.
    ///
    /// The values are not transformed in any way and thus are considered stable
    /// (if the ProtoBuf definition does not change) and safe for programmatic use.
    pub fn as_str_name(&self) -> &'static str {
        match self {
            Self::Unknown => "NETWORK_UNKNOWN",
            Self::RawTcp => "NETWORK_RAW_TCP",
            Self::Tcp => "NETWORK_TCP",
            Self::Udp => "NETWORK_UDP",
            Self::Unix => "NETWORK_UNIX",
        }
    }
    /// Creates an enum from field names used in the ProtoBuf definition.
    pub fn from_str_name(value: &str) -> ::core::option::Option<Self> {
        match value {
            "NETWORK_UNKNOWN" => Some(Self::Unknown),
            "NETWORK_RAW_TCP" => Some(Self::RawTcp),
            "NETWORK_TCP" => Some(Self::Tcp),
            "NETWORK_UDP" => Some(Self::Udp),
            "NETWORK_UNIX" => Some(Self::Unix),
            _ => None,
        }
    }
}
