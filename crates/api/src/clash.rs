//! What dashboards and clients of Clash ask for.
//!
//! Where sing-box and mihomo differ, this is what serves their dashboards and clients best; every field
//! that one of them cannot do without is there.

pub(crate) mod configs;
pub(crate) mod connections;
mod delay;
mod dns;
mod program;
mod providers;
pub(crate) mod proxies;
mod reload;
mod rules;

use axum::{
    Router,
    response::Response,
    routing::{MethodRouter, get, post, put},
};

use crate::{
    app::Shared,
    stream::{self, Interval, Kind, Reader},
};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(program::hello))
        .route("/version", get(program::version))
        .route("/configs", get(configs::show).patch(configs::change).put(reload::reload))
        .route("/proxies", get(proxies::list))
        .route("/proxies/{name}", get(proxies::show).put(proxies::select).delete(proxies::unselect))
        .route("/proxies/{name}/delay", get(delay::of_proxy))
        .route("/group", get(proxies::groups))
        .route("/group/{name}", get(proxies::group))
        .route("/group/{name}/delay", get(delay::of_group))
        .route("/providers/proxies", get(providers::proxies))
        .route("/providers/proxies/{provider}", get(providers::provider).put(providers::refresh))
        .route("/providers/proxies/{provider}/healthcheck", get(providers::check))
        .route("/providers/proxies/{provider}/{name}", get(providers::member))
        .route("/providers/proxies/{provider}/{name}/healthcheck", get(providers::check_member))
        .route("/providers/rules", get(providers::rule_sets))
        .route("/providers/rules/{name}", put(providers::update_rule_set))
        .route("/rules", get(rules::list))
        .route("/connections", get(connections::list).delete(connections::close_all))
        .route("/connections/{id}", axum::routing::delete(connections::close))
        .route("/traffic", stream_of(Kind::Traffic))
        .route("/memory", stream_of(Kind::Memory))
        .route("/logs", get(program::logs))
        .route("/dns/query", get(dns::query))
        .route("/cache/dns/flush", post(dns::flush))
        .route("/cache/fakeip/flush", post(dns::flush_fake_addresses))
        .route("/upgrade/ui", post(program::upgrade_page))
        .route("/restart", post(program::restart))
}

fn stream_of(kind: Kind) -> MethodRouter<Shared> {
    get(
        async move |app: axum::extract::State<Shared>,
                    Interval(every): Interval,
                    reader: Reader|
                    -> Response { stream::frames(&app, reader, kind, every) },
    )
}
