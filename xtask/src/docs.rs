//! `cargo xtask docs`: the reference pages and the schemas of the configuration, made from the
//! tables that the reader works from.

mod page;
mod schema;

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use waypost_config::{Dialect, key_tables};

use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write nothing, and fail if a file is not what would be written.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let interface = ("docs/reference/openapi.json", openapi()?);
    for (path, content) in files()?.into_iter().chain([interface]) {
        let full = workspace::root()?.join(path);
        if options.check {
            let committed = fs::read_to_string(&full).with_context(|| format!("cannot read `{path}`"))?;
            if committed != content {
                bail!("`{path}` is stale: run `cargo xtask docs`");
            }
            continue;
        }
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder of `{path}`"))?;
        }
        fs::write(&full, content).with_context(|| format!("cannot write `{path}`"))?;
        println!("wrote {path}");
    }
    Ok(())
}

/// The description of the control interface, which that itself tells.
fn openapi() -> Result<String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--package", "waypost-api", "--example", "openapi"]);
    let output = cargo.current_dir(workspace::root()?).stderr(Stdio::inherit()).output();
    let output = output.context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the control interface does not describe itself");
    }
    String::from_utf8(output.stdout).context("the description is no text")
}

/// Every file that is made from the tables, with its content.
fn files() -> Result<Vec<(&'static str, String)>> {
    let pages = [
        (Dialect::V2ray, "docs/reference/configuration.md", "docs/schema/v2ray.schema.json"),
        (Dialect::SingBox, "docs/reference/sing-box.md", "docs/schema/sing-box.schema.json"),
    ];
    let mut files = Vec::new();
    for (dialect, page, schema) in pages {
        if !key_tables(dialect).is_empty() {
            files.push((page, page::page(dialect)?));
            files.push((schema, schema::schema(dialect)?));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_files_are_what_would_be_written() {
        run(&Options { check: true }).unwrap();
    }
}
