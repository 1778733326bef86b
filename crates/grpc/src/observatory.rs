//! `ObservatoryService`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tonic::{Request, Response, Status};
use waypost_proxy::{Control, DelaySample, OutboundReport};

use crate::{
    messages::observatory::{
        GetOutboundStatusRequest, GetOutboundStatusResponse, HealthPingMeasurementResult, ObservationResult,
        OutboundStatus, observatory_service_server::ObservatoryService,
    },
    typed::shown,
};

/// The delay of an outbound that does not answer, in milliseconds, in both programs.
const DEAD_MILLIS: i64 = 99_999_999;

/// Tells what probes have found out.
#[derive(Debug)]
pub(crate) struct Observer {
    control: Control,
}

impl Observer {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl ObservatoryService for Observer {
    async fn get_outbound_status(
        &self,
        request: Request<GetOutboundStatusRequest>,
    ) -> Result<Response<GetOutboundStatusResponse>, Status> {
        let tag = request.into_inner().tag;
        let config = self.control.config();
        let asked = if tag.is_empty() {
            None
        } else {
            let mut observers = config.observatories.iter();
            let is_asked = |known: &str| known == tag;
            let found = observers
                .find(|observer| observer.tag.as_ref().is_some_and(|known| is_asked(known.value.as_str())));
            Some(found.ok_or_else(|| Status::not_found(format!("there is no observer `{}`", shown(&tag))))?)
        };
        let outbounds = self.control.outbounds();
        let watched = outbounds.iter().filter(|outbound| {
            let tag = outbound.tag.as_ref();
            asked.is_none_or(|observer| tag.is_some_and(|tag| observer.watches(tag.as_str())))
        });
        let status = watched.filter_map(status).collect();
        Ok(Response::new(GetOutboundStatusResponse { status: Some(ObservationResult { status }) }))
    }
}

/// What is told of an outbound; nothing before it was probed.
fn status(outbound: &OutboundReport) -> Option<OutboundStatus> {
    let last = outbound.history.last()?;
    let alive = outbound.state.is_usable();
    let answered = outbound.history.iter().rev().find(|sample| sample.delay.is_some());
    let delay = answered.and_then(|sample| sample.delay).filter(|_| alive);
    Some(OutboundStatus {
        alive,
        delay: delay.map_or(DEAD_MILLIS, |delay| i64::try_from(delay.as_millis()).unwrap_or(DEAD_MILLIS)),
        last_error_reason: if last.delay.is_none() { "the probe failed".to_owned() } else { String::new() },
        outbound_tag: outbound.tag.as_ref().map_or_else(String::new, ToString::to_string),
        last_seen_time: answered.map_or(0, |sample| seconds(sample.at)),
        last_try_time: seconds(last.at),
        health_ping: Some(measurements(&outbound.history)),
    })
}

fn seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The figures of the probes that are remembered; those of times are of probes that were answered.
fn measurements(history: &[DelaySample]) -> HealthPingMeasurementResult {
    let delays: Vec<Duration> = history.iter().filter_map(|sample| sample.delay).collect();
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let n_delays = u32::try_from(delays.len()).unwrap_or(u32::MAX);
    let average = delays.iter().sum::<Duration>().checked_div(n_delays).unwrap_or_default();
    HealthPingMeasurementResult {
        all: count(history.len()),
        fail: count(history.len() - delays.len()),
        deviation: nanos(deviation(&delays, average)),
        average: nanos(average),
        max: delays.iter().max().map_or(0, |&delay| nanos(delay)),
        min: delays.iter().min().map_or(0, |&delay| nanos(delay)),
    }
}

/// The standard deviation of all; of a single one half of it, as V2Ray has it.
fn deviation(delays: &[Duration], average: Duration) -> Duration {
    if let [_only] = delays {
        return average / 2;
    }
    let squares: f64 = delays.iter().map(|delay| delay.abs_diff(average).as_secs_f64().powi(2)).sum();
    let n_delays = u32::try_from(delays.len()).unwrap_or(u32::MAX).max(1);
    Duration::try_from_secs_f64((squares / f64::from(n_delays)).sqrt()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_answered_probes() {
        let sample =
            |millis: Option<u64>| DelaySample { at: UNIX_EPOCH, delay: millis.map(Duration::from_millis) };
        let none = measurements(&[sample(None)]);
        assert_eq!((none.all, none.fail, none.average, none.deviation), (1, 1, 0, 0));
        let one = measurements(&[sample(Some(30))]);
        assert_eq!((one.all, one.fail, one.average, one.deviation), (1, 0, 30_000_000, 15_000_000));
        let three = measurements(&[sample(Some(10)), sample(None), sample(Some(30))]);
        assert_eq!((three.all, three.fail, three.min, three.max), (3, 1, 10_000_000, 30_000_000));
        assert_eq!((three.average, three.deviation), (20_000_000, 10_000_000));
    }
}
