//! `waypost convert`: what it writes, refuses and loses, and whether connections go the same way.

use std::path::Path;

use crate::{binary::output, sing_box::require_sing_box, sing_box_oracle::process::SingBox};

const V2RAY: &str = r#"{
  "log": {"loglevel": "warning"},
  "inbounds": [
    {"tag": "in", "protocol": "socks", "listen": "127.0.0.1", "port": 1080,
     "settings": {"auth": "password", "accounts": [{"user": "me", "pass": "Geheim-7"}], "udp": true},
     "sniffing": {"enabled": true, "destOverride": ["http", "tls"], "routeOnly": true}},
    {"tag": "web", "protocol": "http", "listen": "127.0.0.1", "port": 8080}
  ],
  "outbounds": [
    {"tag": "direct", "protocol": "freedom"},
    {"tag": "node-a", "protocol": "socks", "settings": {"servers": [{"address": "192.0.2.1", "port": 1080}]}},
    {"tag": "node-b", "protocol": "http", "settings": {"servers": [{"address": "proxy.example", "port": 80}]}},
    {"tag": "none", "protocol": "blackhole"}
  ],
  "routing": {
    "domainStrategy": "AsIs",
    "rules": [
      {"domain": ["full:ads.example"], "outboundTag": "none"},
      {"domain": ["domain:both.example", "tracker"], "ip": ["192.0.2.0/24"], "outboundTag": "node-a"},
      {"ip": ["!203.0.113.0/24", "!198.51.100.0/24"], "port": "8000-9000", "outboundTag": "node-b"},
      {"ip": ["!0.0.0.0/1", "10.0.0.0/8"], "port": "25,465", "outboundTag": "none"},
      {"source": ["127.0.0.0/8"], "sourcePort": 4000, "network": "udp", "outboundTag": "node-a"},
      {"inboundTag": ["web"], "user": ["me"], "outboundTag": "node-b"},
      {"domain": ["regexp:^x[0-9]+\\."], "network": "tcp", "outboundTag": "node-b"},
      {"user": ["me"], "outboundTag": "node-a"}
    ]
  }
}
"#;

const SING_BOX: &str = r#"{
  "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 1080}],
  "outbounds": [
    {"type": "direct", "tag": "direct"},
    {"type": "socks", "tag": "node-a", "server": "192.0.2.1", "server_port": 1080},
    {"type": "http", "tag": "node-b", "server": "proxy.example", "server_port": 80}
  ],
  "route": {
    "rules": [
      {"domain": "either.example", "ip_cidr": "192.0.2.0/24", "outbound": "node-a"},
      {"domain_suffix": [".below.example", "above.example"], "action": "reject"},
      {"network": "udp", "port": 53, "invert": true, "source_ip_cidr": "127.0.0.1", "outbound": "node-b"},
      {"type": "logical", "mode": "or", "rules": [
        {"port": 25}, {"type": "logical", "mode": "and", "rules": [{"port_range": "100:"}, {"port_range": ":200"}]}
      ], "outbound": "node-a"},
      {"ip_version": 6, "outbound": "node-b"}
    ],
    "final": "node-a"
  }
}
"#;

/// Targets that tell the rules apart.
const TARGETS: [&str; 16] = [
    "ads.example:80",
    "both.example:443",
    "a.both.example:25",
    "tracker.test:80",
    "192.0.2.7:443",
    "203.0.113.9:8080",
    "8.8.8.8:8080",
    "10.1.2.3:25",
    "200.1.1.1:465",
    "x1.test:443",
    "either.example:443",
    "x.below.example:80",
    "below.example:80",
    "above.example:150",
    "[2001:db8::1]:443",
    "127.0.0.1:53",
];

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// Where a file sends connections: the last line of each explanation, with the tag of the outbound.
async fn ways(path: &str) -> Vec<String> {
    let mut ways = Vec::new();
    for target in TARGETS {
        for more in [
            &["--network", "tcp"][..],
            &["--network", "udp", "--source", "127.0.0.1", "--source-port", "4000"],
        ] {
            for who in [&["--inbound", "in", "--user", "me"][..], &["--inbound", "web"]] {
                let arguments = [&["explain", "-c", path, target, "--json"], more, who].concat();
                let explained = output(arguments).await;
                let said: serde_json::Value = serde_json::from_slice(&explained.stdout)
                    .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&explained.stderr)));
                ways.push(format!("{target} {more:?} {who:?}: {}", way(&said)));
            }
        }
    }
    ways
}

/// The outbound that is tried first; a refusal, however it is said.
fn way(said: &serde_json::Value) -> &str {
    match said["outbounds"][0]["outbound"].as_str() {
        Some("none" | "block") => "refused",
        Some(tag) => tag,
        None => {
            assert!(said["refused"].is_string(), "{said:#}");
            "refused"
        }
    }
}

#[tokio::test]
async fn connections_go_the_same_way_there_and_back() {
    for (text, to, back) in [(V2RAY, "sing-box", "v2ray"), (SING_BOX, "v2ray", "sing-box")] {
        let folder = Folder::new(&[("original.json", text)]);
        let [original, there, again] =
            ["original.json", "there.json", "again.json"].map(|name| folder.path(name));
        for (from, to, into) in [(&original, to, &there), (&there, back, &again)] {
            let converted = output(["convert", from, "--to", to, "-o", into]).await;
            assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
            assert_eq!(converted.stdout, b"");
        }
        let expected = ways(&original).await;
        let distinct: std::collections::BTreeSet<&str> =
            expected.iter().filter_map(|way| way.rsplit(' ').next()).collect();
        assert!(distinct.len() >= 3, "{distinct:?}");
        assert_eq!(ways(&there).await, expected, "{}", std::fs::read_to_string(&there).unwrap());
        assert_eq!(ways(&again).await, expected, "{}", std::fs::read_to_string(&again).unwrap());
    }
}

#[tokio::test]
async fn what_is_lost_has_to_be_allowed() {
    let lossy = V2RAY.replace("\"AsIs\"", "\"IPIfNonMatch\"");
    let folder = Folder::new(&[("lossy.json", &lossy)]);
    let (lossy, result) = (folder.path("lossy.json"), folder.path("result.json"));
    let refused = output(["convert", "--to", "singbox", "-c", &lossy, "-o", &result]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{lossy}:19:7: error: sing-box cannot say that names")), "{said}");
    assert!(said.contains("nothing is written: 3 things would be lost (see --allow-loss)"), "{said}");
    assert!(!Path::new(&result).exists() && refused.stdout.is_empty());
    let written = output(["convert", "--to", "singbox", "-c", &lossy, "-o", &result, "--allow-loss"]).await;
    let said = String::from_utf8_lossy(&written.stderr);
    assert!(written.status.success(), "{said}");
    assert!(said.contains(": warning: sing-box cannot say that names"), "{said}");
    let checked = output(["check", &result]).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test]
async fn passwords_are_in_the_result_and_nowhere_else() {
    let folder = Folder::new(&[("v2ray.json", V2RAY)]);
    let (path, result) = (folder.path("v2ray.json"), folder.path("result.json"));
    let converted = output(["convert", "--to", "sing-box", "-c", &path]).await;
    let (text, said) =
        (String::from_utf8(converted.stdout).unwrap(), String::from_utf8(converted.stderr).unwrap());
    assert!(text.contains("Geheim-7") && !said.contains("Geheim-7"), "{said}");
    let _value: serde_json::Value = serde_json::from_str(&text).unwrap();
    output(["convert", "--to", "sing-box", "-c", &path, "-o", &result]).await;
    assert_eq!(std::fs::read_to_string(&result).unwrap(), text);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&result).unwrap().permissions().mode() & 0o077, 0);
    let names: Vec<_> = std::fs::read_dir(folder.0.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "nothing but the files is left: {names:?}");
}

#[tokio::test]
async fn a_broken_file_is_reported_and_not_converted() {
    let folder = Folder::new(&[("broken.json", "{\n\"outbonds\": []}")]);
    let path = folder.path("broken.json");
    let refused = output(["convert", "--to", "sing-box", "-c", &path, "--allow-loss"]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{path}:2:1: error: ")) && refused.stdout.is_empty(), "{said}");
    let unknown = output(["convert", "--to", "clash", "-c", &path]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("expected `v2ray` or `sing-box`"));
}

#[tokio::test]
async fn sing_box_takes_what_is_written() {
    let Some(sing_box) = require_sing_box("convert::sing_box_takes_what_is_written") else { return };
    // What is said of one address of a name is lost where names are resolved.
    let plain = V2RAY.replace("\"AsIs\"", "\"IPOnDemand\"").replace("\"!", "\"");
    let folder = Folder::new(&[("plain.json", V2RAY), ("resolve.json", &plain), ("sing-box.json", SING_BOX)]);
    for name in ["plain.json", "resolve.json", "sing-box.json"] {
        let converted = output(["convert", "--to", "sing-box", "-c", &folder.path(name)]).await;
        let config: serde_json::Value = serde_json::from_slice(&converted.stdout).unwrap();
        let checked = SingBox::check(&sing_box, &config).await;
        assert_eq!(checked, Ok(()), "{name}: {config:#}");
    }
}
