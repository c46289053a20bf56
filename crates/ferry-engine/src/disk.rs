//! Room on the disk for a plan, asked for before anything is read.

use crate::failure::{self, Stop};
use ferry_domain::{Culprit, Reason, Severity};
use std::path::Path;

/// A plan of a million profiles of usual size is written twice for a moment, and its state beside it.
const RESERVE_BYTES: u64 = 1 << 30;

/// A disk that fills up in the middle of a run stops every run of this service, so a plan needs this much left.
pub(crate) fn room_to_plan(data_dir: &Path) -> Result<(), Stop> {
    match rustix::fs::statvfs(data_dir) {
        Ok(disk) => enough(disk.f_bavail.saturating_mul(disk.f_frsize)),
        Err(error) => {
            tracing::warn!(%error, "the room on the disk cannot be asked for; planning without");
            Ok(())
        }
    }
}

fn enough(free: u64) -> Result<(), Stop> {
    if free >= RESERVE_BYTES {
        return Ok(());
    }
    let mebibytes = |bytes: u64| bytes >> 20;
    tracing::error!(
        free_mib = mebibytes(free),
        reserve_mib = mebibytes(RESERVE_BYTES),
        "too little room on the disk of the data directory; runs fail until there is more"
    );
    let message = "the disk of the service is nearly full, so nothing was planned; its operator makes room, then run it \
                   again";
    Err(failure::failed(Reason::Unavailable, Culprit::System, Severity::Temporary, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_11_a_disk_with_room_is_enough_and_a_full_one_is_not() {
        assert!(enough(RESERVE_BYTES).is_ok());
        assert!(matches!(enough(RESERVE_BYTES - 1), Err(Stop::Ended(_, error)) if error.culprit == Culprit::System));
        assert!(room_to_plan(Path::new("/nowhere/at/all")).is_ok(), "what cannot be asked does not stop a run");
    }
}
