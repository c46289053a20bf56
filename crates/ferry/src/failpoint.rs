//! Arms the failpoint that a crash test names. A release build has none.

use rustix::process::{Signal, getpid, kill_process};
use std::time::Duration;

const VARIABLE: &str = "FERRY_FAILPOINT";

/// Reads the point and its passage from the environment, as in `intent-committed:3`.
pub(crate) fn arm() -> anyhow::Result<()> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let armed = ferry_domain::failpoint::arm(&text, die);
    anyhow::ensure!(armed, "{VARIABLE} is `{text}`; it takes POINT:PASSAGE or POINT:PASSAGE:MILLISECONDS");
    Ok(())
}

/// `kill -9` of this process: no handler runs, nothing is closed, nothing is written.
#[allow(clippy::disallowed_methods, reason = "the thread that came here hangs, as one does that waits for its disk")]
fn die(hang: Duration) {
    std::thread::sleep(hang);
    let _does_not_return = kill_process(getpid(), Signal::KILL);
}
