//! What tests stand on: the real binary as a process, the simulator, tokens, clients. Everything in a folder of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::missing_panics_doc, reason = "a panic here is a failed test")]

pub mod canary;
mod client;
mod collector;
pub mod judge;
mod process;
mod stage;
mod watched;

pub use client::Client;
pub use collector::Collector;
pub use process::{Process, binary};
pub use stage::{HOST, LIST, OTHER_HOST, Stage, StageOptions, TENANT, adds_up};
pub use watched::{Watched, WatchedBody};

use std::time::{Duration, Instant};

/// Whether somebody asked for the long tests (`tests/run --long`).
pub fn asked() -> bool {
    std::env::var_os("FERRY_TEST_LONG").is_some()
}

/// Asks until there is an answer, at most for a while. The last thing seen is told when there is none.
pub async fn eventually<T, S: std::fmt::Debug, F: Future<Output = Result<T, S>>>(
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(seen) => assert!(begun.elapsed() < limit, "not within {limit:?}; last seen: {seen:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
