use crate::keys::{Form, Key, KeyTable};

/// One text, or an array of them.
const TEXTS: Form = Form::OneOrMany(&Form::Text);
/// One port, or an array of them.
const PORTS: Form = Form::OneOrMany(&Form::up_to(65_535));

/// The keys of rule sets in their source form.
pub static TABLES: &[&KeyTable] = &[&RULE_SET, &HEADLESS_RULE];

pub(super) static RULE_SET: KeyTable = KeyTable {
    name: "RuleSetSource",
    path: "the rule set",
    doc: "A rule set in its source form: it holds for a connection if one of its rules does.",
    keys: &[
        Key::new("version", Form::Number, "The version of the format, from 1 to 5."),
        Key::new("rules", Form::Objects("HeadlessRule"), "The rules."),
    ],
};

pub(crate) static HEADLESS_RULE: KeyTable = KeyTable {
    name: "HeadlessRule",
    path: "rules[]",
    doc: "A rule of a rule set: conditions that all have to hold, or rules joined by `and` or `or`.",
    keys: &[
        Key::new("type", Form::Word(&["default", "logical"]), "`logical` joins `rules`; may be left out."),
        Key::new("query_type", Form::Any, "The type of a DNS question, by name or number, or a list."),
        Key::new("network", TEXTS, "`tcp`, `udp` or `icmp`."),
        Key::new("domain", TEXTS, "The name of the target."),
        Key::new(
            "domain_suffix",
            TEXTS,
            "The name of the target and every name below it; with a dot in front, only those below it.",
        ),
        Key::new("domain_keyword", TEXTS, "A part of the name of the target."),
        Key::new("domain_regex", TEXTS, "An expression that the name of the target has."),
        Key::new("source_ip_cidr", TEXTS, "The address of the client: an address or a prefix."),
        Key::new("ip_cidr", TEXTS, "The address of the target: an address or a prefix."),
        Key::new("source_port", PORTS, "The port of the client."),
        Key::new("source_port_range", TEXTS, "Ports of the client: `1000:2000`, `:3000` or `4000:`."),
        Key::new("port", PORTS, "The port of the target."),
        Key::new("port_range", TEXTS, "Ports of the target: `1000:2000`, `:3000` or `4000:`."),
        Key::new("process_name", TEXTS, "The file name of the client's program."),
        Key::new("process_path", TEXTS, "The path of the client's program."),
        Key::new("process_path_regex", TEXTS, "An expression that the path of the program has."),
        Key::new("package_name", TEXTS, "The Android application of the client."),
        Key::new("package_name_regex", TEXTS, "An expression that the Android application has."),
        Key::new("network_type", TEXTS, "The default network: `wifi`, `cellular`, `ethernet` or `other`."),
        Key::new("network_is_expensive", Form::Flag, "Whether the default network costs money."),
        Key::new("network_is_constrained", Form::Flag, "Whether the default network is in a low data mode."),
        Key::new(
            "network_interface_address",
            Form::Map,
            "For each type of network, prefixes of which its interfaces have an address.",
        ),
        Key::new("default_interface_address", TEXTS, "Prefixes of the default interface's address."),
        Key::new("wifi_ssid", TEXTS, "The name of the Wi-Fi network."),
        Key::new("wifi_bssid", TEXTS, "The address of the Wi-Fi access point."),
        Key::new("invert", Form::Flag, "Whether the rule holds where its conditions do not."),
        Key::new(
            "mode",
            Form::Word(&["and", "or"]),
            "Of a logical rule: whether all rules have to hold, or one.",
        ),
        Key::new("rules", Form::Objects("HeadlessRule"), "Of a logical rule: what is joined."),
    ],
};
