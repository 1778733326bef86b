//! `cargo xtask ci`: everything that must pass before a change is merged.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{tidy, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run these steps only, still in their usual order.
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// The format of all sources.
    Fmt,
    /// Lints, where a warning is an error.
    Clippy,
    /// The rules of the project.
    Tidy,
    /// The whole workspace.
    Build,
    /// All tests but those in documentation.
    Test,
    /// The examples in documentation.
    Doctest,
    /// The documentation, where a warning is an error.
    Doc,
    /// Each crate without the others, as their features hide what it lacks.
    Alone,
}

/// Runs the steps, and stops at the first that fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut times = Vec::new();
    let steps = selected(&options.only);
    for step in &steps {
        println!("== {}", name(*step));
        let start = now();
        run_step(*step).with_context(|| format!("step `{}` failed", name(*step)))?;
        times.push((name(*step), start.elapsed()));
    }
    println!("\nAll {} steps passed:", steps.len());
    for (name, time) in &times {
        println!("  {name:<8} {:>7.1} s", time.as_secs_f64());
    }
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    println!("  {:<8} {:>7.1} s", "total", total.as_secs_f64());
    Ok(())
}

fn selected(only: &[Step]) -> Vec<Step> {
    let is_selected = |step: &Step| only.is_empty() || only.contains(step);
    Step::value_variants().iter().copied().filter(is_selected).collect()
}

fn name(step: Step) -> String {
    step.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn run_step(step: Step) -> Result<()> {
    match step {
        Step::Fmt => quietly(cargo(&["fmt", "--all", "--check"])?),
        Step::Clippy => {
            quietly(cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?)
        }
        Step::Tidy => tidy::run(),
        Step::Build => quietly(cargo(&["build", "--workspace"])?),
        Step::Test if has_nextest()? => test(cargo(&["nextest", "run", "--workspace"])?),
        Step::Test => test(cargo(&["test", "--workspace", "--all-targets"])?),
        Step::Doctest => visibly(cargo(&["test", "--workspace", "--doc"])?),
        Step::Doc => {
            let mut command = cargo(&["doc", "--workspace", "--no-deps"])?;
            command.env("RUSTDOCFLAGS", "-D warnings");
            quietly(command)
        }
        Step::Alone => check_each_alone(),
    }
}

/// Runs the tests and lists those that could check nothing: a runner may not show what a test that
/// passed has said.
fn test(mut runner: Command) -> Result<()> {
    let log = workspace::root()?.join("target/skipped-tests.log");
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    fs::write(&log, "").with_context(|| format!("cannot write `{}`", log.display()))?;
    runner.env("WAYPOST_SKIP_LOG", &log);
    visibly(runner)?;
    let skipped = fs::read_to_string(&log).with_context(|| format!("cannot read `{}`", log.display()))?;
    print!("{}", if skipped.is_empty() { "No test was skipped.\n" } else { &skipped });
    Ok(())
}

fn check_each_alone() -> Result<()> {
    for package in workspace::packages(&workspace::root()?)? {
        let start = now();
        quietly(cargo(&["check", "--package", &package.name, "--all-targets"])?)?;
        println!("   {:<18} {:>5.1} s", package.name, start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn has_nextest() -> Result<bool> {
    let output = cargo(&["nextest", "--version"])?.output().context("cannot run cargo")?;
    Ok(output.status.success())
}

fn cargo(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(workspace::root()?).stdin(Stdio::null());
    Ok(command)
}

/// Runs a command and shows what it wrote only if it fails.
fn quietly(mut command: Command) -> Result<()> {
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("cannot run {}", line_of(&command)))?;
    if !status.success() {
        print!("{}", String::from_utf8_lossy(&stdout));
        eprint!("{}", String::from_utf8_lossy(&stderr));
        bail!("{} ended with {status}", line_of(&command));
    }
    Ok(())
}

/// Runs a command and shows what it writes.
fn visibly(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", line_of(&command)))?;
    if !status.success() {
        bail!("{} ended with {status}", line_of(&command));
    }
    Ok(())
}

fn line_of(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    format!("`{} {}`", command.get_program().to_string_lossy(), arguments.join(" "))
}

#[expect(clippy::disallowed_methods, reason = "the steps of a build are timed")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selected_steps_keep_their_order() {
        assert_eq!(selected(&[Step::Tidy, Step::Fmt]), [Step::Fmt, Step::Tidy]);
        assert_eq!(selected(&[]).len(), 8);
    }

    #[test]
    fn a_command_that_fails_is_an_error_that_names_it() {
        for run in [quietly, visibly] {
            let error = run(cargo(&["no-such-command"]).unwrap()).unwrap_err().to_string();
            assert!(error.starts_with("`cargo no-such-command` ended with exit status"), "{error}");
        }
    }
}
