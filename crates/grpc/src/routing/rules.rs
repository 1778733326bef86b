//! Rules of either program, as they are in a file.

use serde_json::{Map, Value, json};
use tonic::Status;

use super::{balancers, entries};
use crate::{
    family::Family,
    messages::rules::{Router, V2rayRule, XrayRule, v2ray_rule, xray_rule},
    typed::{self, Typed, shown},
};

/// What a router configuration adds.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) rules: Vec<Value>,
    pub(super) balancers: Vec<Value>,
}

/// The fields of a rule of V2Ray that are available.
const V2RAY_FIELDS: [u32; 17] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
/// Those of Xray: not `vless_route_list` (20) and not `webhook` (22).
const XRAY_FIELDS: [u32; 17] = [1, 2, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 23];

/// Reads a router configuration. Like Xray, it takes rules and balancers from it, and nothing else.
pub(super) fn read(config: &Typed<'_>) -> Result<Added, Status> {
    if config.name != "app.router.Config" {
        return Err(Status::invalid_argument(format!(
            "expected a configuration of the router, found `{}`",
            shown(config.name)
        )));
    }
    let router: Router = config.read(&[1, 2, 3])?;
    let rules = router.rule.iter().map(|rule| match config.family {
        Family::V2ray => v2ray(typed::read(rule, &V2RAY_FIELDS, "app.router.RoutingRule")?),
        Family::Xray => xray(typed::read(rule, &XRAY_FIELDS, "app.router.RoutingRule")?),
    });
    let rules = rules.collect::<Result<_, _>>()?;
    let balancers = router.balancing_rule.iter().map(balancers::read).collect::<Result<_, _>>()?;
    Ok(Added { rules, balancers })
}

/// Finds a tag that is there already, or twice among those that come.
pub(super) fn check_tags(known: &[&str], added: &[Value]) -> Result<(), Status> {
    let mut seen = known.to_vec();
    for tag in added.iter().filter_map(|rule| rule.get("ruleTag")?.as_str()) {
        if seen.contains(&tag) {
            return Err(Status::already_exists(format!("there is a rule `{}` already", shown(tag))));
        }
        seen.push(tag);
    }
    Ok(())
}

/// An object of what is there.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let there = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

fn v2ray(rule: V2rayRule) -> Result<Value, Status> {
    let (outbound, balancer) = match rule.target_tag {
        Some(v2ray_rule::TargetTag::Tag(tag)) => (Some(tag), None),
        Some(v2ray_rule::TargetTag::BalancingTag(tag)) => (None, Some(tag)),
        None => (None, None),
    };
    let mut ip = entries::geo_ips(&rule.geoip)?;
    ip.extend(entries::cidrs(&rule.cidr)?);
    let mut source = entries::geo_ips(&rule.source_geoip)?;
    source.extend(entries::cidrs(&rule.source_cidr)?);
    let old_port = rule.port_range.as_ref().and_then(|range| entries::text(entries::port_range(range)));
    let networks = rule.network_list.map(|list| list.network).unwrap_or_default();
    Ok(object([
        ("type", Some(json!("field"))),
        ("outboundTag", outbound.and_then(entries::text)),
        ("balancerTag", balancer.and_then(entries::text)),
        ("domain", entries::texts(entries::domains(&rule.domain)?)),
        ("ip", entries::texts(ip)),
        ("source", entries::texts(source)),
        ("port", entries::ports(rule.port_list.as_ref()).or(old_port)),
        ("sourcePort", entries::ports(rule.source_port_list.as_ref())),
        ("network", entries::networks(rule.networks.into_iter().chain(networks))?),
        ("user", entries::texts(rule.user_email)),
        ("inboundTag", entries::texts(rule.inbound_tag)),
        ("protocol", entries::texts(rule.protocol)),
        ("attrs", entries::text(rule.attributes)),
    ]))
}

fn xray(rule: XrayRule) -> Result<Value, Status> {
    let (outbound, balancer) = match rule.target_tag {
        Some(xray_rule::TargetTag::Tag(tag)) => (Some(tag), None),
        Some(xray_rule::TargetTag::BalancingTag(tag)) => (None, Some(tag)),
        None => (None, None),
    };
    Ok(object([
        ("type", Some(json!("field"))),
        ("ruleTag", entries::text(rule.rule_tag)),
        ("outboundTag", outbound.and_then(entries::text)),
        ("balancerTag", balancer.and_then(entries::text)),
        ("domain", entries::texts(entries::xray_domains(&rule.domain)?)),
        ("ip", entries::texts(entries::xray_ips(&rule.ip)?)),
        ("sourceIP", entries::texts(entries::xray_ips(&rule.source_ip)?)),
        ("localIP", entries::texts(entries::xray_ips(&rule.local_ip)?)),
        ("port", entries::ports(rule.port_list.as_ref())),
        ("sourcePort", entries::ports(rule.source_port_list.as_ref())),
        ("localPort", entries::ports(rule.local_port_list.as_ref())),
        ("network", entries::networks(rule.networks)?),
        ("user", entries::texts(rule.user_email)),
        ("inboundTag", entries::texts(rule.inbound_tag)),
        ("protocol", entries::texts(rule.protocol)),
        ("attrs", Some(json!(rule.attributes)).filter(|_| !rule.attributes.is_empty())),
        ("process", entries::texts(rule.process)),
        ("localOS", entries::texts(rule.local_os)),
    ]))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::messages::{
        common::{PortList, PortRange, TypedMessage},
        rules::{
            Balancer, Cidr, CidrRef, Domain, GeoIp, GeoIpRef, GeoSiteRef, LeastLoad, Weight, XrayDomain,
            XrayIp, xray_domain, xray_ip,
        },
    };

    fn router(family: &str, rule: &impl Message, balancing_rule: Vec<Balancer>) -> Result<Added, Status> {
        let router = Router { domain_strategy: 1, rule: vec![rule.encode_to_vec()], balancing_rule };
        let config =
            TypedMessage { r#type: format!("{family}.app.router.Config"), value: router.encode_to_vec() };
        read(&Typed::of(Some(&config), "configuration")?)
    }

    #[test]
    fn rules_of_v2ray_are_written() {
        let domain = |r#type, value: &str| Domain { r#type, value: value.to_owned() };
        let cidr = |ip: &[u8], prefix| Cidr { ip: ip.to_vec(), prefix };
        let rule = V2rayRule {
            target_tag: Some(v2ray_rule::TargetTag::BalancingTag("b".to_owned())),
            domain: vec![domain(0, "a"), domain(1, "^b$"), domain(2, "c.d"), domain(3, "e.f")],
            geoip: [
                GeoIp {
                    country_code: "CN".to_owned(),
                    cidr: vec![cidr(&[10, 0, 0, 0], 8)],
                    ..GeoIp::default()
                },
                GeoIp { country_code: "US".to_owned(), inverse_match: true, ..GeoIp::default() },
            ]
            .iter()
            .map(Message::encode_to_vec)
            .collect(),
            source_cidr: vec![cidr(&[0; 16], 128)],
            port_list: Some(PortList {
                range: vec![PortRange { from: 80, to: 80 }, PortRange { from: 443, to: 445 }],
            }),
            networks: vec![2, 3, 2],
            attributes: "attrs[':method'] == 'GET'".to_owned(),
            ..V2rayRule::default()
        };
        let added = router("v2ray.core", &rule, Vec::new()).unwrap();
        assert_eq!(
            added.rules,
            [json!({
                "type": "field", "balancerTag": "b",
                "domain": ["keyword:a", "regexp:^b$", "domain:c.d", "full:e.f"],
                "ip": ["10.0.0.0/8", "!geoip:US"], "source": ["::/128"],
                "port": "80,443-445", "network": "tcp,udp", "attrs": "attrs[':method'] == 'GET'",
            })]
        );
    }

    #[test]
    fn rules_and_balancers_of_xray_are_written() {
        let site = |file: &str, attrs: &str| XrayDomain {
            value: Some(xray_domain::Value::Geosite(GeoSiteRef {
                file: file.to_owned(),
                code: "CN".to_owned(),
                attrs: attrs.to_owned(),
            })),
        };
        let geoip = GeoIpRef { code: "private".to_owned(), reverse_match: true, ..GeoIpRef::default() };
        let custom = CidrRef { cidr: Some(Cidr { ip: vec![1, 1, 1, 1], prefix: 32 }), reverse_match: false };
        let rule = XrayRule {
            target_tag: Some(xray_rule::TargetTag::Tag("o".to_owned())),
            rule_tag: "r".to_owned(),
            domain: vec![site("", "ads"), site("my.dat", "")],
            ip: vec![XrayIp { value: Some(xray_ip::Value::Geoip(geoip)) }],
            local_ip: vec![XrayIp { value: Some(xray_ip::Value::Custom(custom)) }],
            attributes: [("a".to_owned(), "b".to_owned())].into(),
            ..XrayRule::default()
        };
        let settings = LeastLoad {
            costs: vec![Weight { regexp: true, r#match: "x".to_owned(), value: 0.5 }],
            baselines: vec![1_500_000_000],
            expected: 2,
            max_rtt: 1_000_000,
            tolerance: 0.25,
        };
        let balancer = Balancer {
            tag: "b".to_owned(),
            outbound_selector: vec!["p".to_owned()],
            strategy: "leastload".to_owned(),
            strategy_settings: Some(TypedMessage {
                r#type: "xray.app.router.StrategyLeastLoadConfig".to_owned(),
                value: settings.encode_to_vec(),
            }),
            fallback_tag: "o".to_owned(),
        };
        let added = router("xray", &rule, vec![balancer]).unwrap();
        assert_eq!(
            added.rules,
            [json!({
                "type": "field", "ruleTag": "r", "outboundTag": "o",
                "domain": ["geosite:CN@ads", "ext:my.dat:CN"],
                "ip": ["!geoip:private"], "localIP": ["1.1.1.1/32"], "attrs": {"a": "b"},
            })]
        );
        assert_eq!(
            added.balancers,
            [json!({
                "tag": "b", "selector": ["p"], "fallbackTag": "o",
                "strategy": {"type": "leastload", "settings": {
                    "costs": [{"regexp": true, "match": "x", "value": 0.5}],
                    "baselines": ["1500000000ns"], "expected": 2, "maxRTT": "1000000ns", "tolerance": 0.25,
                }},
            })]
        );
    }

    #[test]
    fn what_is_not_available_is_refused() {
        // `webhook` of Xray is field 22.
        let status = router("xray", &TypedMessage::default(), Vec::new());
        assert!(status.is_ok());
        let webhook = vec![0xb2, 0x01, 0x00];
        let router = Router { domain_strategy: 0, rule: vec![webhook], balancing_rule: Vec::new() };
        let config =
            TypedMessage { r#type: "xray.app.router.Config".to_owned(), value: router.encode_to_vec() };
        let status = read(&Typed::of(Some(&config), "x").unwrap()).unwrap_err();
        assert_eq!(status.message(), "field 22 of `app.router.RoutingRule` is not available");
        let other = TypedMessage { r#type: "xray.app.stats.Config".to_owned(), value: Vec::new() };
        let status = read(&Typed::of(Some(&other), "x").unwrap()).unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn a_tag_is_given_once() {
        let rules = [json!({"ruleTag": "a"}), json!({}), json!({"ruleTag": "b"})];
        assert!(check_tags(&["c"], &rules).is_ok());
        assert_eq!(check_tags(&["b"], &rules).unwrap_err().code(), tonic::Code::AlreadyExists);
        assert!(check_tags(&[], &[rules[0].clone(), rules[0].clone()]).is_err());
    }
}
