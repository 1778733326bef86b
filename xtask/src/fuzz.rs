//! `cargo xtask fuzz`: looks for bytes from the network that break something, and keeps the useful ones.

mod selection;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// What makes the compiler count which edges are taken, as cargo-fuzz has it, and look after memory.
const FLAGS: [&str; 10] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg fuzzing",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Zsanitizer=address",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "-Cdebug-assertions -Ccodegen-units=1",
];
/// No target holds more than some hundred KiB; most of this is what the sanitizer keeps.
const MAX_MEMORY_MIB: u32 = 512;
/// A unit that takes longer hangs.
const MAX_UNIT_SECONDS: u32 = 5;
/// Longer inputs find nothing that these do not: targets draw a short one out themselves.
const MAX_INPUT_BYTES: u32 = 4096;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The targets to run; all if none is named.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each one is run; 0 only goes through the corpus.
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u32,
    /// Keep new inputs aside, and leave the corpus as it is.
    #[arg(long)]
    keep_corpus: bool,
}

/// Runs targets one after the other, and stops at the first that finds something.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = workspace::root()?.join("fuzz");
    let known = known_targets(&folder)?;
    let unknown = options.targets.iter().find(|name| !known.contains(name));
    if let Some(name) = unknown {
        bail!("no target `{name}`, expected one of {}", known.join(", "));
    }
    let targets = if options.targets.is_empty() { &known } else { &options.targets };
    let host = host()?;
    for target in targets {
        println!("== {target}");
        let binary = build(&folder, &host, target)?;
        run_one(&folder, &binary, target, options)?;
    }
    Ok(())
}

/// The targets are the files in `fuzz_targets`.
fn known_targets(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.join("fuzz_targets");
    let names = files(&folder)?.into_iter();
    let mut names: Vec<String> =
        names.filter_map(|file| file.file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

/// Sanitizers want the triple to be named, so that build scripts do without.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run `rustc -vV`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

fn build(folder: &Path, host: &str, target: &str) -> Result<PathBuf> {
    let output = env_or("CARGO_FUZZ_TARGET_DIR", folder.join("target"));
    let status = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--target", host, "--bin", target])
        .arg("--target-dir")
        .arg(&output)
        .current_dir(folder)
        // The flags are not stable; this compiler takes them all the same.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", format!(" {}", FLAGS.join(" ")))
        .env("ASAN_OPTIONS", "detect_odr_violation=0")
        .stdin(Stdio::null())
        .status()
        .context("cannot run `cargo build`")?;
    ensure!(status.success(), "building `{target}` ended with {status}");
    Ok(output.join(host).join("release").join(target))
}

#[expect(clippy::disallowed_methods, reason = "where builds go is up to who builds")]
fn env_or(name: &str, default: PathBuf) -> PathBuf {
    env::var_os(name).map_or(default, PathBuf::from)
}

fn run_one(folder: &Path, binary: &Path, target: &str, options: &Options) -> Result<()> {
    let corpus = folder.join("corpus").join(target);
    let crashes = folder.join("crashes").join(target);
    let work = folder.join("target/found").join(target);
    let found = work.join("new");
    for path in [&corpus, &found] {
        fs::create_dir_all(path).with_context(|| format!("cannot make `{}`", path.display()))?;
    }
    let mut fuzzer = fuzzer(binary);
    fuzzer
        .arg(format!("-max_total_time={}", options.seconds))
        .args(["-report_slow_units=1", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/", work.display()));
    if options.seconds == 0 {
        fuzzer.arg("-runs=0");
    }
    let status = fuzzer.args([&found, &corpus]).status().context("cannot run the fuzzer")?;
    let artifacts: Vec<PathBuf> = files(&work)?.into_iter().filter(|file| file.is_file()).collect();
    let artifacts: Vec<&PathBuf> = artifacts.iter().filter(|file| !file.ends_with("control")).collect();
    if !status.success() || !artifacts.is_empty() {
        for artifact in &artifacts {
            fs::create_dir_all(&crashes).with_context(|| format!("cannot make `{}`", crashes.display()))?;
            let kept = crashes.join(artifact.file_name().unwrap_or_default());
            fs::rename(artifact, &kept).with_context(|| format!("cannot write `{}`", kept.display()))?;
            println!("kept `{}`", kept.display());
        }
        bail!("`{target}` found something, and ended with {status}");
    }
    if !options.keep_corpus {
        merge(binary, &work, &corpus)?;
    }
    Ok(())
}

/// The options that every run has.
fn fuzzer(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .arg(format!("-rss_limit_mb={MAX_MEMORY_MIB}"))
        .arg(format!("-timeout={MAX_UNIT_SECONDS}"))
        .arg(format!("-max_len={MAX_INPUT_BYTES}"))
        // What was freed is not kept for long, or it would count as held.
        .env("ASAN_OPTIONS", "quarantine_size_mb=16")
        .stdin(Stdio::null());
    command
}

/// Keeps as few inputs as take all the edges that are known.
fn merge(binary: &Path, work: &Path, corpus: &Path) -> Result<()> {
    let (control, merged) = (work.join("control"), work.join("merged"));
    for path in [&control, &merged] {
        let _missing = fs::remove_file(path).or_else(|_error| fs::remove_dir_all(path));
    }
    fs::create_dir_all(&merged).with_context(|| format!("cannot make `{}`", merged.display()))?;
    let status = fuzzer(binary)
        .arg("-set_cover_merge=1")
        .arg(format!("-merge_control_file={}", control.display()))
        .arg(&merged)
        .arg(corpus)
        .arg(work.join("new"))
        .stderr(Stdio::null())
        .status()
        .context("cannot run the fuzzer")?;
    ensure!(status.success(), "merging ended with {status}");
    let text =
        fs::read_to_string(&control).with_context(|| format!("cannot read `{}`", control.display()))?;
    let chosen = selection::choose(&text).context("the fuzzer wrote no list of inputs")?;
    let kept = chosen.iter().map(fs::read).collect::<Result<Vec<_>, _>>().context("an input is gone")?;
    for file in files(corpus)? {
        fs::remove_file(&file).with_context(|| format!("cannot remove `{}`", file.display()))?;
    }
    let n_bytes: usize = kept.iter().map(Vec::len).sum();
    for (number, bytes) in (1..).zip(&kept) {
        let file = corpus.join(format!("{number:03}"));
        fs::write(&file, bytes).with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    println!("{} inputs of {n_bytes} bytes in `{}`", kept.len(), corpus.display());
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry.with_context(|| format!("cannot read `{}`", folder.display()))?.path());
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let targets = folder.path().join("fuzz_targets");
        fs::create_dir(&targets).unwrap();
        for name in ["http.rs", "grpc.rs"] {
            fs::write(targets.join(name), "").unwrap();
        }
        assert_eq!(known_targets(folder.path()).unwrap(), ["grpc", "http"]);
    }
}
