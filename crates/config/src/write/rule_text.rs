//! A rule in one line, for people.

use super::{
    json::{Fields, Json},
    losses::Losses,
    singbox, v2ray,
};
use crate::{Dialect, model::Rule};

/// Of a longer list nobody reads the rest.
const MAX_SHOWN: usize = 12;

/// What a rule wants, as `key=value` with the keys of sing-box where it has them, and else with those of
/// V2Ray: `domain_suffix=.cn port=443`, `!(…)` for the opposite, ` && ` and ` || ` between the parts of a
/// logical rule. Empty if the rule takes everything.
#[must_use]
pub fn rule_text(rule: &Rule) -> String {
    let mut losses = Losses::new(Dialect::SingBox);
    if let Some(fields) = singbox::matcher_fields(&rule.matcher, rule.span, &mut losses) {
        return object(&fields);
    }
    let alternatives: Vec<String> = v2ray::condition_fields(&rule.matcher).iter().map(object).collect();
    alternatives.join(" || ")
}

fn object(fields: &Fields) -> String {
    let flag = |key: &str| fields.iter().any(|(name, value)| name == key && *value == Json::Bool(true));
    let text = match fields.iter().find(|(name, _)| name == "rules") {
        Some((_, Json::Array(rules))) => {
            let is_or = fields.iter().any(|(name, value)| name == "mode" && *value == Json::from("or"));
            let parts: Vec<String> = rules.iter().map(part).collect();
            parts.join(if is_or { " || " } else { " && " })
        }
        Some(_) | None => {
            let shown = fields.iter().filter(|(name, _)| name != "invert");
            shown.map(|(name, value)| format!("{name}={}", self::value(value))).collect::<Vec<_>>().join(" ")
        }
    };
    if flag("invert") { format!("!({text})") } else { text }
}

fn part(json: &Json) -> String {
    match json {
        Json::Object(fields) if fields.iter().any(|(name, _)| name == "rules") => {
            format!("({})", object(fields))
        }
        Json::Object(fields) => object(fields),
        Json::Bool(_) | Json::Number(_) | Json::Float(_) | Json::Text(_) | Json::Array(_) => value(json),
    }
}

fn value(json: &Json) -> String {
    match json {
        Json::Bool(flag) => flag.to_string(),
        Json::Number(number) => number.to_string(),
        Json::Float(number) => number.to_string(),
        Json::Text(text) => text.clone(),
        Json::Array(items) => match items.as_slice() {
            [only] => value(only),
            items => {
                let mut shown: Vec<String> = items.iter().take(MAX_SHOWN).map(value).collect();
                if let Some(more) = items.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
                    shown.push(format!("… {more} more"));
                }
                format!("[{}]", shown.join(" "))
            }
        },
        Json::Object(fields) => format!("{{{}}}", object(fields)),
    }
}
