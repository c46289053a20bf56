//! What is in memory stays there.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, setrlimit};

/// No core dump of this process is written, and no other process of the same user may read its memory: both hold
/// unwrapped keys and profiles.
pub(crate) fn forbid() -> anyhow::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("core dumps cannot be switched off")?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("the process cannot be kept from being dumped")?;
    Ok(())
}
