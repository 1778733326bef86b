//! Prints the description of the control interface; `cargo xtask docs` writes it to a file.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{:#}", waypost_api::openapi())
}
