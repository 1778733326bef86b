//! Figures for Prometheus, in the text form of OpenMetrics. Like everything but the page they need the
//! secret, as `Authorization: Bearer`.

mod merged;

use std::fmt;

use axum::{
    extract::State as Extracted,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use waypost_net::Tag;
use waypost_proxy::{
    DELAY_BOUNDS, Figures, GroupReport, OutboundReport, ResolverFigures, RuleReport, RuleSetReport, State,
    Tier, Volumes,
};

use crate::{
    app::{App, Shared},
    memory::resident,
    own::UNTAGGED,
};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn show(Extracted(app): Extracted<Shared>) -> Response {
    let mut registry = Registry::with_prefix("waypost");
    registry.register_collector(Box::new(Scrape::of(&app)));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        // A string takes all that is written to it.
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Everything at a moment.
#[derive(Debug)]
struct Scrape {
    figures: Figures,
    dns: ResolverFigures,
    volumes: Volumes,
    outbounds: Vec<OutboundReport>,
    groups: Vec<GroupReport>,
    rules: Vec<RuleReport>,
    rule_sets: Vec<RuleSetReport>,
    generation: u64,
    resident: u64,
    uptime: f64,
}

impl Scrape {
    fn of(app: &App) -> Self {
        let control = &app.control;
        Self {
            figures: control.figures(),
            dns: control.dns_figures(),
            volumes: control.volumes(),
            outbounds: merged::outbounds(control.outbounds()),
            groups: merged::groups(control.groups()),
            rules: merged::rules(control.rules()),
            rule_sets: control.rule_sets(),
            generation: control.generation(),
            resident: resident(),
            uptime: app.started.elapsed().as_secs_f64(),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        self.program(to)?;
        self.traffic(to)?;
        self.decisions(to)?;
        self.members(to)?;
        self.delays(to)
    }
}

/// A family of counters or gauges: how to name one by its labels.
struct Family<'e>(MetricEncoder<'e>);

impl Family<'_> {
    fn count<const N: usize>(&mut self, labels: [(&str, &str); N], value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_family(&labels)?)
    }

    fn gauge<const N: usize>(&mut self, labels: [(&str, &str); N], value: i64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_family(&labels)?)
    }
}

fn counters<'e>(
    to: &'e mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &str,
) -> Result<Family<'e>, fmt::Error> {
    to.encode_descriptor(name, help, None, MetricType::Counter).map(Family)
}

fn gauges<'e>(
    to: &'e mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &str,
) -> Result<Family<'e>, fmt::Error> {
    to.encode_descriptor(name, help, None, MetricType::Gauge).map(Family)
}

fn count(to: &mut DescriptorEncoder<'_>, name: &'static str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(to.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &'static str, help: &str, value: i64) -> fmt::Result {
    ConstGauge::new(value).encode(to.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

impl Scrape {
    fn program(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        to.encode_descriptor("build", "The program", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let uptime = to.encode_descriptor(
            "uptime",
            "Time since the control interface began to answer",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.uptime).encode(uptime)?;
        gauge(to, "resident_memory_bytes", "Memory that is resident", signed(self.resident))?;
        gauge(
            to,
            "configuration_generation",
            "Which configuration is in force, from 1",
            signed(self.generation),
        )?;
        let mut reloads = counters(to, "reloads", "Configurations that were given while running")?;
        reloads.count([("result", "taken")], self.figures.reloads)?;
        reloads.count([("result", "refused")], self.figures.failed_reloads)?;
        let mut entries = gauges(to, "rule_set_entries", "Names, ranges and other values of a rule set")?;
        for set in &self.rule_sets {
            entries.gauge([("rule_set", set.tag.as_str())], as_gauge(set.n_entries))?;
        }
        Ok(())
    }

    fn traffic(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        gauge(to, "connections", "Live connections and sessions of datagrams", as_gauge(self.figures.live))?;
        count(
            to,
            "connections_entered",
            "Connections and sessions that were decided on",
            self.figures.entered,
        )?;
        let mut bytes = counters(to, "bytes", "Bytes that were carried")?;
        bytes.count([("direction", "up")], self.volumes.all.up)?;
        bytes.count([("direction", "down")], self.volumes.all.down)?;
        let mut bytes = counters(to, "inbound_bytes", "Bytes that were carried, by inbound")?;
        for (tag, volume) in &self.volumes.inbounds {
            bytes.count([("inbound", tag), ("direction", "up")], volume.up)?;
            bytes.count([("inbound", tag), ("direction", "down")], volume.down)?;
        }
        let mut bytes = counters(to, "outbound_bytes", "Bytes that were carried, by outbound")?;
        for (tag, volume) in &self.volumes.outbounds {
            bytes.count([("outbound", tag), ("direction", "up")], volume.up)?;
            bytes.count([("outbound", tag), ("direction", "down")], volume.down)?;
        }
        Ok(())
    }

    fn decisions(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut hits =
            counters(to, "rule_hits", "How often a rule decided; `final` is what no rule matched")?;
        for rule in &self.rules {
            hits.count([("rule", &rule.label), ("action", &rule.action)], rule.hits)?;
        }
        hits.count([("rule", "final"), ("action", "route")], self.figures.unmatched)?;
        let hedges = "Dials that began beside one that was slow";
        count(to, "hedges", hedges, self.figures.hedges)?;
        count(to, "replays", "First flights that were sent through another member", self.figures.replays)?;
        count(to, "dns_lookups", "Names that were wanted", self.dns.lookups)?;
        count(to, "dns_failures", "Names that could not be had", self.dns.failures)?;
        count(to, "dns_cached", "Names whose answer was there already", self.dns.cached)
    }

    fn members(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut live = gauges(to, "outbound_connections", "Connections that an outbound carries")?;
        for outbound in &self.outbounds {
            live.gauge([("outbound", tag(outbound))], as_gauge(outbound.live))?;
        }
        let mut dials = counters(to, "dial_attempts", "Dials of an outbound, by what came of them")?;
        for outbound in &self.outbounds {
            let totals = outbound.totals;
            for (outcome, value) in [
                ("carried", totals.carried),
                ("failed", totals.failed),
                ("overtaken", totals.overtaken),
                ("silent", totals.silent),
            ] {
                dials.count([("outbound", tag(outbound)), ("outcome", outcome)], value)?;
            }
        }
        let mut states = gauges(to, "outbound_state", "1 for the state that an outbound is in")?;
        for outbound in &self.outbounds {
            for state in State::WORDS {
                let is_in = outbound.state.word() == state;
                states.gauge([("outbound", tag(outbound)), ("state", state)], is_in.into())?;
            }
        }
        let mut transitions =
            counters(to, "outbound_transitions", "How often an outbound came into a state")?;
        for outbound in &self.outbounds {
            for (state, value) in &outbound.transitions {
                transitions.count([("outbound", tag(outbound)), ("state", state)], *value)?;
            }
        }
        let mut states = gauges(to, "member_state", "1 for the state that a member of a group is in")?;
        for group in &self.groups {
            for member in &group.members {
                for state in State::WORDS {
                    let labels = [("group", &*group.tag), ("member", &*member.tag), ("state", state)];
                    states.gauge(labels, (member.state.word() == state).into())?;
                }
            }
        }
        let mut tiers = gauges(to, "group_backup", "Whether the backups of a group serve")?;
        for group in &self.groups {
            tiers.gauge([("group", &group.tag)], (group.tier == Tier::Backup).into())?;
        }
        let mut remaps = counters(to, "group_remaps", "How often a group began to use other members")?;
        for group in &self.groups {
            remaps.count([("group", &group.tag)], group.changes)?;
        }
        Ok(())
    }

    fn delays(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut delays = to.encode_descriptor(
            "probe_delay",
            "How long requests took that were made to find out",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for outbound in &self.outbounds {
            let classes = &outbound.delays;
            let bounds = DELAY_BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(classes.counts).collect();
            let n_delays = classes.counts.iter().sum();
            delays.encode_family(&[("outbound", tag(outbound))])?.encode_histogram::<NoLabelSet>(
                classes.sum,
                n_delays,
                &buckets,
                None,
            )?;
        }
        let mut failures = counters(to, "probe_failures", "Requests that were made to find out, and failed")?;
        for outbound in &self.outbounds {
            failures.count([("outbound", tag(outbound))], outbound.delays.failed)?;
        }
        Ok(())
    }
}

fn tag(outbound: &OutboundReport) -> &str {
    outbound.tag.as_ref().map_or(UNTAGGED, Tag::as_str)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn as_gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
