// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct HealthPingMeasurementResult {
    #[prost(int64, tag = "1")]
    pub all: i64,
    #[prost(int64, tag = "2")]
    pub fail: i64,
    /// In nanoseconds, like all that follow.
    #[prost(int64, tag = "3")]
    pub deviation: i64,
    #[prost(int64, tag = "4")]
    pub average: i64,
    #[prost(int64, tag = "5")]
    pub max: i64,
    #[prost(int64, tag = "6")]
    pub min: i64,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct OutboundStatus {
    #[prost(bool, tag = "1")]
    pub alive: bool,
    /// In milliseconds.
    #[prost(int64, tag = "2")]
    pub delay: i64,
    #[prost(string, tag = "3")]
    pub last_error_reason: ::prost::alloc::string::String,
    #[prost(string, tag = "4")]
    pub outbound_tag: ::prost::alloc::string::String,
    /// Unix seconds of the last probe that was answered.
    #[prost(int64, tag = "5")]
    pub last_seen_time: i64,
    /// Unix seconds of the last probe.
    #[prost(int64, tag = "6")]
    pub last_try_time: i64,
    #[prost(message, optional, tag = "7")]
    pub health_ping: ::core::option::Option<HealthPingMeasurementResult>,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ObservationResult {
    #[prost(message, repeated, tag = "1")]
    pub status: ::prost::alloc::vec::Vec<OutboundStatus>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetOutboundStatusRequest {
    /// V2Ray 5: the observer of `multiObservatory` that is asked.
    #[prost(string, tag = "1")]
    pub tag: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct GetOutboundStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub status: ::core::option::Option<ObservationResult>,
}
