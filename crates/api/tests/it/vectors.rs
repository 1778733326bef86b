//! What mihomo and sing-box answer.

use serde_json::{Value, json};
use waypost_testkit::{Behaviour, workspace_root};

use crate::{client::Reply, world::World};

/// Answers that are other here on purpose, by the program and the request.
const OTHERWISE: [(&str, &str, &str); 4] = [
    ("mihomo", "GET /", "sing-box and Clash say `clash`, which no client minds"),
    ("sing-box", "GET /version", "the version is this program's; the marks are the same"),
    ("mihomo", "GET /version", "the version is this program's, and yacd needs `premium`"),
    ("sing-box", "GET /providers/proxies", "mihomo has a provider `default`, which Python clients want"),
];

#[tokio::test]
async fn answers_are_those_of_the_vectors() {
    let text = std::fs::read_to_string(workspace_root().join("testdata/vectors/loadbalance.json")).unwrap();
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let vectors = vectors["clash_api"].as_array().unwrap();
    let (mut n_same, mut otherwise) = (0, Vec::new());
    for vector in vectors {
        let (program, request) = (vector["impl"].as_str().unwrap(), vector["request"].as_str().unwrap());
        if OTHERWISE.iter().any(|(of, what, _)| *of == program && *what == request) {
            otherwise.push((program, request));
            continue;
        }
        let reply = ask(request).await;
        let expected = vector["status"].as_u64().unwrap();
        assert_eq!(u64::from(reply.status), expected, "{request}: {}", reply.text());
        match &vector["body"] {
            Value::Object(_) => assert_eq!(reply.json(), vector["body"], "{request}"),
            Value::String(text) if text.starts_with("Location: ") => {
                assert_eq!(reply.header("location"), text.strip_prefix("Location: "));
            }
            Value::Null | Value::String(_) => assert_eq!(reply.text(), "", "{request}"),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_)) => panic!("{other}"),
        }
        n_same += 1;
    }
    assert_eq!(otherwise.len(), OTHERWISE.len(), "each exception is for a vector");
    assert_eq!(n_same + otherwise.len(), vectors.len());
}

/// Makes a request of the vectors in a world where it can be made.
async fn ask(request: &str) -> Reply {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().to_owned();
    let has_page = request.contains("external_ui set");
    let world = World::with(&|settings| settings.external_ui = has_page.then(|| page.clone())).await;
    let put = |path: &str, body: Value| world.ask("PUT", path).body(body.to_string());
    match request {
        "non-websocket with ?token=<secret>" => world.stranger("GET", "/version?token=s3cret").send().await,
        "GET / (no external_ui)" => world.get("/").send().await,
        "GET / (external_ui set, Content-Type not application/json)" => world.get("/").send().await,
        "PUT /proxies/<selector> {\"name\":\"member\"}" => {
            put("/proxies/pick", json!({"name": "n1"})).send().await
        }
        "PUT /proxies/<selector> {\"name\":\"nope\"}" => {
            put("/proxies/pick", json!({"name": "nope"})).send().await
        }
        "PUT /proxies/x with invalid JSON" => world.ask("PUT", "/proxies/pick").body("{").send().await,
        "GET /proxies/x/delay (timeout missing, non-numeric, or > 32767)" => {
            for arguments in ["", "?timeout=x"] {
                let reply = world.get(&format!("/proxies/n0/delay{arguments}")).send().await;
                assert_eq!((reply.status, &*reply.message()), (400, "Body invalid"));
            }
            world.get("/proxies/n0/delay?timeout=32768").send().await
        }
        "GET /proxies/x/delay timeout expired" => {
            world.nodes[0].set_behaviour(Behaviour::HangAfterAccept);
            world.get(&format!("/proxies/n0/delay?timeout=200&url={}", world.url())).send().await
        }
        "GET /group/<g>/delay no member answered" => {
            world.nodes.iter().for_each(|node| node.set_behaviour(Behaviour::Close));
            world.get("/group/lb/delay?timeout=2000").send().await
        }
        "PATCH /configs {\"mode\":\"global\"}" => {
            // The file has another mode; an unknown one is refused, as by mihomo, and changes nothing.
            let unknown = world.ask("PATCH", "/configs").body(r#"{"mode":"global"}"#).status().await;
            assert_eq!((unknown, world.control.mode().unwrap().0.to_string()), (400, "Rule".to_owned()));
            let reply = world.ask("PATCH", "/configs").body(r#"{"mode":"dirECT"}"#).send().await;
            assert_eq!(world.control.mode().unwrap().0.to_string(), "Direct");
            reply
        }
        "PUT /configs" => put("/configs?force=true", json!({"path": "", "payload": ""})).send().await,
        "DELETE /connections, DELETE /connections/<any id>" => {
            assert_eq!(world.ask("DELETE", "/connections").status().await, 204);
            world.ask("DELETE", "/connections/any").send().await
        }
        "GET /providers/proxies/x" => world.get("/providers/proxies/x").send().await,
        "POST /cache/fakeip/flush" => world.ask("POST", "/cache/fakeip/flush").send().await,
        "POST /upgrade/ui without external_ui" => world.ask("POST", "/upgrade/ui").send().await,
        "DELETE /proxies/<url-test|fallback>" => {
            let now = async || world.get("/proxies/fast").json().await["fixed"].clone();
            put("/proxies/fast", json!({"name": "n1"})).send().await;
            assert_eq!(now().await, "n1");
            let reply = world.ask("DELETE", "/proxies/fast").send().await;
            assert_eq!(now().await, "");
            reply
        }
        other => panic!("a new vector: {other}"),
    }
}
