//! What nobody asks for by a call: erasures are followed to their end, and old files are removed.

use crate::Control;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often it is looked whether the runs of an erasure have ended.
const LOOK: Duration = Duration::from_secs(1);
/// Files that a run holds up are looked at less and less often, but so often at least.
const LONGEST: Duration = Duration::from_secs(60);
/// How often old files are looked for.
const SWEEP: Duration = Duration::from_secs(60 * 60);

impl Control {
    /// Attends to that until it is dropped. What it was doing then is done by the next start.
    pub async fn attend(&self) {
        let mut swept: Option<Instant> = None;
        let mut waits = HashMap::new();
        loop {
            self.follow_erasures(&mut waits).await;
            if swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                if let Err(error) = self.purge_files().await {
                    tracing::error!(?error, "old sealed files cannot be removed; trying again in an hour");
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn follow_erasures(&self, waits: &mut HashMap<String, Wait>) {
        let open = match self.store().erasures_open().await {
            Ok(open) => open,
            Err(error) => return tracing::error!(?error, "the open erasures cannot be read; trying again"),
        };
        waits.retain(|id, _| open.iter().any(|erasure| erasure.id() == id));
        for erasure in open {
            if waits.get(erasure.id()).is_some_and(|wait| wait.until > Instant::now()) {
                continue;
            }
            let followed = self.follow_erasure(&erasure).await;
            if let Err(error) = &followed {
                tracing::error!(erasure = erasure.id(), ?error, "an erasure does not get on; trying again");
            }
            if !matches!(followed, Ok(true)) {
                let last = waits.get(erasure.id()).map_or(LOOK, |wait| wait.last);
                let last = (last * 2).min(LONGEST);
                waits.insert(erasure.id().to_owned(), Wait { until: Instant::now() + last, last });
            }
        }
    }
}

/// Until when the files of an erasure are left alone, and for how long.
struct Wait {
    until: Instant,
    last: Duration,
}
