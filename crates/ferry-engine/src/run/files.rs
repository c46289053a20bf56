//! Where the sealed files of a run and of its export lie, and the keys that open them. It is all that the end of a run
//! needs: a run whose destination cannot be had any more is accounted for all the same.

use super::vault_failure;
use crate::context::Context;
use crate::failure::Stop;
use aws_lc_rs::hmac;
use ferry_domain::{Connection, RunId};
use ferry_segments::layout::{RunFile, StateName, index_path};
use ferry_segments::{FileKey, Place, StateFile};
use ferry_store::{ExportState, Lease};
use ferry_vault::{KeyId, Purpose};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// See the module.
pub(super) struct RunFiles {
    data_dir: PathBuf,
    tenant: String,
    connection_uid: String,
    run: RunId,
    /// The dry run whose plan this run carries out.
    plan_of: Option<RunId>,
    identity_key: Zeroizing<[u8; 32]>,
    file_key: Zeroizing<[u8; 32]>,
}

impl RunFiles {
    pub(super) fn open(
        shared: &Context,
        lease: &Lease,
        connection: &Connection,
        plan_of: Option<RunId>,
    ) -> Result<Self, Stop> {
        let tenant = lease.run().tenant.as_str();
        let id = |uid: &str, purpose| KeyId::new(tenant, uid, purpose).map_err(vault_failure);
        let (file, identity) = (id(&connection.uid, Purpose::File)?, id("", Purpose::Identity)?);
        Ok(Self {
            data_dir: shared.data_dir.clone(),
            tenant: tenant.to_owned(),
            connection_uid: connection.uid.clone(),
            run: lease.run().run.clone(),
            plan_of,
            identity_key: shared.vault.data_key(&identity).map_err(vault_failure)?,
            file_key: shared.vault.data_key(&file).map_err(vault_failure)?,
        })
    }

    /// A file of this run. A plan that is carried out for a dry run lies with that run, and what was made beside it too.
    pub(super) fn of_run(&self, file: RunFile) -> Place {
        let run = match file {
            RunFile::Refused => &self.run,
            RunFile::Plan | RunFile::Rejected | RunFile::Samples => self.plan_of.as_ref().unwrap_or(&self.run),
        };
        Place {
            path: file.path(&self.data_dir, &self.tenant, run.as_str()),
            key: self.file_key(),
            aad: file.aad(&self.tenant, &self.connection_uid, run.as_str()),
        }
    }

    /// The index of this run's plan.
    pub(super) fn index(&self) -> PathBuf {
        index_path(&self.data_dir, &self.tenant, self.plan_of.as_ref().unwrap_or(&self.run).as_str())
    }

    /// A state of the run's own export.
    pub(super) fn state(&self, state: &ExportState) -> StateFile {
        StateFile { place: self.state_place(state), digest: state.digest }
    }

    /// Where a state of the run's own export lies, or is to lie.
    pub(super) fn state_place(&self, state: &ExportState) -> Place {
        self.place_of(state, self.file_key())
    }

    /// A state of another export, which may be sealed for another connection to the same account.
    pub(super) fn state_of_another(&self, shared: &Context, state: &ExportState) -> Result<StateFile, Stop> {
        let id = KeyId::new(&self.tenant, &state.connection_uid, Purpose::File).map_err(vault_failure)?;
        let key = FileKey::new(*shared.vault.data_key(&id).map_err(vault_failure)?);
        Ok(StateFile { place: self.place_of(state, key), digest: state.digest })
    }

    fn place_of(&self, state: &ExportState, key: FileKey) -> Place {
        let name = StateName {
            tenant: &self.tenant,
            export_uid: &state.export_uid,
            connection_uid: &state.connection_uid,
            generation: state.connection_generation,
            list: state.list,
            number: state.number,
        };
        Place { path: name.path(&self.data_dir), key, aad: name.aad() }
    }

    /// The HMAC-SHA256 of a digest by the tenant's identity key.
    pub(super) fn keyed(&self, digest: &[u8; 32]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.identity_key.as_slice());
        let mut keyed = [0; 32];
        keyed.copy_from_slice(hmac::sign(&key, digest).as_ref());
        keyed
    }

    pub(super) fn identity_key(&self) -> [u8; 32] {
        *self.identity_key
    }

    fn file_key(&self) -> FileKey {
        FileKey::new(*self.file_key)
    }
}
