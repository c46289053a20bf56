//! Refused calls.

use crate::Control;
use ferry_domain::authz::Denial;
use ferry_domain::error::Inside;
use ferry_domain::{Error, Result};

impl Control {
    /// Puts a refused call on record. When this fails the call must not be answered as refused: its answer is then this
    /// error, which says that the service is unavailable.
    pub async fn denied(&self, denial: Denial) -> Result<()> {
        let (store, now) = (self.store().clone(), self.now());
        // The caller may hang up at once; the entry is written all the same.
        let recorded = self.to_its_end(async move { store.denied(denial, now).await }).await;
        recorded.map_err(|error| match error {
            Error::Internal(Inside(cause)) | Error::Unavailable(Inside(cause)) => {
                Error::Unavailable(Inside(format!("a refused call cannot be recorded: {cause}")))
            }
            other => Error::Unavailable(Inside(format!("a refused call cannot be recorded: {other}"))),
        })
    }
}
