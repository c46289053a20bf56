//! What a person must know, read back.

use crate::Control;
use crate::page::{PageRequest, Query};
use crate::tenant::parse_tenant;
use ferry_domain::authz::action::ListNotifications;
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{Notification, Result};
use ferry_store::Listed;

impl Control {
    /// Reads a tenant's notifications, the newest first, with the token of the next page.
    pub async fn list_notifications(
        &self,
        actor: &Actor,
        parent: &str,
        page: &PageRequest,
    ) -> Result<(Listed<Notification>, String)> {
        let name = parse_tenant("parent", parent)?;
        permit::<ListNotifications>(actor, name.clone())?.spend();
        let query = Query { method: "ListNotifications", parent, arguments: &[] };
        let page = self.page(&query, page)?;
        let listed =
            self.granted(|store| Ok(store.notification_list(permit::<ListNotifications>(actor, name)?, page)))?.await?;
        let token = self.next_token(&query, &listed)?;
        Ok((listed, token))
    }
}
