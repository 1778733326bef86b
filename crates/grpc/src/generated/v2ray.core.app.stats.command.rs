// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetStatsRequest {
    #[prost(string, tag = "1")]
    pub name: ::prost::alloc::string::String,
    /// Whether the counter begins at zero again.
    #[prost(bool, tag = "2")]
    pub reset: bool,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Stat {
    #[prost(string, tag = "1")]
    pub name: ::prost::alloc::string::String,
    #[prost(int64, tag = "2")]
    pub value: i64,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetStatsResponse {
    #[prost(message, optional, tag = "1")]
    pub stat: ::core::option::Option<Stat>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct QueryStatsRequest {
    /// A part of names; empty for all.
    #[prost(string, tag = "1")]
    pub pattern: ::prost::alloc::string::String,
    #[prost(bool, tag = "2")]
    pub reset: bool,
    /// V2Ray 5: more of `pattern`.
    #[prost(string, repeated, tag = "3")]
    pub patterns: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// V2Ray 5: whether patterns are regular expressions.
    #[prost(bool, tag = "4")]
    pub regexp: bool,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct QueryStatsResponse {
    #[prost(message, repeated, tag = "1")]
    pub stat: ::prost::alloc::vec::Vec<Stat>,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct SysStatsRequest {}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct SysStatsResponse {
    #[prost(uint32, tag = "1")]
    pub num_goroutine: u32,
    #[prost(uint32, tag = "2")]
    pub num_gc: u32,
    #[prost(uint64, tag = "3")]
    pub alloc: u64,
    #[prost(uint64, tag = "4")]
    pub total_alloc: u64,
    #[prost(uint64, tag = "5")]
    pub sys: u64,
    #[prost(uint64, tag = "6")]
    pub mallocs: u64,
    #[prost(uint64, tag = "7")]
    pub frees: u64,
    #[prost(uint64, tag = "8")]
    pub live_objects: u64,
    #[prost(uint64, tag = "9")]
    pub pause_total_ns: u64,
    /// In seconds.
    #[prost(uint32, tag = "10")]
    pub uptime: u32,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct GetStatsOnlineIpListResponse {
    #[prost(string, tag = "1")]
    pub name: ::prost::alloc::string::String,
    /// Unix seconds of when an address was seen.
    #[prost(btree_map = "string, int64", tag = "2")]
    pub ips: ::prost::alloc::collections::BTreeMap<::prost::alloc::string::String, i64>,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetAllOnlineUsersRequest {}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetAllOnlineUsersResponse {
    #[prost(string, repeated, tag = "1")]
    pub users: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct OnlineIpEntry {
    #[prost(string, tag = "1")]
    pub ip: ::prost::alloc::string::String,
    #[prost(int64, tag = "2")]
    pub last_seen: i64,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct TrafficUserStat {
    #[prost(int64, tag = "1")]
    pub uplink: i64,
    #[prost(int64, tag = "2")]
    pub downlink: i64,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct UserStat {
    #[prost(string, tag = "1")]
    pub email: ::prost::alloc::string::String,
    #[prost(message, repeated, tag = "2")]
    pub ips: ::prost::alloc::vec::Vec<OnlineIpEntry>,
    #[prost(message, optional, tag = "3")]
    pub traffic: ::core::option::Option<TrafficUserStat>,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct GetUsersStatsRequest {
    #[prost(bool, tag = "1")]
    pub include_traffic: bool,
    #[prost(bool, tag = "2")]
    pub reset: bool,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct GetUsersStatsResponse {
    #[prost(message, repeated, tag = "1")]
    pub users: ::prost::alloc::vec::Vec<UserStat>,
}
