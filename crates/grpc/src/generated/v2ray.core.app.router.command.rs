// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
/// A connection, and which way it goes.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct RoutingContext {
    #[prost(string, tag = "1")]
    pub inbound_tag: ::prost::alloc::string::String,
    #[prost(
        enumeration = "super::super::super::super::super::waypost::common::Network",
        tag = "2"
    )]
    pub network: i32,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub source_ips: ::prost::alloc::vec::Vec<::prost::alloc::vec::Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub target_ips: ::prost::alloc::vec::Vec<::prost::alloc::vec::Vec<u8>>,
    #[prost(uint32, tag = "5")]
    pub source_port: u32,
    #[prost(uint32, tag = "6")]
    pub target_port: u32,
    #[prost(string, tag = "7")]
    pub target_domain: ::prost::alloc::string::String,
    #[prost(string, tag = "8")]
    pub protocol: ::prost::alloc::string::String,
    #[prost(string, tag = "9")]
    pub user: ::prost::alloc::string::String,
    #[prost(btree_map = "string, string", tag = "10")]
    pub attributes: ::prost::alloc::collections::BTreeMap<
        ::prost::alloc::string::String,
        ::prost::alloc::string::String,
    >,
    /// The groups on the way, outermost first.
    #[prost(string, repeated, tag = "11")]
    pub outbound_group_tags: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(string, tag = "12")]
    pub outbound_tag: ::prost::alloc::string::String,
    /// Xray.
    #[prost(bytes = "vec", repeated, tag = "13")]
    pub local_ips: ::prost::alloc::vec::Vec<::prost::alloc::vec::Vec<u8>>,
    /// Xray.
    #[prost(uint32, tag = "14")]
    pub local_port: u32,
    /// Xray: a number inside the identifier of a VLESS user.
    #[prost(uint32, tag = "15")]
    pub vless_route: u32,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct SubscribeRoutingStatsRequest {
    /// Beginnings of field names; none for all fields.
    #[prost(string, repeated, tag = "1")]
    pub field_selectors: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct TestRouteRequest {
    #[prost(message, optional, tag = "1")]
    pub routing_context: ::core::option::Option<RoutingContext>,
    /// Beginnings of field names; none for all fields.
    #[prost(string, repeated, tag = "2")]
    pub field_selectors: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// Whether subscribers see the answer as well.
    #[prost(bool, tag = "3")]
    pub publish_result: bool,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct PrincipleTargetInfo {
    #[prost(string, repeated, tag = "1")]
    pub tag: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct OverrideInfo {
    #[prost(string, tag = "2")]
    pub target: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct BalancerMsg {
    #[prost(message, optional, tag = "5")]
    pub r#override: ::core::option::Option<OverrideInfo>,
    #[prost(message, optional, tag = "6")]
    pub principle_target: ::core::option::Option<PrincipleTargetInfo>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetBalancerInfoRequest {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetBalancerInfoResponse {
    #[prost(message, optional, tag = "1")]
    pub balancer: ::core::option::Option<BalancerMsg>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct OverrideBalancerTargetRequest {
    #[prost(string, tag = "1")]
    pub balancer_tag: ::prost::alloc::string::String,
    /// Empty to take the override back.
    #[prost(string, tag = "2")]
    pub target: ::prost::alloc::string::String,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct OverrideBalancerTargetResponse {}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AddRuleRequest {
    /// A router configuration.
    #[prost(message, optional, tag = "1")]
    pub config: ::core::option::Option<
        super::super::super::super::super::waypost::common::TypedMessage,
    >,
    /// Whether the rules that are there stay.
    #[prost(bool, tag = "2")]
    pub should_append: bool,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AddRuleResponse {}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct RemoveRuleRequest {
    #[prost(string, tag = "1")]
    pub rule_tag: ::prost::alloc::string::String,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct RemoveRuleResponse {}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct ListRuleRequest {}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct ListRuleItem {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub rule_tag: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ListRuleResponse {
    #[prost(message, repeated, tag = "1")]
    pub rules: ::prost::alloc::vec::Vec<ListRuleItem>,
}
