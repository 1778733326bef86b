//! Who may depend on whom (ARCHITECTURE.md, crates).

use std::path::Path;

use super::Problem;
use crate::workspace::Package;

/// The crates of the project that each one may depend on, by name without prefix.
const ALLOWED: [(&str, &[&str]); 24] = [
    ("net", &[]),
    ("geodata", &["net"]),
    ("geosite", &["net"]),
    ("geoip", &["net"]),
    ("router", &["net", "geosite", "geoip"]),
    ("ring", &[]),
    ("health", &[]),
    ("balance", &["net", "ring", "health"]),
    ("simulate", &["net", "ring", "health", "balance"]),
    ("wire", &["net"]),
    ("config", &["net", "geodata"]),
    ("dns", &["net", "geosite"]),
    ("transport", &["net", "wire"]),
    ("shadowsocks", &["net", "wire"]),
    ("proxy", PROXY),
    ("api", &["net", "config", "proxy"]),
    ("grpc", &["net", "config", "proxy"]),
    ("service", &["net", "config", "proxy", "api", "grpc"]),
    ("demo", &["net", "config", "proxy"]),
    ("inspect", &["net", "geodata", "geosite", "geoip", "config", "proxy"]),
    ("waypost", &["config", "proxy", "service", "demo", "inspect"]),
    ("testkit", &["net"]),
    ("fuzzed", &["net", "wire", "dns", "transport", "shadowsocks", "config"]),
    ("xtask", &["geodata", "config"]),
];

/// The shell puts all parts together.
const PROXY: &[&str] = &[
    "net",
    "geodata",
    "geosite",
    "geoip",
    "router",
    "ring",
    "health",
    "balance",
    "simulate",
    "wire",
    "config",
    "dns",
    "transport",
    "shadowsocks",
];

/// Dependencies that mean a runtime or IO.
const RUNTIME: [&str; 4] = ["tokio", "tokio-util", "socket2", "nix"];
/// The crates that do IO.
const WITH_IO: [&str; 11] = [
    "dns",
    "transport",
    "proxy",
    "api",
    "grpc",
    "service",
    "demo",
    "inspect",
    "waypost",
    "testkit",
    "fuzzed",
];

/// Serialisation belongs to the configuration and to the API.
const SERIALISATION: [&str; 2] = ["serde", "serde_json"];
const WITHOUT_SERIALISATION: [&str; 10] =
    ["net", "geosite", "geoip", "router", "ring", "health", "balance", "wire", "geodata", "shadowsocks"];

/// Only the shell and what is above it know the configuration, besides itself.
const WITH_CONFIG: [&str; 10] =
    ["config", "proxy", "api", "grpc", "service", "demo", "inspect", "waypost", "fuzzed", "xtask"];

/// Says whether a crate does its work without runtime, clock, environment and files.
pub(super) fn is_pure(package: &Package) -> bool {
    let name = package.short_name();
    name != "xtask" && !WITH_IO.contains(&name)
}

pub(super) fn check(package: &Package, manifest_path: &Path, manifest: &str) -> Vec<Problem> {
    let name = package.short_name();
    let allowed = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, allowed)| *allowed);
    let mut problems = Vec::new();
    if allowed.is_none() {
        problems.push(Problem::new(
            manifest_path,
            1,
            format!("`{name}` is not in the table of crates: add it"),
        ));
    }
    for dependency in package.dependencies.iter().filter(|dependency| dependency.is_normal) {
        let dependency = dependency.name.as_str();
        let text = if RUNTIME.contains(&dependency) && !WITH_IO.contains(&name) {
            format!("a crate without IO may not depend on `{dependency}`")
        } else if SERIALISATION.contains(&dependency) && WITHOUT_SERIALISATION.contains(&name) {
            format!("an engine crate may not depend on `{dependency}`")
        } else if dependency == "waypost-config" && !WITH_CONFIG.contains(&name) {
            "an engine crate may not depend on `waypost-config`".to_owned()
        } else if let Some(ours) = ours(dependency)
            && allowed.is_some_and(|allowed| !allowed.contains(&ours))
        {
            format!("`{name}` may not depend on `{dependency}`")
        } else {
            continue;
        };
        problems.push(Problem::new(manifest_path, line_of(manifest, dependency), text));
    }
    problems
}

/// Returns the name without prefix of a crate of this project.
fn ours(dependency: &str) -> Option<&str> {
    match dependency {
        "waypost" | "xtask" => Some(dependency),
        _ => dependency.strip_prefix("waypost-"),
    }
}

/// Returns the line that names a dependency, or the first.
fn line_of(manifest: &str, dependency: &str) -> usize {
    let names_it =
        |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    manifest.lines().position(names_it).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::workspace::Dependency;

    #[track_caller]
    fn check_dependency(name: &str, dependency: &str, expected: Option<&str>) {
        let package = Package {
            name: name.to_owned(),
            folder: PathBuf::from("x"),
            dependencies: vec![
                Dependency { name: dependency.to_owned(), is_normal: true },
                Dependency { name: "tokio".to_owned(), is_normal: false },
            ],
            has_benches: false,
        };
        let manifest =
            format!("[dependencies]\n{dependency}-x.workspace = true\n{dependency}.workspace = true\n");
        let problems = check(&package, Path::new("x/Cargo.toml"), &manifest);
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            texts,
            expected.map(|text| format!("x/Cargo.toml:{text}")).into_iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn only_crates_with_io_may_use_a_runtime() {
        check_dependency("waypost-dns", "tokio", None);
        check_dependency("waypost-proxy", "socket2", None);
        check_dependency("waypost-router", "tokio", Some("3: a crate without IO may not depend on `tokio`"));
        check_dependency("waypost-config", "nix", Some("3: a crate without IO may not depend on `nix`"));
    }

    #[test]
    fn engine_crates_have_no_serialisation() {
        check_dependency("waypost-config", "serde", None);
        check_dependency("waypost-balance", "serde", Some("3: an engine crate may not depend on `serde`"));
    }

    #[test]
    fn engine_crates_do_not_know_the_configuration() {
        check_dependency("waypost-proxy", "waypost-config", None);
        let expected = "3: an engine crate may not depend on `waypost-config`";
        check_dependency("waypost-dns", "waypost-config", Some(expected));
        check_dependency("waypost-testkit", "waypost-config", Some(expected));
    }

    #[test]
    fn a_crate_depends_on_those_of_its_row_only() {
        check_dependency("waypost-router", "waypost-geoip", None);
        check_dependency("waypost-proxy", "waypost-transport", None);
        let expected = "3: `router` may not depend on `waypost-geodata`";
        check_dependency("waypost-router", "waypost-geodata", Some(expected));
        check_dependency("waypost-proxy", "waypost-api", Some("3: `proxy` may not depend on `waypost-api`"));
        check_dependency("waypost-api", "waypost", Some("3: `api` may not depend on `waypost`"));
    }

    #[test]
    fn a_crate_that_the_table_lacks_is_reported() {
        check_dependency("waypost-extra", "regex", Some("1: `extra` is not in the table of crates: add it"));
    }

    #[test]
    fn knows_which_crates_are_pure() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            folder: PathBuf::new(),
            dependencies: Vec::new(),
            has_benches: false,
        };
        assert!(is_pure(&package("waypost-geodata")) && is_pure(&package("waypost-config")));
        assert!(
            !is_pure(&package("waypost-dns")) && !is_pure(&package("waypost")) && !is_pure(&package("xtask"))
        );
    }
}
