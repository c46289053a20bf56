//! The real binary as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process that is killed when it is dropped.
pub struct Process(Child);

/// The path of a binary of this workspace. `tests/run` builds them before the tests.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("a test is in target/PROFILE/deps");
    let path = profile.join(name);
    assert!(path.exists(), "{name} is not built; run tests/run, or `cargo build --workspace --bins` first");
    path
}

impl Process {
    /// Starts a binary; what it writes goes to a file.
    #[must_use]
    pub fn start(name: &str, arguments: &[String], log: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).expect("a log file can be made");
        let child = Command::new(binary(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("a built binary can be started");
        Self(child)
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.0.kill().expect("our own child can be killed");
        self.0.wait().expect("our own child can be waited for");
    }

    /// The most memory it ever had, in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the kernel counts it");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
        kib * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}
