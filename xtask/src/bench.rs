//! `cargo xtask bench`: the benchmarks, with the data that they read.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::Package;
use crate::{geodata, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The crates to run, with or without prefix; all that have benchmarks if none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace::root()?;
    let packages = workspace::packages(&root)?;
    let selected = selected(&packages, &options.names)?;
    if selected.is_empty() {
        println!("no crate has benchmarks");
        return Ok(());
    }
    geodata::prepare_benchmarks(&root)?;
    for package in selected {
        println!("== {}", package.name);
        let status = Command::new("cargo")
            .args(["bench", "--package", &package.name, "--benches"])
            .current_dir(&root)
            .status()
            .context("cannot run `cargo bench`")?;
        if !status.success() {
            bail!("the benchmarks of `{}` ended with {status}", package.name);
        }
    }
    Ok(())
}

fn selected<'a>(packages: &'a [Package], names: &[String]) -> Result<Vec<&'a Package>> {
    let with_benches: Vec<&Package> = packages.iter().filter(|package| package.has_benches).collect();
    if names.is_empty() {
        return Ok(with_benches);
    }
    let find = |name: &String| {
        let is_named = |package: &&&Package| package.name == *name || package.short_name() == name;
        with_benches.iter().find(is_named).copied().with_context(|| format!("`{name}` has no benchmarks"))
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, has_benches: bool) -> Package {
        Package { name: name.to_owned(), folder: name.into(), dependencies: Vec::new(), has_benches }
    }

    #[test]
    fn runs_the_named_crates_or_all_that_have_benchmarks() {
        let packages =
            [package("waypost-geoip", true), package("waypost-net", false), package("waypost", true)];
        let names = |names: &[&str]| -> Result<Vec<String>> {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Ok(selected(&packages, &names)?.iter().map(|package| package.name.clone()).collect())
        };
        assert_eq!(names(&[]).unwrap(), ["waypost-geoip", "waypost"]);
        assert_eq!(names(&["waypost", "geoip"]).unwrap(), ["waypost", "waypost-geoip"]);
        assert_eq!(names(&["net"]).unwrap_err().to_string(), "`net` has no benchmarks");
    }
}
