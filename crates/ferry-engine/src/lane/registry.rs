//! The lanes of this process, one for each account, made when first needed.

use super::Lane;
use crate::pace::TimeScale;
use ferry_domain::Timestamp;
use ferry_store::Store;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

const MINUTE: Duration = Duration::from_secs(60);
/// A recorded wait is believed up to this; a clock that jumped must not park an account for ever.
const LONGEST_HOLD: Duration = Duration::from_secs(10 * 24 * 3_600);

/// All lanes. They live as long as the process, since their windows are its memory of what was sent.
pub(crate) struct Lanes {
    store: Store,
    scale: TimeScale,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
}

impl Lanes {
    pub(crate) fn new(store: Store, scale: TimeScale) -> Self {
        Self { store, scale, lanes: Mutex::new(HashMap::new()) }
    }

    /// The lane of an account. The first call reads what an earlier owner recorded.
    pub(crate) async fn lane(&self, account: &str, now: Timestamp) -> ferry_domain::Result<Arc<Lane>> {
        let mut lanes = self.lanes.lock().await;
        if let Some(lane) = lanes.get(account) {
            return Ok(Arc::clone(lane));
        }
        let minute = self.scale.real(MINUTE);
        let since = Timestamp::from_millis(now.as_millis() - i64::try_from(minute.as_millis()).unwrap_or(i64::MAX));
        let recent = self.store.recent_intents(account, since).await?.len();
        let held = self.store.lane_load(account).await?.hold_until.map(|until| until.since(now));
        let held = held.map(|wait| wait.min(self.scale.real(LONGEST_HOLD)));
        let lane = Lane::start(account.to_owned(), self.scale, recent, held);
        lanes.insert(account.to_owned(), Arc::clone(&lane));
        Ok(lane)
    }
}
