//! The project's own tools, run as `cargo xtask <command>`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its user")]

mod bench;
mod ci;
mod docs;
mod fuzz;
mod geodata;
mod proto;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// The project's own tools.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Make geosite.dat, geoip.dat and country.mmdb files.
    Geodata(geodata::Options),
    /// Check the rules of the project that no compiler knows.
    Tidy,
    /// Write the reference pages and the schemas of the configuration.
    Docs(docs::Options),
    /// Write the messages and services of the gRPC API.
    Proto(proto::Options),
    /// Run everything that must pass before a change is merged.
    Ci(ci::Options),
    /// Run the benchmarks, after making the data that they read.
    Bench(bench::Options),
    /// Look for bytes from the network that break something.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Geodata(options) => geodata::run(&options),
        Command::Tidy => tidy::run(),
        Command::Docs(options) => docs::run(&options),
        Command::Proto(options) => proto::run(&options),
        Command::Ci(options) => ci::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
