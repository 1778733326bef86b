//! Tests that need a network of their own, for well-known ports and for addresses that are not
//! this machine's.

use std::process::Stdio;

use tokio::process::Command;

use waypost_testkit::say_skipped;

/// Set in the inner process.
const INSIDE: &str = "WAYPOST_TEST_NAMESPACE";

/// Whether this process is in a network namespace of its own, with nothing but the loopback device
/// and `addresses` on it. If not, the test `test` is run once more in one, and its outcome is this
/// one's; where the system allows no namespaces, a loud line says that nothing is checked.
pub(crate) async fn entered(test: &str, addresses: &[&str]) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the inner process is told so")]
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let Some(unshare) = working_unshare().await else {
        say_skipped(test, "this system makes no network namespaces, or has no `ip`");
        return false;
    };
    let mut script = "ip link set lo up".to_owned();
    for address in addresses {
        // Whoever binds an address at once must not wait until nobody else has it (RFC 4862 §5.4).
        let at_once = if address.contains(':') { " nodad" } else { "" };
        script.push_str(&format!(" && ip address add {address} dev lo{at_once}"));
    }
    script.push_str(" && exec \"$0\" \"$@\"");
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(unshare)
        .args(["sh", "-c", &script])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "in the namespace:\n{stdout}\n{stderr}");
    false
}

/// The arguments with which `unshare` makes a namespace here.
async fn working_unshare() -> Option<&'static [&'static str]> {
    for arguments in [&["--net"][..], &["--map-root-user", "--net"]] {
        let mut command = Command::new("unshare");
        command.args(arguments).args(["ip", "link", "set", "lo", "up"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().await.is_ok_and(|status| status.success()) {
            return Some(arguments);
        }
    }
    None
}
