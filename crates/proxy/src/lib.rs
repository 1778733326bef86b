//! The IO shell of Waypost: listeners, handshakes, dialers, relay and the table of connections.
//!
//! Each piece takes what it needs as arguments and gives typed errors back.
#![forbid(unsafe_code)]

mod acceptor;
mod attempts;
pub mod build;
mod cache;
mod chain;
mod companion;
mod conduit;
mod connections;
mod control;
mod counts;
mod dial;
mod dials;
mod dispatch;
mod dns_outbound;
mod download;
mod engine;
mod entrances;
pub mod explain;
mod first_bytes;
mod handshake;
mod health;
mod hits;
mod http;
mod inbound;
mod inherited;
mod installed;
mod limits;
mod listener;
mod lookups;
mod mode;
mod pools;
mod probe;
mod process;
mod queries;
mod rejections;
mod relay;
mod reload;
mod replay;
mod reports;
mod rule_sets;
mod serve;
mod setup;
mod shadowsocks;
mod shared;
pub mod simulate;
mod snapshot;
mod sniffing;
mod socket;
mod stream;
mod system;
mod totals;
mod traffic;
mod tunnel;
mod udp;
mod walk;
mod wire_io;
mod workers;

pub use attempts::{AttemptEnd, AttemptRecord};
pub use cache::Cache;
pub use companion::{Commit, Companion, Preparing, preparing};
pub use conduit::{CloseSignal, Conduit, Counters};
pub use connections::{Connection, ConnectionGuard, ConnectionId, ConnectionInfo, Connections, Path};
pub use control::{Control, DelayError, Figures, GroupTest, OutboundKind, OutboundReport, RuleReport};
pub use dial::{DialError, Dialed, Dialer, DialerError};
pub use download::{DownloadError, DownloadLimits, download};
pub use engine::{ListenAddress, Proxy, StartError};
pub use handshake::{
    Accepted, ClientStream, DEFAULT_HANDSHAKE_TIMEOUT, HandshakeError, HandshakeSettings, Opened,
    accept_client,
};
pub use health::{DELAY_BOUNDS, DelayClasses, DelaySample, GroupChange, MemberFault};
pub use inbound::Ends;
pub use inherited::Inherited;
pub use limits::{ConnectionLimit, DEFAULT_MAX_CONNECTIONS};
pub use listener::{BindError, BoundAddress, BoundListener, Listener, bind};
pub use mode::UnknownMode;
pub use relay::{DEFAULT_IDLE_TIMEOUT, EndReason, Relay, RelayEnd, Side, Terms};
pub use reload::{Reading, ReloadError, ReloadFrom, ReloadReport};
pub use reports::{GroupKind, GroupReport, MemberReport};
pub use rule_sets::{CriticalSetError, RedirectError, RuleSetKind, RuleSetReport, UpdateError};
pub use snapshot::{NoRoute, Outbound, Route, RouteAttempt, RouteGroup, Snapshot, Why};
pub use stream::{Layered, Stream};
pub use system::{level_filter, raise_descriptor_limit};
pub use totals::MemberTotals;
pub use traffic::{Amount, Place, Volume, Volumes};
pub use udp::DroppedDatagrams;
pub use waypost_balance::{Role, SelectError, Strategy, Tier};
pub use waypost_dns::{AnswerRecord, QueryError, QueryReply, ResolverFigures};
pub use waypost_health::State;
pub use waypost_net as net;
pub use workers::Workers;
