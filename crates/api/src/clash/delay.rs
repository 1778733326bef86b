//! How long a request through an outbound takes.

use std::{collections::BTreeMap, time::Duration};

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;
use waypost_config::model::ProbeUrl;
use waypost_proxy::DelayError;

use super::proxies::{Catalogue, Entry, millis};
use crate::{
    app::{App, Shared},
    respond::{Arguments, Name, Refusal, json},
};

/// What is asked for unless the client or the group says something else, as with sing-box and mihomo.
pub(super) const DEFAULT_URL: &str = "https://www.gstatic.com/generate_204";
/// The longest that a client may wait, in milliseconds; also the largest 16-bit number, as which Clash
/// reads it.
const LONGEST: u64 = 32_767;
/// More ranges of status codes make no sense; mihomo takes as many.
const MAX_RANGES: usize = 28;
const NO_DELAY: Refusal = Refusal::of(StatusCode::SERVICE_UNAVAILABLE, "An error occurred in the delay test");
const NOBODY: Refusal = Refusal::of(StatusCode::GATEWAY_TIMEOUT, "get delay: all proxies timeout");

#[derive(Serialize)]
struct Delay {
    delay: u64,
}

/// What a client wants to know.
struct Wanted {
    url: Option<ProbeUrl>,
    limit: Duration,
    /// The status codes that will do, as closed ranges; none for any.
    expected: Vec<(u16, u16)>,
}

impl Wanted {
    /// `longest` is the largest number that counts as a time.
    fn new(arguments: &Arguments, longest: u64) -> Result<Self, Refusal> {
        let limit = arguments.get("timeout").and_then(|limit| limit.parse().ok());
        let limit: u64 = limit.filter(|limit| (1..=longest).contains(limit)).ok_or(Refusal::BODY_INVALID)?;
        let url = match arguments.given("url") {
            Some(url) => Some(url.parse().map_err(|error| Refusal::bad(format!("url: {error}")))?),
            None => None,
        };
        let expected = ranges(arguments.given("expected").unwrap_or("*")).ok_or(Refusal::BODY_INVALID)?;
        Ok(Self { url, limit: Duration::from_millis(limit.min(LONGEST)), expected })
    }
}

pub(super) async fn of_proxy(
    State(app): State<Shared>,
    Name(name): Name,
    arguments: Arguments,
) -> Result<Response, Refusal> {
    measure(&app, &name, &arguments).await.map(|delay| json(&Delay { delay: millis(delay) }))
}

/// The delay of an outbound, or of the outbound that serves a group.
pub(super) async fn measure(app: &App, name: &str, arguments: &Arguments) -> Result<Duration, Refusal> {
    let tested = Catalogue::of(&app.control).tested(name).ok_or(Refusal::NOT_FOUND)?;
    let wanted = Wanted::new(arguments, LONGEST)?;
    if !tested.is_group() {
        return outbound(app, &tested, wanted).await;
    }
    let Wanted { url, limit, expected: _ } = wanted;
    let test = app.control.test_group(&tested.name, url.as_ref(), limit).await;
    let test = test.map_err(|error| refusal(&error))?;
    test.serving.map(|(_, delay)| delay).ok_or(Refusal::TIMEOUT)
}

async fn outbound(app: &App, tested: &Entry, wanted: Wanted) -> Result<Duration, Refusal> {
    let Wanted { url, limit, expected } = wanted;
    let url = url.or_else(|| DEFAULT_URL.parse().ok()).ok_or(Refusal::BODY_INVALID)?;
    let test = app.control.test_outbound(&tested.name, &url, &expected, limit).await;
    test.map_err(|error| refusal(&error))
}

pub(super) async fn of_group(
    State(app): State<Shared>,
    Name(name): Name,
    arguments: Arguments,
) -> Result<Response, Refusal> {
    let catalogue = Catalogue::of(&app.control);
    if !catalogue.find(&name).is_some_and(|entry| entry.is_group()) {
        return Err(Refusal::NOT_FOUND);
    }
    let wanted = Wanted::new(&arguments, i32::MAX.unsigned_abs().into())?;
    let tested = catalogue.tested(&name).ok_or(NOBODY)?;
    if !tested.is_group() {
        // What takes what no rule matches, without a group in between.
        let delay = outbound(&app, &tested, wanted).await.map_err(|_failed| NOBODY)?;
        return Ok(json(&BTreeMap::from([(tested.name, millis(delay))])));
    }
    let Wanted { url, limit, expected: _ } = wanted;
    let test = app.control.test_group(&tested.name, url.as_ref(), limit).await;
    let test = test.map_err(|error| refusal(&error))?;
    if test.delays.is_empty() {
        return Err(NOBODY);
    }
    let delays: BTreeMap<String, u64> =
        test.delays.iter().map(|(tag, delay)| (tag.to_string(), millis(*delay))).collect();
    Ok(json(&delays))
}

fn refusal(error: &DelayError) -> Refusal {
    match error {
        DelayError::Unknown => Refusal::NOT_FOUND,
        DelayError::Timeout => Refusal::TIMEOUT,
        DelayError::NotTestable | DelayError::Failed { .. } | _ => NO_DELAY,
    }
}

/// Reads status codes as mihomo writes them: `200`, `200-299`, several with `/` or `,` between, `*` for any.
fn ranges(text: &str) -> Option<Vec<(u16, u16)>> {
    if text == "*" {
        return Some(Vec::new());
    }
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (code(first.trim())?, code(last.trim())?);
        (first <= last).then_some((first, last))
    };
    let ranges: Option<Vec<_>> = text.split(['/', ',']).map(range).collect();
    ranges.filter(|ranges| ranges.len() <= MAX_RANGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_are_read_as_mihomo_writes_them() {
        assert_eq!(ranges("*"), Some(vec![]));
        assert_eq!(ranges("200"), Some(vec![(200, 200)]));
        assert_eq!(ranges("200/204,300-399"), Some(vec![(200, 200), (204, 204), (300, 399)]));
        for text in ["", "x", "200-", "299-200", "99", "600", "200//204", &"200/".repeat(28)] {
            assert_eq!(ranges(text), None, "{text}");
        }
    }
}
