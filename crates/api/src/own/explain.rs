//! What would become of a connection.

use std::net::{IpAddr, SocketAddr};

use axum::{extract::State, response::Response};
use serde::Deserialize;
use waypost_net::{Flow, Network, Tag, Target};

use crate::{
    app::Shared,
    respond::{Json, Refusal, json},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    target: String,
    network: Option<String>,
    source: Option<String>,
    inbound: Option<String>,
    user: Option<String>,
    protocol: Option<String>,
}

/// Decides as about a connection that comes now, and says why. Names are looked up if a rule asks for
/// that; nothing is dialled.
pub(super) async fn explain(
    State(app): State<Shared>,
    Json(asked): Json<Asked>,
) -> Result<Response, Refusal> {
    let flow = flow(asked)?;
    let explained = app.control.explain(flow.clone()).await;
    let mut answer = explained.to_json(&flow);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("text".to_owned(), explained.to_string().into());
    }
    Ok(json(&answer))
}

fn flow(asked: Asked) -> Result<Flow, Refusal> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let wrong = |key: &str, error: &dyn std::fmt::Display| Refusal::bad(format!("{key}: {error}"));
    let target: Target = asked.target.parse().map_err(|error| wrong("target", &error))?;
    let network: Network = given(asked.network)
        .map_or(Ok(Network::Tcp), |network| network.parse())
        .map_err(|error| wrong("network", &error))?;
    let source = given(asked.source).map(|source| {
        let whole = source.parse::<SocketAddr>();
        whole.or_else(|_| source.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)))
    });
    Ok(Flow {
        source: source.transpose().map_err(|error| wrong("source", &error))?,
        inbound: given(asked.inbound).map(Tag::from),
        user: given(asked.user).map(Into::into),
        protocol: given(asked.protocol).map(Into::into),
        ..Flow::new(network, target)
    })
}
