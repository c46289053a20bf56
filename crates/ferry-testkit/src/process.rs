//! The real binary as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The unit of times under `/proc`, the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// A process that is killed when it is dropped.
pub struct Process(Child);

/// The path of a binary of this workspace. `tests/run` builds them before the tests.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let ours = std::env::current_exe().expect("a program has a path");
    let folder = ours.parent().expect("a program is in target/PROFILE");
    // A test is one level below.
    let profile = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let path = profile.join(name);
    assert!(path.exists(), "{name} is not built; run tests/run, or `cargo build --workspace --bins` first");
    path
}

impl Process {
    /// Starts a binary; what it writes goes to a file.
    #[must_use]
    pub fn start(name: &str, arguments: &[String], log: &Path) -> Self {
        Self::start_in(name, arguments, &[], log)
    }

    /// The same, with variables in its environment beside our own.
    #[must_use]
    pub fn start_in(name: &str, arguments: &[String], environment: &[(String, String)], log: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).expect("a log file can be made");
        let child = Command::new(binary(name))
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
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

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let told = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().expect("kill is there");
        assert!(told.success(), "our own child can be told");
    }

    /// How it ended; nothing while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("our own child can be looked at")
    }

    /// SIGTERM; returns with its exit code once it has ended.
    #[must_use]
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.0.wait().expect("our own child can be waited for").code()
    }

    /// The most memory it ever had, in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        self.memory_line("VmHWM:")
    }

    /// The memory that it has now, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory_line("VmRSS:")
    }

    fn memory_line(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel counts it");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
        kib * 1024
    }

    /// The processor time that it has used, in all its threads.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("the process runs");
        // The name of the command stands in brackets and may hold spaces; times are fields 14 and 15 of the line.
        let (_, after_name) = stat.rsplit_once(')').expect("the kernel writes it so");
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}
