//! What bodies look like.

use serde_json::{Map, Value, json};

/// All schemas by name.
pub(super) fn schemas() -> Value {
    let mut all = Map::new();
    for part in [program(), proxies(), rules(), streams(), own()] {
        all.extend(part.as_object().cloned().unwrap_or_default());
    }
    Value::Object(all)
}

/// An object that has these fields, and maybe more.
fn object(fields: &Value) -> Value {
    let required: Vec<&String> = fields.as_object().map(|fields| fields.keys().collect()).unwrap_or_default();
    json!({ "type": "object", "required": required, "properties": fields })
}

fn list(of: &str) -> Value {
    json!({ "type": "array", "items": named(of) })
}

fn map(of: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": of })
}

fn named(schema: &str) -> Value {
    super::named(schema)
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn truth() -> Value {
    json!({ "type": "boolean" })
}

fn maybe(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn program() -> Value {
    json!({
        "Message": {
            "type": "object", "required": ["message"],
            "properties": { "message": text(), "diagnostics": {} },
        },
        "Hello": object(&json!({ "hello": { "const": "clash" } })),
        "Version": object(&json!({ "version": text(), "premium": truth(), "meta": truth() })),
        "Configs": object(&json!({
            "port": number(), "socks-port": number(), "redir-port": number(), "tproxy-port": number(),
            "mixed-port": number(), "allow-lan": truth(), "bind-address": text(), "mode": text(),
            "mode-list": texts(), "modes": texts(), "log-level": text(), "ipv6": truth(), "tun": { "type": "null" },
        })),
        "ConfigChange": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "mode": text(),
                "log-level": { "enum": ["debug", "info", "warning", "warn", "error", "silent", "none"] },
            },
        },
        "Reload": {
            "type": "object",
            "properties": {
                "path": { "type": ["string", "null"], "description": "A file in the data folder." },
                "payload": { "type": ["string", "null"], "description": "The configuration itself." },
            },
        },
        "DnsAnswer": {
            "type": "object",
            "required": ["Status", "Question", "Server", "TC", "RD", "RA", "AD", "CD"],
            "properties": {
                "Status": number(), "Server": text(), "TC": truth(), "RD": truth(), "RA": truth(), "AD": truth(),
                "CD": truth(), "Comment": text(), "Answer": list("DnsRecord"), "Authority": list("DnsRecord"),
                "Question": {
                    "type": "array",
                    "items": object(&json!({ "Name": text(), "Qtype": number(), "Qclass": number() })),
                },
            },
        },
        "DnsRecord": object(&json!({ "name": text(), "type": number(), "TTL": number(), "data": text() })),
    })
}

fn proxies() -> Value {
    json!({
        "Proxy": {
            "type": "object",
            "required": ["name", "type", "alive", "udp", "history", "attempts"],
            "properties": {
                "name": text(),
                "type": { "enum": [
                    "Direct", "Reject", "Dns", "Loopback", "Api", "Socks5", "Http", "Selector", "URLTest", "Fallback",
                    "LoadBalance",
                ] },
                "alive": truth(), "udp": truth(), "attempts": number(), "history": list("Sample"),
                "now": { "type": "string", "description": "Empty where a group has no single member that serves." },
                "all": texts(), "tier": text(), "candidates": texts(), "ejected": texts(), "testUrl": text(),
                "strategy": text(), "state": text(),
            },
        },
        "Sample": object(&json!({
            "time": text(), "delay": { "type": "integer", "minimum": 0, "description": "0 says that it failed." },
        })),
        "Proxies": object(&json!({ "proxies": map(&named("Proxy")) })),
        "GroupList": object(&json!({ "proxies": list("Proxy") })),
        "Selected": object(&json!({ "name": text() })),
        "Delay": object(&json!({ "delay": { "type": "integer", "minimum": 1 } })),
        "Delays": map(&json!({ "type": "integer", "minimum": 1 })),
        "Provider": object(&json!({
            "name": text(), "type": text(), "vehicleType": text(), "proxies": list("Proxy"), "testUrl": text(),
            "expectedStatus": text(), "updatedAt": text(),
        })),
        "Providers": object(&json!({ "providers": map(&named("Provider")) })),
    })
}

fn rules() -> Value {
    json!({
        "Rules": object(&json!({ "rules": list("Rule") })),
        "Rule": object(&json!({
            "index": number(), "type": { "enum": ["default", "logical", "final"] }, "payload": text(),
            "proxy": text(), "size": { "type": "integer" }, "hits": number(), "line": maybe("integer"),
            "file": maybe("string"), "name": text(),
        })),
        "RuleProviders": object(&json!({ "providers": map(&named("RuleProvider")) })),
        "RuleProvider": object(&json!({
            "name": text(), "type": text(), "behavior": text(), "format": text(), "vehicleType": text(),
            "ruleCount": number(), "entryCount": number(), "updatedAt": maybe("string"),
            "nextUpdate": maybe("string"), "error": maybe("string"),
        })),
    })
}

fn streams() -> Value {
    json!({
        "Connections": object(&json!({
            "downloadTotal": number(), "uploadTotal": number(), "memory": number(),
            "connections": list("Connection"),
        })),
        "Connection": object(&json!({
            "id": text(), "upload": number(), "download": number(), "start": text(), "chains": texts(),
            "rule": text(), "rulePayload": text(),
            "metadata": object(&json!({
                "network": { "enum": ["tcp", "udp"] }, "type": text(), "sourceIP": text(), "sourcePort": text(),
                "destinationIP": text(), "destinationPort": text(), "host": text(), "dnsMode": text(),
                "processPath": text(),
            })),
        })),
        "Traffic": object(&json!({ "up": number(), "down": number(), "upTotal": number(), "downTotal": number() })),
        "Memory": object(&json!({ "inuse": number(), "oslimit": number() })),
        "LogLine": {
            "type": "object",
            "properties": {
                "type": text(), "payload": text(), "time": text(), "level": text(), "message": text(),
                "fields": { "type": "array", "items": object(&json!({ "key": text(), "value": text() })) },
            },
        },
    })
}

fn own() -> Value {
    json!({
        "Live": object(&json!({
            "time": text(), "version": text(), "generation": number(), "uptime": { "type": "number" },
            "rates": named("Bytes"), "totals": named("Bytes"), "connections": number(),
            "inbounds": { "type": "array", "items": { "type": "object" } },
            "rules": { "type": "array", "items": { "type": "object" } },
            "default": object(&json!({ "to": text(), "hits": number() })),
            "groups": { "type": "array", "items": { "type": "object" } },
            "outbounds": { "type": "array", "items": { "type": "object" } },
        })),
        "Bytes": object(&json!({ "up": number(), "down": number() })),
        "Asked": {
            "type": "object", "required": ["target"], "additionalProperties": false,
            "properties": {
                "target": { "type": "string", "description": "`host:port`." },
                "network": { "type": ["string", "null"], "description": "`tcp` without it, or `udp`." },
                "source": { "type": ["string", "null"], "description": "An address, with or without a port." },
                "inbound": maybe("string"), "user": maybe("string"), "protocol": maybe("string"),
            },
        },
        "Explained": {
            "type": "object",
            "required": ["network", "target", "rules", "lookups", "outbounds", "text"],
            "properties": {
                "network": text(), "target": text(), "text": text(), "rule": maybe("string"),
                "refused": maybe("string"),
                "rules": { "type": "array", "items": { "type": "object" } },
                "lookups": { "type": "array", "items": { "type": "object" } },
                "outbounds": { "type": "array", "items": { "type": "object" } },
            },
        },
        "Why": object(&json!({
            "id": text(), "start": text(), "network": text(), "target": text(), "rule": text(), "chains": texts(),
            "attempts": {
                "type": "array",
                "items": object(&json!({
                    "outbound": text(), "began_ms": number(), "took_ms": number(), "end": text(),
                })),
            },
        })),
    })
}
