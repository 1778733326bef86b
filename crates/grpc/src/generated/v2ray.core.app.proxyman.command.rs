// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct InboundHandlerConfig {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
    #[prost(message, optional, tag = "2")]
    pub receiver_settings: ::core::option::Option<
        super::super::super::super::super::waypost::common::TypedMessage,
    >,
    #[prost(message, optional, tag = "3")]
    pub proxy_settings: ::core::option::Option<
        super::super::super::super::super::waypost::common::TypedMessage,
    >,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct OutboundHandlerConfig {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
    #[prost(message, optional, tag = "2")]
    pub sender_settings: ::core::option::Option<
        super::super::super::super::super::waypost::common::TypedMessage,
    >,
    #[prost(message, optional, tag = "3")]
    pub proxy_settings: ::core::option::Option<
        super::super::super::super::super::waypost::common::TypedMessage,
    >,
    #[prost(int64, tag = "4")]
    pub expire: i64,
    #[prost(string, tag = "5")]
    pub comment: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AddUserOperation {
    #[prost(message, optional, tag = "1")]
    pub user: ::core::option::Option<
        super::super::super::super::super::waypost::common::User,
    >,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct RemoveUserOperation {
    #[prost(string, tag = "1")]
    pub email: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AddInboundRequest {
    #[prost(message, optional, tag = "1")]
    pub inbound: ::core::option::Option<InboundHandlerConfig>,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AddInboundResponse {}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct RemoveInboundRequest {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct RemoveInboundResponse {}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AlterInboundRequest {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
    /// An AddUserOperation or a RemoveUserOperation.
    #[prost(message, optional, tag = "2")]
    pub operation: ::core::option::Option<
        super::super::super::super::super::waypost::common::TypedMessage,
    >,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AlterInboundResponse {}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct ListInboundsRequest {
    #[prost(bool, tag = "1")]
    pub is_only_tags: bool,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ListInboundsResponse {
    #[prost(message, repeated, tag = "1")]
    pub inbounds: ::prost::alloc::vec::Vec<InboundHandlerConfig>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetInboundUserRequest {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
    /// Empty for all users.
    #[prost(string, tag = "2")]
    pub email: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct GetInboundUserResponse {
    #[prost(message, repeated, tag = "1")]
    pub users: ::prost::alloc::vec::Vec<
        super::super::super::super::super::waypost::common::User,
    >,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetInboundUsersCountResponse {
    #[prost(int64, tag = "1")]
    pub count: i64,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AddOutboundRequest {
    #[prost(message, optional, tag = "1")]
    pub outbound: ::core::option::Option<OutboundHandlerConfig>,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AddOutboundResponse {}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct RemoveOutboundRequest {
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct RemoveOutboundResponse {}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct ListOutboundsRequest {}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ListOutboundsResponse {
    #[prost(message, repeated, tag = "1")]
    pub outbounds: ::prost::alloc::vec::Vec<OutboundHandlerConfig>,
}
