// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
/// A name, or a part of one.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Domain {
    /// 0 a part, 1 a regular expression, 2 the name and all below it, 3 the name.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    #[prost(string, tag = "2")]
    pub value: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Cidr {
    #[prost(bytes = "vec", tag = "1")]
    pub ip: ::prost::alloc::vec::Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub prefix: u32,
}
/// Addresses in the manner of V2Ray: the list with its prefixes.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct GeoIp {
    #[prost(string, tag = "1")]
    pub country_code: ::prost::alloc::string::String,
    #[prost(message, repeated, tag = "2")]
    pub cidr: ::prost::alloc::vec::Vec<Cidr>,
    #[prost(bool, tag = "3")]
    pub inverse_match: bool,
    #[prost(string, tag = "5")]
    pub code: ::prost::alloc::string::String,
}
/// The rule of V2Ray.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct V2rayRule {
    #[prost(message, repeated, tag = "2")]
    pub domain: ::prost::alloc::vec::Vec<Domain>,
    #[prost(message, repeated, tag = "3")]
    pub cidr: ::prost::alloc::vec::Vec<Cidr>,
    #[prost(message, optional, tag = "4")]
    pub port_range: ::core::option::Option<super::common::PortRange>,
    #[prost(message, optional, tag = "5")]
    pub network_list: ::core::option::Option<super::common::NetworkList>,
    #[prost(message, repeated, tag = "6")]
    pub source_cidr: ::prost::alloc::vec::Vec<Cidr>,
    #[prost(string, repeated, tag = "7")]
    pub user_email: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(string, repeated, tag = "8")]
    pub inbound_tag: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(string, repeated, tag = "9")]
    pub protocol: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// GeoIp, read by itself so that fields which are not here are seen.
    #[prost(bytes = "vec", repeated, tag = "10")]
    pub geoip: ::prost::alloc::vec::Vec<::prost::alloc::vec::Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub source_geoip: ::prost::alloc::vec::Vec<::prost::alloc::vec::Vec<u8>>,
    #[prost(enumeration = "super::common::Network", repeated, tag = "13")]
    pub networks: ::prost::alloc::vec::Vec<i32>,
    #[prost(message, optional, tag = "14")]
    pub port_list: ::core::option::Option<super::common::PortList>,
    #[prost(string, tag = "15")]
    pub attributes: ::prost::alloc::string::String,
    #[prost(message, optional, tag = "16")]
    pub source_port_list: ::core::option::Option<super::common::PortList>,
    #[prost(string, tag = "17")]
    pub domain_matcher: ::prost::alloc::string::String,
    #[prost(oneof = "v2ray_rule::TargetTag", tags = "1, 12")]
    pub target_tag: ::core::option::Option<v2ray_rule::TargetTag>,
}
/// Nested message and enum types in `V2rayRule`.
pub mod v2ray_rule {
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Oneof)]
    pub enum TargetTag {
        #[prost(string, tag = "1")]
        Tag(::prost::alloc::string::String),
        #[prost(string, tag = "12")]
        BalancingTag(::prost::alloc::string::String),
    }
}
/// Names in the manner of Xray.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct XrayDomain {
    #[prost(oneof = "xray_domain::Value", tags = "1, 2")]
    pub value: ::core::option::Option<xray_domain::Value>,
}
/// Nested message and enum types in `XrayDomain`.
pub mod xray_domain {
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Oneof)]
    pub enum Value {
        #[prost(message, tag = "1")]
        Geosite(super::GeoSiteRef),
        #[prost(message, tag = "2")]
        Custom(super::Domain),
    }
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GeoSiteRef {
    #[prost(string, tag = "1")]
    pub file: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub code: ::prost::alloc::string::String,
    #[prost(string, tag = "3")]
    pub attrs: ::prost::alloc::string::String,
}
/// Addresses in the manner of Xray.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct XrayIp {
    #[prost(oneof = "xray_ip::Value", tags = "1, 2")]
    pub value: ::core::option::Option<xray_ip::Value>,
}
/// Nested message and enum types in `XrayIp`.
pub mod xray_ip {
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Oneof)]
    pub enum Value {
        #[prost(message, tag = "1")]
        Geoip(super::GeoIpRef),
        #[prost(message, tag = "2")]
        Custom(super::CidrRef),
    }
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GeoIpRef {
    #[prost(string, tag = "1")]
    pub file: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub code: ::prost::alloc::string::String,
    #[prost(bool, tag = "3")]
    pub reverse_match: bool,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct CidrRef {
    #[prost(message, optional, tag = "1")]
    pub cidr: ::core::option::Option<Cidr>,
    #[prost(bool, tag = "2")]
    pub reverse_match: bool,
}
/// The rule of Xray.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct XrayRule {
    #[prost(message, repeated, tag = "2")]
    pub domain: ::prost::alloc::vec::Vec<XrayDomain>,
    #[prost(string, repeated, tag = "7")]
    pub user_email: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(string, repeated, tag = "8")]
    pub inbound_tag: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(string, repeated, tag = "9")]
    pub protocol: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(message, repeated, tag = "10")]
    pub ip: ::prost::alloc::vec::Vec<XrayIp>,
    #[prost(message, repeated, tag = "11")]
    pub source_ip: ::prost::alloc::vec::Vec<XrayIp>,
    #[prost(enumeration = "super::common::Network", repeated, tag = "13")]
    pub networks: ::prost::alloc::vec::Vec<i32>,
    #[prost(message, optional, tag = "14")]
    pub port_list: ::core::option::Option<super::common::PortList>,
    #[prost(btree_map = "string, string", tag = "15")]
    pub attributes: ::prost::alloc::collections::BTreeMap<
        ::prost::alloc::string::String,
        ::prost::alloc::string::String,
    >,
    #[prost(message, optional, tag = "16")]
    pub source_port_list: ::core::option::Option<super::common::PortList>,
    #[prost(message, repeated, tag = "17")]
    pub local_ip: ::prost::alloc::vec::Vec<XrayIp>,
    #[prost(message, optional, tag = "18")]
    pub local_port_list: ::core::option::Option<super::common::PortList>,
    #[prost(string, tag = "19")]
    pub rule_tag: ::prost::alloc::string::String,
    #[prost(string, repeated, tag = "21")]
    pub process: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(string, repeated, tag = "23")]
    pub local_os: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(oneof = "xray_rule::TargetTag", tags = "1, 12")]
    pub target_tag: ::core::option::Option<xray_rule::TargetTag>,
}
/// Nested message and enum types in `XrayRule`.
pub mod xray_rule {
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Oneof)]
    pub enum TargetTag {
        #[prost(string, tag = "1")]
        Tag(::prost::alloc::string::String),
        #[prost(string, tag = "12")]
        BalancingTag(::prost::alloc::string::String),
    }
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Balancer {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
    #[prost(string, repeated, tag = "2")]
    pub outbound_selector: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(string, tag = "3")]
    pub strategy: ::prost::alloc::string::String,
    #[prost(message, optional, tag = "4")]
    pub strategy_settings: ::core::option::Option<super::common::TypedMessage>,
    #[prost(string, tag = "5")]
    pub fallback_tag: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Weight {
    #[prost(bool, tag = "1")]
    pub regexp: bool,
    #[prost(string, tag = "2")]
    pub r#match: ::prost::alloc::string::String,
    #[prost(float, tag = "3")]
    pub value: f32,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct LeastLoad {
    #[prost(message, repeated, tag = "2")]
    pub costs: ::prost::alloc::vec::Vec<Weight>,
    /// In nanoseconds, like `max_rtt`.
    #[prost(int64, repeated, tag = "3")]
    pub baselines: ::prost::alloc::vec::Vec<i64>,
    #[prost(int32, tag = "4")]
    pub expected: i32,
    #[prost(int64, tag = "5")]
    pub max_rtt: i64,
    #[prost(float, tag = "6")]
    pub tolerance: f32,
}
/// A router: rules and balancers.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Router {
    #[prost(int32, tag = "1")]
    pub domain_strategy: i32,
    /// V2rayRule or XrayRule.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub rule: ::prost::alloc::vec::Vec<::prost::alloc::vec::Vec<u8>>,
    #[prost(message, repeated, tag = "3")]
    pub balancing_rule: ::prost::alloc::vec::Vec<Balancer>,
}
