// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct RestartLoggerRequest {}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct RestartLoggerResponse {}
