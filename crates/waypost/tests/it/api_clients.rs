//! Python clients of the Clash API against the running binary. What they do is in `api_clients.py`.

use std::{ffi::OsString, path::PathBuf, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};
use waypost_testkit::workspace_root;

use crate::{
    browser::world::{SECRET, TEST_URL, World},
    programs::skip,
};

/// How long all of them may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
/// Debian's own, for which the packages are installed.
const PYTHON: &str = "/usr/bin/python3";
const MODULES: &str = "import aiohttp, async_clash, clash_controller_api, clashctl, prometheus_client";

#[tokio::test(flavor = "multi_thread")]
async fn python_clients_work() {
    let Some(packages) = require_clients("Python clients of the Clash API").await else { return };
    let world = World::start(None).await;
    let script = workspace_root().join("crates/waypost/tests/it/api_clients.py");
    let mut command = Command::new(PYTHON);
    let dashboard = workspace_root().join("docs/grafana-dashboard.json");
    command.arg(script).args([&world.base, SECRET, TEST_URL]).arg(dashboard).env("PYTHONPATH", packages);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.expect("the clients end").unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}

/// The folder of the packages, or a loud line that `test` checks nothing: what the variable `API_CLIENTS`
/// names, or `target/ci-api-clients`.
async fn require_clients(test: &str) -> Option<PathBuf> {
    let folder =
        variable("API_CLIENTS").map_or_else(|| workspace_root().join("target/ci-api-clients"), PathBuf::from);
    let mut command = Command::new(PYTHON);
    command.args(["-c", MODULES]).env("PYTHONPATH", &folder).stdout(Stdio::null()).stderr(Stdio::null());
    if command.status().await.is_ok_and(|status| status.success()) {
        return Some(folder);
    }
    let names = "clash-controller-api clashctl async-clash prometheus-client";
    let how = format!("{PYTHON} -m pip install --target target/ci-api-clients {names}");
    skip(test, &format!("packages are missing (`{how}`)"));
    None
}

#[expect(clippy::disallowed_methods, reason = "where packages are, is told so")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
