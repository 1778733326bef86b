//! Ten minutes of random clients with random faults (`cargo bench -p waypost --bench soak [-- SECONDS]`):
//! what the process takes of the system before and after. Ends with a failure if something is left.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on ends, and its table is what it is for"
)]

#[path = "../tests/it/binary.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod binary;
#[path = "../tests/it/soak/mod.rs"]
mod soak;

use std::{process::ExitCode, time::Duration};

use self::soak::{judge, soak};

const SECONDS: u64 = 600;

#[tokio::main]
async fn main() -> ExitCode {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(SECONDS);
    let soaked = soak(Duration::from_secs(seconds), 4).await;
    for (visit, count) in &soaked.visits {
        println!("{visit:?}: {count}");
    }
    println!("before: {:?}\nafter:  {:?}", soaked.before, soaked.after);
    match judge(&soaked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(left) => {
            println!("left: {left}");
            ExitCode::FAILURE
        }
    }
}
