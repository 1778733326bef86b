//! What is described is what there is.

use std::collections::BTreeSet;

use serde_json::Value;
use waypost_api::openapi;

use crate::world::World;

/// What a method that nobody described is answered.
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

fn operations(description: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((path.clone(), method.clone(), operation.clone()));
        }
    }
    operations
}

fn filled(path: &str) -> String {
    let names = [
        ("{provider}", "default"),
        ("{id}", "7"),
        ("{connection}", "7"),
        ("/group/{name}", "/group/lb"),
        ("/rules/{name}", "/rules/listed"),
        ("{name}", "n0"),
    ];
    names.into_iter().fold(path.to_owned(), |path, (pattern, name)| path.replace(pattern, name))
}

#[tokio::test]
async fn every_operation_answers_with_a_code_that_is_described() {
    let world = World::start().await;
    let description = openapi();
    for (path, method, operation) in operations(&description) {
        let codes: BTreeSet<u16> =
            operation["responses"].as_object().unwrap().keys().map(|code| code.parse().unwrap()).collect();
        let asked = filled(&path);
        if operation["x-stream"] == true {
            // A stranger does not have to wait for the end.
            assert_eq!(world.stranger(&method.to_uppercase(), &asked).status().await, 401);
            continue;
        }
        for body in ["", "{}", "[]", "\"x\"", r#"{"name": "n1"}"#, r#"{"target": "a:1"}"#, "\u{0}"] {
            let reply = world.ask(&method.to_uppercase(), &asked).body(body).send().await;
            assert!(codes.contains(&reply.status), "{method} {path} {body}: {}", reply.status);
            assert!(![404, 405].contains(&reply.status) || reply.json()["message"].is_string());
        }
        let has_secret = operation["security"].is_null();
        let stranger = world.stranger(&method.to_uppercase(), &asked).status().await;
        assert_eq!(stranger == 401, has_secret, "{method} {path}: {stranger}");
        assert_eq!(codes.contains(&401), has_secret);
    }
}

#[tokio::test]
async fn every_other_method_is_refused() {
    let world = World::start().await;
    let description = openapi();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in METHODS {
            if methods.get(method).is_none() {
                let asked = world.ask(&method.to_uppercase(), &filled(path));
                assert_eq!(asked.status().await, 405, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn answers_have_the_fields_that_are_described() {
    let world = World::start().await;
    let _tunnel = world.tunnel("127.0.0.1").await;
    let description = openapi();
    let mut n_checked = 0;
    for (path, method, operation) in operations(&description) {
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        if schema.is_null() || operation["x-stream"] == true {
            continue;
        }
        let query = format!("timeout=5000&name=name.test&url={}", world.url());
        let mut asked = world.ask(&method.to_uppercase(), &format!("{}?{query}", filled(&path)));
        if method == "post" {
            asked = asked.body(r#"{"target": "a:1"}"#);
        }
        let reply = asked.send().await;
        if reply.status == 200 {
            check(&description, schema, &reply.json(), &path);
            n_checked += 1;
        } else {
            assert_eq!((reply.status, &*path), (404, "/waypost/why/{connection}"));
        }
    }
    assert!(n_checked > 15);
}

/// As much of a validator as the description needs.
#[track_caller]
fn check(description: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return check(description, &description["components"]["schemas"][name], value, place);
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{place}: {value}");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![],
    };
    let fits = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    assert!(kinds.is_empty() || kinds.into_iter().any(fits), "{place}: {value} against {schema}");
    for field in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(field.as_str().unwrap()).is_some(), "{place}: {field} is missing in {value}");
    }
    for (field, value) in value.as_object().into_iter().flatten() {
        let inner = schema["properties"].get(field).or_else(|| schema.get("additionalProperties"));
        if let Some(inner) = inner {
            check(description, inner, value, &format!("{place}.{field}"));
        }
    }
    for value in value.as_array().into_iter().flatten() {
        if let Some(inner) = schema.get("items") {
            check(description, inner, value, &format!("{place}[]"));
        }
    }
}
