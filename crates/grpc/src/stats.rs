//! `StatsService`.

mod online;
mod system;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parking_lot::Mutex;
use regex::Regex;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use waypost_config::model::{OutboundProtocol, Stats};
use waypost_proxy::{Control, Volume, Volumes};

use crate::{
    messages::stats::{
        GetAllOnlineUsersRequest, GetAllOnlineUsersResponse, GetStatsOnlineIpListResponse, GetStatsRequest,
        GetStatsResponse, GetUsersStatsRequest, GetUsersStatsResponse, QueryStatsRequest, QueryStatsResponse,
        Stat, SysStatsRequest, SysStatsResponse, TrafficUserStat, stats_service_server::StatsService,
    },
    typed::shown,
};

/// Enough for any tool, few enough that the expressions take little memory.
const MAX_PATTERNS: usize = 64;
/// What one compiled expression may take.
const MAX_EXPRESSION_BYTES: usize = 1 << 20;

/// The counters, which clients can set back to zero: what the proxy counts goes on, and what it had counted then
/// is subtracted.
#[derive(Debug)]
pub(crate) struct Counters {
    control: Control,
    bases: Mutex<HashMap<String, u64>>,
    start: Instant,
}

/// Which counters are asked for.
enum Pattern {
    All,
    /// One of these is a part of the name.
    Parts(Vec<String>),
    /// One of these is found in the name.
    Expressions(Vec<Regex>),
}

impl Counters {
    pub(crate) fn new(control: Control) -> Self {
        Self { control, bases: Mutex::default(), start: Instant::now() }
    }

    /// The counters that are wanted, by name.
    fn read(&self, is_wanted: impl Fn(&str) -> bool, reset: bool) -> Vec<Stat> {
        // Under the lock, so that two who set a counter back never both get the same bytes.
        let mut bases = self.bases.lock();
        let mut stats = Vec::new();
        for (name, total) in totals(&self.control) {
            if !is_wanted(&name) {
                continue;
            }
            let base = bases.get(&name).copied().unwrap_or(0);
            let value = i64::try_from(total.saturating_sub(base)).unwrap_or(i64::MAX);
            if reset {
                bases.insert(name.clone(), total);
            }
            stats.push(Stat { name, value });
        }
        stats
    }
}

/// All counters that the configuration has switched on, by name, and those of users, which no setting switches.
/// Counters of who is gone stay.
fn totals(control: &Control) -> BTreeMap<String, u64> {
    let config = control.config();
    let Stats { inbound_up, inbound_down, outbound_up, outbound_down } = config.stats;
    let mut totals = BTreeMap::new();
    let mut note = |place: &str, tag: &str, (up, down): (Option<u64>, Option<u64>)| {
        for (direction, bytes) in [("uplink", up), ("downlink", down)] {
            if let Some(bytes) = bytes {
                totals.insert(format!("{place}>>>{tag}>>>traffic>>>{direction}"), bytes);
            }
        }
    };
    let zero = |counts: bool| counts.then_some(0);
    for tag in config.inbounds.iter().filter_map(|inbound| inbound.tag.as_ref()) {
        note("inbound", tag.value.as_str(), (zero(inbound_up), zero(inbound_down)));
    }
    let leaves = config.outbounds.iter().filter(|outbound| {
        !outbound.protocol.is_group() && !matches!(outbound.protocol, OutboundProtocol::Api)
    });
    for tag in leaves.filter_map(|outbound| outbound.tag.as_ref()) {
        note("outbound", tag.value.as_str(), (zero(outbound_up), zero(outbound_down)));
    }
    let Volumes { inbounds, outbounds, users, .. } = control.volumes();
    let shown = |volume: Volume, up: bool, down: bool| (up.then_some(volume.up), down.then_some(volume.down));
    for (tag, volume) in &inbounds {
        note("inbound", tag, shown(*volume, inbound_up, inbound_down));
    }
    for (tag, volume) in &outbounds {
        note("outbound", tag, shown(*volume, outbound_up, outbound_down));
    }
    for (user, volume) in &users {
        note("user", user, shown(*volume, true, true));
    }
    totals
}

impl Pattern {
    fn try_new(request: QueryStatsRequest) -> Result<Self, Status> {
        let QueryStatsRequest { pattern, mut patterns, regexp, reset: _ } = request;
        if !pattern.is_empty() {
            patterns.push(pattern);
        }
        if patterns.len() > MAX_PATTERNS {
            return Err(Status::invalid_argument(format!("there are more than {MAX_PATTERNS} patterns")));
        }
        if patterns.is_empty() {
            return Ok(Self::All);
        }
        if !regexp {
            return Ok(Self::Parts(patterns));
        }
        let compile = |pattern: String| {
            let expression = regex::RegexBuilder::new(&pattern).size_limit(MAX_EXPRESSION_BYTES).build();
            expression.map_err(|_invalid| {
                Status::invalid_argument(format!("not a regular expression: `{}`", shown(&pattern)))
            })
        };
        Ok(Self::Expressions(patterns.into_iter().map(compile).collect::<Result<_, _>>()?))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Parts(parts) => parts.iter().any(|part| name.contains(part.as_str())),
            Self::Expressions(expressions) => expressions.iter().any(|expression| expression.is_match(name)),
        }
    }
}

/// As Xray answers; V2Ray has the same message with the code `UNKNOWN`.
fn not_found(name: &str) -> Status {
    Status::not_found(format!("{} not found.", shown(name)))
}

#[tonic::async_trait]
impl StatsService for Counters {
    async fn get_stats(
        &self,
        request: Request<GetStatsRequest>,
    ) -> Result<Response<GetStatsResponse>, Status> {
        let GetStatsRequest { name, reset } = request.into_inner();
        let stat = self.read(|known| known == name, reset).pop().ok_or_else(|| not_found(&name))?;
        Ok(Response::new(GetStatsResponse { stat: Some(stat) }))
    }

    async fn query_stats(
        &self,
        request: Request<QueryStatsRequest>,
    ) -> Result<Response<QueryStatsResponse>, Status> {
        let request = request.into_inner();
        let reset = request.reset;
        let pattern = Pattern::try_new(request)?;
        let stat = self.read(|name| pattern.matches(name), reset);
        Ok(Response::new(QueryStatsResponse { stat }))
    }

    async fn get_sys_stats(
        &self,
        _request: Request<SysStatsRequest>,
    ) -> Result<Response<SysStatsResponse>, Status> {
        Ok(Response::new(system::read(self.start.elapsed()).await))
    }

    async fn get_stats_online(
        &self,
        request: Request<GetStatsRequest>,
    ) -> Result<Response<GetStatsResponse>, Status> {
        let name = request.into_inner().name;
        let sources = online::sources(&self.control, &name).ok_or_else(|| not_found(&name))?;
        let value = i64::try_from(sources.len()).unwrap_or(i64::MAX);
        Ok(Response::new(GetStatsResponse { stat: Some(Stat { name, value }) }))
    }

    async fn get_stats_online_ip_list(
        &self,
        request: Request<GetStatsRequest>,
    ) -> Result<Response<GetStatsOnlineIpListResponse>, Status> {
        let name = request.into_inner().name;
        let sources = online::sources(&self.control, &name).ok_or_else(|| not_found(&name))?;
        let now = online::now();
        let ips = sources.into_iter().map(|source| (source.to_string(), now)).collect();
        Ok(Response::new(GetStatsOnlineIpListResponse { name, ips }))
    }

    async fn get_all_online_users(
        &self,
        _request: Request<GetAllOnlineUsersRequest>,
    ) -> Result<Response<GetAllOnlineUsersResponse>, Status> {
        let users = online::users(&self.control);
        let users = users.into_keys().map(|user| online::counter(&user)).collect();
        Ok(Response::new(GetAllOnlineUsersResponse { users }))
    }

    async fn get_users_stats(
        &self,
        request: Request<GetUsersStatsRequest>,
    ) -> Result<Response<GetUsersStatsResponse>, Status> {
        let GetUsersStatsRequest { include_traffic, reset } = request.into_inner();
        let mut users = online::stats(online::users(&self.control));
        if include_traffic {
            let wanted: BTreeSet<String> = users.iter().flat_map(|user| traffic_of(&user.email)).collect();
            let stats = self.read(|name| wanted.contains(name), reset);
            let values: HashMap<String, i64> =
                stats.into_iter().map(|stat| (stat.name, stat.value)).collect();
            for user in &mut users {
                let [uplink, downlink] =
                    traffic_of(&user.email).map(|name| values.get(&name).copied().unwrap_or(0));
                user.traffic = Some(TrafficUserStat { uplink, downlink });
            }
        }
        Ok(Response::new(GetUsersStatsResponse { users }))
    }
}

/// The counters of what a user sent and got.
fn traffic_of(user: &str) -> [String; 2] {
    ["uplink", "downlink"].map(|direction| format!("user>>>{user}>>>traffic>>>{direction}"))
}
