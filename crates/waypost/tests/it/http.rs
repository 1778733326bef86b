//! Independent HTTP clients at an `http` inbound: curl, and Python's `http.client`.

use std::{path::Path, process::Output, time::Duration};

use serde_json::json;
use tokio::{process::Command, time::timeout};

use crate::{binary::Waypost, programs};

const LIMIT: Duration = Duration::from_secs(60);

/// An origin server of Python: it keeps connections, takes chunks, and answers a POST with length and
/// SHA-256 of the body. It prints its port.
const ORIGIN: &str = r#"
import hashlib, http.server, socketserver

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Connection", str(self.client_address[1]))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(self.path.encode())
    def do_POST(self):
        digest, total = hashlib.sha256(), 0
        def take(count):
            nonlocal total
            while count:
                piece = self.rfile.read(min(count, 65536))
                assert piece
                digest.update(piece)
                total += len(piece)
                count -= len(piece)
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                take(size)
                assert self.rfile.readline() == b"\r\n"
            assert self.rfile.readline() == b"\r\n"
        else:
            take(int(self.headers["Content-Length"]))
        self.answer(f"{total} {digest.hexdigest()}".encode())
    def log_message(self, *arguments):
        pass

class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

with Server(("127.0.0.1", 0), Handler) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"#;

struct Origin {
    _process: tokio::process::Child,
    port: u16,
}

impl Origin {
    async fn start(python: &Path) -> Self {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let mut command = Command::new(python);
        command.args(["-c", ORIGIN]).stdout(std::process::Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = timeout(LIMIT, lines.next_line()).await.expect("a port in time").unwrap().unwrap();
        Self { _process: process, port: line.parse().unwrap() }
    }
}

async fn waypost() -> Waypost {
    let config = json!({
        "inbounds": [{"tag": "http", "protocol": "http", "listen": "127.0.0.1", "port": 0}],
        "outbounds": [{"protocol": "freedom"}]
    });
    Waypost::start(&config.to_string(), None).await
}

async fn run(mut command: Command) -> Output {
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"] {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    timeout(LIMIT, command.output()).await.expect("the client ends").unwrap()
}

#[track_caller]
fn stdout(output: &Output) -> String {
    let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{log}", output.status);
    out.into_owned()
}

#[tokio::test]
async fn curl_keeps_its_connection_for_many_requests() {
    let test = "curl_keeps_its_connection_for_many_requests";
    let (Some(curl), Some(python)) = (programs::require("curl", test), programs::require("python3", test))
    else {
        return;
    };
    let (waypost, origin) = (waypost().await, Origin::start(&python).await);
    let mut command = Command::new(curl);
    command.args(["-q", "-v", "--silent", "--noproxy", "", "--proxy"]);
    command.arg(format!("http://{}", waypost.address("http")));
    command.arg(format!("http://127.0.0.1:{}/[1-20]", origin.port));
    let output = run(command).await;
    let expected: String = (1..=20).map(|number| format!("/{number}")).collect();
    assert_eq!(stdout(&output), expected);
    let log = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert_eq!(log.matches("re-using existing connection").count(), 19, "{log}");
    // To the origin server there was one connection as well.
    let mut ports: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("< x-connection: ")).collect();
    assert_eq!(ports.len(), 20, "{log}");
    ports.dedup();
    assert_eq!(ports.len(), 1, "{ports:?}");
}

#[tokio::test]
async fn curl_waits_for_100_continue_and_sends() {
    let test = "curl_waits_for_100_continue_and_sends";
    let (Some(curl), Some(python)) = (programs::require("curl", test), programs::require("python3", test))
    else {
        return;
    };
    let (waypost, origin) = (waypost().await, Origin::start(&python).await);
    let mut command = Command::new(curl);
    command.args([
        "-q",
        "-v",
        "--silent",
        "--noproxy",
        "",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        "hello",
    ]);
    command.arg("--proxy").arg(format!("http://{}", waypost.address("http")));
    command.arg(format!("http://127.0.0.1:{}/", origin.port));
    let output = run(command).await;
    let digest = "5 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(stdout(&output), digest);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("< HTTP/1.1 100 Continue"), "{log}");
}

#[tokio::test]
async fn a_python_client_uploads_64_mib_in_chunks() {
    const CLIENT: &str = r#"
import hashlib, http.client, random, sys
proxy, port = sys.argv[1].rsplit(":", 1)
pieces = [random.Random(number).randbytes(1 << 16) for number in range(16)]
def body():
    for number in range(1024):
        yield pieces[number % 16]
connection = http.client.HTTPConnection(proxy, int(port), timeout=60)
for _ in range(2):
    connection.request("POST", sys.argv[2], body=body(), headers={"Transfer-Encoding": "chunked"}, encode_chunked=True)
    answer = connection.getresponse().read().decode()
    digest = hashlib.sha256()
    for piece in body():
        digest.update(piece)
    assert answer == f"{64 << 20} {digest.hexdigest()}", answer
connection.request("GET", sys.argv[2] + "after")
print(connection.getresponse().read().decode())
"#;
    let test = "a_python_client_uploads_64_mib_in_chunks";
    let Some(python) = programs::require("python3", test) else { return };
    let (waypost, origin) = (waypost().await, Origin::start(&python).await);
    let mut command = Command::new(python);
    command.args(["-c", CLIENT, &waypost.address("http").to_string()]);
    command.arg(format!("http://127.0.0.1:{}/", origin.port));
    assert_eq!(stdout(&run(command).await).trim(), "/after");
}
