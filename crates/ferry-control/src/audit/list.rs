//! Entries in pages.

use super::filter;
use crate::Control;
use crate::page::{PageRequest, Query};
use ferry_domain::authz::action::ListAuditEntries;
use ferry_domain::authz::{Actor, AuditParent, permit};
use ferry_domain::{Error, Result};
use ferry_store::{AuditRecord, Listed};

impl Control {
    /// Reads entries of a tenant or of a run, the newest first, with the token of the next page.
    pub async fn list_audit_entries(
        &self,
        actor: &Actor,
        parent: &str,
        asked_for: &str,
        page: &PageRequest,
    ) -> Result<(Listed<AuditRecord>, String)> {
        let target = AuditParent::parse(parent).map_err(|error| Error::invalid("parent", error.to_string()))?;
        permit::<ListAuditEntries>(actor, target.clone())?.spend();
        let filter = filter::parse(asked_for)?;
        // Whoever is handed a token of somebody else's list gets nowhere with it.
        let query = Query { method: "ListAuditEntries", parent, arguments: &[actor.subject(), asked_for] };
        let page = self.page(&query, page)?;
        let read =
            self.granted(|store| Ok(store.audit_list(permit::<ListAuditEntries>(actor, target)?, filter, page)))?;
        let listed = read.await?;
        let token = self.next_token(&query, &listed)?;
        Ok((listed, token))
    }
}
