//! `ErasePerson`: the person is suppressed, every recipient is asked, and what came of it so far is told.
//!
//! What follows, the ends of those runs and the files that hold the person, is done by the attendant ([`super::attendant`]);
//! a crash leaves it to the next start.

use super::erasure_look::Found;
use crate::Control;
use crate::control::key_id;
use crate::tenant::parse_tenant;
use ferry_domain::authz::action::ErasePerson;
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{Error, Result, TenantId};
use ferry_segments::{Email, ErasedPerson, identity_digest};
use ferry_store::{ErasureReceipt, NewErasure};
use ferry_vault::Purpose;

/// An erasure is looked up anew as often as a run has moved what it was looked up by.
const LOOKS: u32 = 5;

impl Control {
    /// Takes a person off every list that Ferry put them on, and suppresses them from now on. A repeat tells what came of
    /// it, and tries again where the destination was asked without success.
    pub async fn erase_person(
        &self,
        actor: &Actor,
        parent: &str,
        email: &str,
        request_id: &str,
    ) -> Result<Vec<ErasureReceipt>> {
        let parent = parse_tenant("parent", parent)?;
        permit::<ErasePerson>(actor, parent.clone())?.spend();
        let person = self.person(&parent.tenant, email).await?;
        // The digest and not the address: a fingerprint is kept for days.
        let write = self.write(request_id, &(parent.to_string(), person.identity))?;
        for _ in 0..LOOKS {
            let ground =
                self.granted(|store| Ok(store.erasure_ground(permit::<ErasePerson>(actor, parent.clone())?)))?;
            let ground = ground.await?;
            let seen = ground.marks.clone();
            let whereabouts = self.whereabouts(actor, &parent, person.identity).await?;
            let Found { places, stop } = self.look_for(&parent.tenant, person.clone(), ground, whereabouts).await?;
            let id = uuid::Uuid::now_v7().to_string();
            let new = NewErasure { id, person: person.identity, places, stop, seen };
            let (write, of) = (write.clone(), parent.clone());
            let begun = self.granted(|store| Ok(store.person_erase(permit::<ErasePerson>(actor, of)?, new, write)))?;
            if let Some(receipts) = begun.await? {
                // Before the answer: from then on a database that is put back must not bring the person back. After a
                // failure here a repeat, or the next start, does it.
                super::restored::copy_suppressions(self.store(), &self.parts.pins).await?;
                return Ok(receipts);
            }
        }
        Err(Error::Aborted { name: parent.to_string() })
    }

    /// Who an address is within a tenant.
    pub(crate) async fn person(&self, tenant: &TenantId, email: &str) -> Result<ErasedPerson> {
        let email = Email::parse(email).map_err(|reason| {
            // Not the address: an answer may be logged by whoever asked.
            let what = reason.as_str().to_ascii_lowercase().replace('_', " ");
            Error::invalid("email", format!("must be an e-mail address of 3 to 254 bytes ({what})"))
        })?;
        let digest_key = self.identity_key(tenant).await?;
        Ok(ErasedPerson { identity: identity_digest(&digest_key, &email), digest_key })
    }

    /// The tenant's key for identity digests. A tenant that had no connection yet gets it here.
    pub(crate) async fn identity_key(&self, tenant: &TenantId) -> Result<[u8; 32]> {
        let id = key_id(tenant.as_str(), "", Purpose::Identity)?;
        let key = self.keys(move |vault| vault.ensure_key(&id).and_then(|()| vault.data_key(&id))).await?;
        Ok(*key)
    }
}
