//! Calls to a destination on a caller's behalf, while they wait: verify a connection, validate an export.
//!
//! A tenant may have a few on their way at once. More would let one caller hold many connections open, and tell closed
//! ports from filtered ones by the time that answers take.

use ferry_domain::{Error, Result, TenantId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Probes of a tenant at once.
const AT_ONCE: usize = 5;

/// Counts what is on its way.
#[derive(Clone, Default)]
pub(crate) struct Probes(Arc<Mutex<HashMap<TenantId, usize>>>);

/// Leave for one probe, given back when it is dropped.
pub(crate) struct Probe {
    probes: Probes,
    tenant: TenantId,
}

impl Probes {
    pub(crate) fn begin(&self, tenant: &TenantId) -> Result<Probe> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(tenant.clone()).or_default();
        if *count >= AT_ONCE {
            return Err(Error::ResourceExhausted {
                message: format!("{AT_ONCE} questions to destinations are on their way for this tenant; try again"),
                retry_after: Duration::from_secs(1),
            });
        }
        *count += 1;
        Ok(Probe { probes: self.clone(), tenant: tenant.clone() })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let mut counts = self.probes.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_tenant_has_five_at_once_and_does_not_use_up_anothers() {
        let probes = Probes::default();
        let (acme, globex) = (TenantId::parse("acme").unwrap(), TenantId::parse("globex").unwrap());
        let mut begun: Vec<Probe> = (0..AT_ONCE).map(|_| probes.begin(&acme).unwrap()).collect();
        assert!(matches!(probes.begin(&acme), Err(Error::ResourceExhausted { .. })));
        assert!(probes.begin(&globex).is_ok());
        begun.pop();
        begun.push(probes.begin(&acme).unwrap());
        assert!(probes.begin(&acme).is_err());
        drop(begun);
        assert!(probes.0.lock().unwrap().is_empty(), "nothing is kept for a tenant without probes");
    }
}
