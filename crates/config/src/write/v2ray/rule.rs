use waypost_net::Tag;

use super::{
    super::{
        json::{Fields, Json},
        losses::Losses,
    },
    Helpers, entries,
    normal::{self, alternatives, is_anything},
};
use crate::{
    Dialect, Span, Spanned,
    model::{
        AttributeEntry, AttributeTest, Conditions, Config, DomainStrategy, Inbound, Matcher, ProcessEntry,
        RejectMethod, ResolveOptions, RouteOptions, Rule, RuleAction, RuleTarget, SniffOptions, UserEntry,
    },
};

const LATE: &str = "V2Ray does it before the first rule, for whole inbounds";

/// `rules`, and what `domainStrategy` stands for actions of rules.
pub(super) fn rules(
    config: &Config,
    helpers: &mut Helpers<'_>,
    losses: &mut Losses,
) -> (DomainStrategy, Vec<Json>) {
    let mut strategy = config.routing.domain_strategy;
    let mut written = Vec::new();
    let (mut has_address, mut decides) = (false, false);
    for rule in &config.routing.rules {
        let target = match &rule.action {
            RuleAction::Sniff(_) => {
                if decides || sniffed_by(rule).is_none() {
                    losses.lose(rule.span, "`sniff` here", LATE);
                }
                continue;
            }
            RuleAction::Resolve(options) => {
                if is_for_all(rule) && !has_address && *options == ResolveOptions::default() {
                    strategy = DomainStrategy::IpOnDemand;
                } else {
                    losses.lose(rule.span, "`resolve` here", "`domainStrategy` is for all rules and servers");
                }
                continue;
            }
            RuleAction::RouteOptions(_) => {
                losses.lose(rule.span, "`route-options`", None);
                continue;
            }
            RuleAction::Route { target, options } => {
                if *options != RouteOptions::default() {
                    losses.lose(rule.span, "what `route` changes of a connection", None);
                }
                target.clone()
            }
            RuleAction::Reject(reject) => {
                if reject.method == RejectMethod::Drop {
                    losses.lose(rule.span, "`drop`", "the client is told that there is no connection");
                }
                RuleTarget::Outbound(Spanned::new(helpers.blackhole(), rule.span))
            }
            RuleAction::HijackDns => RuleTarget::Outbound(Spanned::new(helpers.dns(), rule.span)),
        };
        decides = true;
        rule.matcher.for_each(&mut |conditions| has_address |= conditions.ip.is_some());
        match alternatives(&rule.matcher) {
            Ok(alternatives) => {
                let mut addresses = alternatives.iter().filter_map(|one| one.ip.as_ref()).flatten();
                let resolved = config.dialect == Dialect::SingBox && strategy != DomainStrategy::AsIs;
                if resolved && alternatives.iter().any(|one| one.ip_version.is_some()) {
                    losses.lose(place(rule), "`ip_version` behind a `resolve`", None);
                }
                if resolved && addresses.any(|entry| entry.value.inverse) {
                    let help = "there `!` is about one address of a name; list the addresses that are meant";
                    losses.lose(place(rule), "that no address of a name is in a list", help);
                }
                let fields =
                    alternatives.iter().map(|one| self::rule(one, rule.tag.as_ref(), &target).into());
                written.extend(fields);
            }
            Err(what) => losses.lose(place(rule), what, None),
        }
    }
    (strategy, written)
}

/// Whether the first bytes of connections of an inbound are looked at before a rule decides.
pub(super) fn is_sniffed(config: &Config, inbound: &Inbound) -> bool {
    let before = config.routing.rules.iter().take_while(|rule| match rule.action {
        RuleAction::Sniff(_) | RuleAction::RouteOptions(_) | RuleAction::Resolve(_) => true,
        RuleAction::Route { .. } | RuleAction::Reject(_) | RuleAction::HijackDns => false,
    });
    let tag = inbound.tag.as_ref().map(|tag| &tag.value);
    before.filter_map(sniffed_by).any(|tags| match tags {
        None => true,
        Some(tags) => tags.iter().any(|known| Some(&known.value) == tag),
    })
}

/// The inbounds whose connections a rule looks at, `None` for all; nothing if it is another rule.
#[expect(clippy::option_option, reason = "the outer one says whether the rule is of that kind")]
fn sniffed_by(rule: &Rule) -> Option<Option<&[Spanned<Tag>]>> {
    let RuleAction::Sniff(SniffOptions { protocols, .. }) = &rule.action else { return None };
    let conditions = rule.matcher.one().filter(|conditions| !conditions.invert && protocols.is_empty())?;
    let others = Conditions { inbound_tag: None, ..conditions.clone() };
    is_anything(&others).then_some(conditions.inbound_tag.as_deref())
}

fn is_for_all(rule: &Rule) -> bool {
    matches!(&rule.matcher, Matcher::One(conditions) if is_anything(conditions) && !conditions.invert)
}

fn place(rule: &Rule) -> Span {
    let mut place = None;
    rule.matcher.for_each(&mut |conditions| place = place.or_else(|| normal::span_of(conditions)));
    place.unwrap_or(rule.span)
}

fn rule(conditions: &Conditions, tag: Option<&Tag>, target: &RuleTarget) -> Fields {
    let mut fields = Fields::default();
    fields.put_some("ruleTag", tag.map(Tag::as_str));
    fields.append(self::conditions(conditions));
    if is_anything(conditions) {
        fields.put("network", "tcp,udp");
    }
    match target {
        RuleTarget::Outbound(tag) => fields.put("outboundTag", tag.value.as_str()),
        RuleTarget::Balancer(tag) => fields.put("balancerTag", tag.value.as_str()),
    }
    fields
}

/// What has to hold; one of several, for a matcher that is more than one rule can say.
pub(in super::super) fn condition_fields(matcher: &Matcher) -> Vec<Fields> {
    alternatives(matcher).map(|all| all.iter().map(conditions).collect()).unwrap_or_default()
}

fn conditions(conditions: &Conditions) -> Fields {
    let mut fields = Fields::default();
    fields.put_some("domain", conditions.domain.as_deref().map(entries::domains));
    let version = conditions
        .ip_version
        .map(|version| entries::ips(&[Spanned::new(normal::of_version(version), Span::default())]));
    fields.put_some("ip", conditions.ip.as_deref().map(entries::ips).or(version));
    fields.put_some("source", conditions.source.as_deref().map(entries::ips));
    fields.put_some("localIP", conditions.local_ip.as_deref().map(entries::ips));
    fields.put_some("port", conditions.port.as_ref().map(ToString::to_string));
    fields.put_some("sourcePort", conditions.source_port.as_ref().map(ToString::to_string));
    fields.put_some("localPort", conditions.local_port.as_ref().map(ToString::to_string));
    fields.put_some("network", conditions.network.map(|networks| networks.to_string()));
    fields.put_some("user", conditions.user.as_deref().map(users));
    fields.put_some("inboundTag", conditions.inbound_tag.as_deref().map(super::super::load_balance::tags));
    fields.put_some("protocol", conditions.protocol.as_deref().map(texts));
    fields.put_some("attrs", conditions.attributes.as_deref().map(attributes));
    fields.put_some("process", conditions.process.first().map(|list| processes(list)));
    fields.put_some("localOS", conditions.local_os.as_deref().map(texts));
    fields
}

fn texts(texts: &[Box<str>]) -> Vec<&str> {
    texts.iter().map(|text| &**text).collect()
}

fn users(users: &[Spanned<UserEntry>]) -> Vec<String> {
    let user = |user: &Spanned<UserEntry>| match &user.value {
        UserEntry::Exact(name) => name.to_string(),
        UserEntry::Regexp(expression) => format!("regexp:{expression}"),
    };
    users.iter().map(user).collect()
}

fn processes(list: &[Spanned<ProcessEntry>]) -> Vec<String> {
    let process = |entry: &Spanned<ProcessEntry>| match &entry.value {
        ProcessEntry::Name(text) | ProcessEntry::Path(text) | ProcessEntry::Folder(text) => {
            Some(text.to_string())
        }
        ProcessEntry::Regexp(_) | ProcessEntry::User(_) | ProcessEntry::UserId(_) => None,
    };
    list.iter().filter_map(process).collect()
}

/// The object of Xray if there are only expressions, else V2Ray's expression.
fn attributes(attributes: &[Spanned<AttributeEntry>]) -> Json {
    let (mut fields, mut tests) = (Fields::default(), Vec::new());
    for AttributeEntry { key, test } in attributes.iter().map(|entry| &entry.value) {
        let key_text = starlark(key);
        match test {
            AttributeTest::Regexp(expression) => fields.put(&**key, &**expression),
            AttributeTest::Equals(value) => tests.push(format!("attrs[{key_text}] == {}", starlark(value))),
            AttributeTest::StartsWith(value) => {
                tests.push(format!("attrs[{key_text}].startswith({})", starlark(value)));
            }
            AttributeTest::Contains(value) => tests.push(format!("{} in attrs[{key_text}]", starlark(value))),
        }
    }
    if tests.is_empty() { fields.into() } else { tests.join(" and ").into() }
}

fn starlark(text: &str) -> String {
    let escape = |character| match character {
        '\\' => "\\\\".to_owned(),
        '\'' => "\\'".to_owned(),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\r' => "\\r".to_owned(),
        other => other.to_string(),
    };
    format!("'{}'", text.chars().map(escape).collect::<String>())
}
