//! Where a person is: on which lists by the recipients files and, for what is older than those, by the states of exports;
//! and in which plans of live runs.

use super::recipients::Whereabouts;
use crate::Control;
use crate::segment::blocking;
use ferry_domain::{Result, RunId, TenantId, Timestamp};
use ferry_segments::layout::{StateName, index_path};
use ferry_segments::{ErasedPerson, FileKey, Place, PlanIndex, Presence, StateFile, find_in_state};
use ferry_store::{BatchRecord, BatchState, ErasureGround, ErasurePlace, ErasureRecipient, LivePlan, StatePlace};
use std::path::PathBuf;

/// What an erasure is to do.
pub(super) struct Found {
    /// Where the person is, or may be.
    pub(super) places: Vec<ErasurePlace>,
    /// Live runs that may still send them.
    pub(super) stop: Vec<String>,
}

impl Control {
    /// Looks in files, so it takes its time.
    pub(super) async fn look_for(
        &self,
        tenant: &TenantId,
        person: ErasedPerson,
        ground: ErasureGround,
        whereabouts: Vec<Whereabouts>,
    ) -> Result<Found> {
        let mut found = Found { places: Vec::new(), stop: Vec::new() };
        for Whereabouts { key, holder, row } in whereabouts {
            if row.presence == Presence::Refused {
                continue;
            }
            let recipient = ErasureRecipient {
                connection: format!("tenants/{tenant}/connections/{}", holder.connection),
                host: holder.host,
                fields: row.set.fields,
                purpose: row.set.purpose,
                first_time: Some(Timestamp::from_millis(row.first_ms)),
                last_time: Some(Timestamp::from_millis(row.last_ms)),
            };
            let lies = (key.generation, key.list, row.presence.may_be_there());
            found.add((key.export_uid, key.connection_uid), lies, recipient)?;
        }
        for plan in ground.live {
            self.look_in_plan(tenant, &person, plan, &mut found).await?;
        }
        for state in ground.states {
            self.look_in_state(tenant, &person, state, &mut found).await?;
        }
        Ok(found)
    }

    async fn look_in_plan(
        &self,
        tenant: &TenantId,
        person: &ErasedPerson,
        plan: LivePlan,
        found: &mut Found,
    ) -> Result<()> {
        // One that takes people off is what an erasure wants.
        if plan.trigger.takes_off() {
            return Ok(());
        }
        let path = index_path(&self.parts.data_dir, tenant.as_str(), &plan.planned_in);
        let (digest, identity) = (plan.record.digest, person.identity);
        let ordinal = match blocking(move || PlanIndex::open(&path, &digest)?.find(&identity)).await? {
            Ok(None) => return Ok(()),
            Ok(Some(ordinal)) => ordinal,
            Err(error) => {
                tracing::warn!(run = plan.run, %error, "whom a plan holds cannot be told; its run is stopped");
                found.stop.push(plan.run);
                return Ok(());
            }
        };
        let covers = |batch: &BatchRecord| {
            let offset = ordinal.checked_sub(batch.first).filter(|offset| *offset < u64::from(batch.rows));
            offset.is_some_and(|offset| !batch.removed.iter().any(|removed| u64::from(*removed) == offset))
        };
        let is_over = |batch: &BatchRecord| matches!(batch.state, BatchState::Settled | BatchState::Unknown);
        if !plan.batches.iter().any(|batch| covers(batch) && is_over(batch)) {
            found.stop.push(plan.run);
        }
        Ok(())
    }

    async fn look_in_state(
        &self,
        tenant: &TenantId,
        person: &ErasedPerson,
        place: StatePlace,
        found: &mut Found,
    ) -> Result<()> {
        // Without its key nobody can read it.
        let Some(on) = &place.connection else { return Ok(()) };
        let file = self.state_file(tenant, &place).await?;
        let identity = person.identity;
        let is_there = match blocking(move || find_in_state(&file, &identity)).await? {
            Ok(entry) => entry.is_some_and(|entry| entry.may_be_on_list()),
            Err(error) => {
                tracing::error!(%error, "the state of an export cannot be read; its list is asked all the same");
                true
            }
        };
        if !is_there {
            return Ok(());
        }
        let recipient = ErasureRecipient {
            connection: format!("tenants/{tenant}/connections/{}", on.id),
            host: place.host.clone(),
            fields: place.fields.clone(),
            purpose: place.purpose.clone(),
            first_time: None,
            last_time: None,
        };
        let key = (place.state.export_uid.clone(), on.uid.clone());
        found.add(key, (place.state.connection_generation, place.state.list, true), recipient)
    }

    /// A state of an export whose connection is there.
    pub(super) async fn state_file(&self, tenant: &TenantId, place: &StatePlace) -> Result<StateFile> {
        let key = self.file_key(tenant.as_str(), &place.state.connection_uid).await?;
        Ok(StateFile {
            place: state_place(&self.parts.data_dir, tenant, place, place.state.number, key),
            digest: place.state.digest,
        })
    }
}

/// Where a state with this number lies, or is to lie.
pub(super) fn state_place(
    data_dir: &std::path::Path,
    tenant: &TenantId,
    place: &StatePlace,
    number: u64,
    key: FileKey,
) -> Place {
    let name = StateName {
        tenant: tenant.as_str(),
        export_uid: &place.state.export_uid,
        connection_uid: &place.state.connection_uid,
        generation: place.state.connection_generation,
        list: place.state.list,
        number,
    };
    let path: PathBuf = name.path(data_dir);
    Place { path, key, aad: name.aad() }
}

impl Found {
    /// Each recipient once.
    fn add(
        &mut self,
        (export_uid, connection_uid): (String, String),
        (connection_generation, list, may_be_there): (i64, u32, bool),
        recipient: ErasureRecipient,
    ) -> Result<()> {
        let same = |place: &ErasurePlace| {
            (&place.export_uid, &place.connection_uid) == (&export_uid, &connection_uid)
                && (place.connection_generation, place.list) == (connection_generation, list)
        };
        if let Some(found) = self.places.iter_mut().find(|place| same(place)) {
            found.may_be_there |= may_be_there;
            return Ok(());
        }
        let run = RunId::parse(&uuid::Uuid::now_v7().to_string())
            .map_err(|error| ferry_domain::Error::internal("a run's id cannot be made", error))?;
        let place =
            ErasurePlace { export_uid, connection_uid, connection_generation, list, recipient, may_be_there, run };
        self.places.push(place);
        Ok(())
    }
}
