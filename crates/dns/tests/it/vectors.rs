//! The order of the entries that a name matches, as V2Ray has it.

use serde_json::Value;
use waypost_dns::NamesBuilder;
use waypost_net::DomainName;

#[test]
fn entries_come_in_the_order_of_v2ray() {
    let path = waypost_testkit::workspace_root().join("testdata/vectors/routing.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vectors = file["vectors"].as_array().unwrap().iter();
    let mut n_checked = 0;
    for vector in vectors.filter(|vector| vector["kind"] == "index_match") {
        let rules = vector["rules"].as_array().unwrap();
        let mut builder = NamesBuilder::default();
        for (number, rule) in (0_u16..).zip(rules) {
            let value = rule["value"].as_str().unwrap();
            match rule["type"].as_str().unwrap() {
                "full" => builder.full(value, number).unwrap(),
                "domain" => builder.suffix(value, number).unwrap(),
                "regexp" => builder.regexp(value, number).unwrap(),
                _keyword => builder.keyword(value, number),
            }
        }
        let names = builder.build().unwrap();
        // One vector has the empty name, which is none here.
        let found = DomainName::new(vector["input"].as_str().unwrap())
            .map(|name| names.servers(&name))
            .unwrap_or_default();
        let found: Vec<&Value> =
            found.into_iter().map(|number| &rules[usize::from(number)]["index"]).collect();
        // Keywords and expressions come in the order of the file, as in V2Ray 4.34.
        let expected = vector["ran_differs"].get("v2ray 4.34").unwrap_or_else(|| &vector["expect"]);
        let expected: Vec<&Value> = expected.as_array().unwrap().iter().collect();
        assert_eq!(found, expected, "{}", vector["id"]);
        n_checked += 1;
    }
    assert_eq!(n_checked, 14);
}
