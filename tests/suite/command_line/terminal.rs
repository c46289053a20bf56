//! Bars on a terminal: Python, which the tests need anyhow, has pseudo-terminals.

use super::{ferry_at, said};
use crate::watch::{stage, stage_at};
use ferry_testkit::{Stage, binary};
use tokio::process::Command;

/// Runs a program on a terminal of 24 lines and 80 columns, and types Ctrl-C once a text is seen.
const TERMINAL: &str = r"
import fcntl, os, pty, struct, sys, termios
wait_for, program = sys.argv[1].encode(), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    os.environ['TERM'] = 'xterm'
    os.execv(program[0], program)
seen = b''
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    seen += data
    sys.stdout.buffer.write(data)
    if wait_for and wait_for in seen:
        os.write(terminal, b'\x03')
        wait_for = b''
sys.stdout.buffer.flush()
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
";

fn on_terminal(stage: &Stage, interrupt_at: &str, words: &[&str]) -> Command {
    let ferry = ferry_at(stage.addr(), &stage.token("viewer"), &[]);
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, interrupt_at]).arg(binary("ferry")).args(words).kill_on_drop(true);
    for (name, value) in ferry.as_std().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
}

#[tokio::test]
async fn a_terminal_shows_a_bar_that_moves_and_the_end() {
    // By the destination's own clock the 20 batches go out in 12 seconds: time to see a bar, on a busy machine too.
    let (stage, export) = stage_at(1.0).await;
    let run = stage.run(&export).await;
    let said = said(on_terminal(&stage, "", &["runs", "watch", "--run", &run.name])).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("weekly           sending   [="), "{said:?}");
    assert!(said.out.contains("/5,000"), "{said:?}");
    assert!(said.out.contains("5,000 of 5,000 people confirmed"), "{said:?}");
    restored(&said.out);
}

#[tokio::test]
async fn ctrl_c_ends_a_watch_and_leaves_the_terminal_as_it_was() {
    let (stage, _) = stage().await;
    let said = said(on_terminal(&stage, "no run of tenants/acme goes on", &["runs", "watch"])).await;
    assert_eq!(said.code, Some(130), "{said:?}");
    restored(&said.out);
}

/// A cursor that was hidden is shown again.
fn restored(out: &str) {
    let last = |code: &str| out.rfind(code);
    assert!(last("\u{1b}[?25l") <= last("\u{1b}[?25h"), "the cursor is hidden: {out:?}");
}
