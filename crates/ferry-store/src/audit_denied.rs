//! Refused calls on record.

use crate::Store;
use crate::audit::{self, Fact, OPERATOR, Who};
use crate::tenant as tenants;
use ferry_domain::authz::Denial;
use ferry_domain::{Result, Timestamp};
use ferry_ledger::EntryResult;

impl Store {
    /// Records a refused call in the chain of the tenant that it names, if there is one, whatever its caller is there;
    /// else in the operator's.
    pub async fn denied(&self, denial: Denial, now: Timestamp) -> Result<()> {
        let write = self.writer.run(move |transaction| {
            Box::pin(async move {
                let tenant = match &denial.tenant {
                    Some(tenant) => tenants::find(transaction, tenant).await?.map(|row| row.id),
                    None => None,
                };
                let fact = Fact::new("CALL_DENIED", tenant.as_deref().unwrap_or(OPERATOR), &denial.resource)
                    .because(EntryResult::Denied, denial.reason)
                    .with("permission", denial.permission);
                audit::append(transaction, &who(denial), fact, now).await.map(|_number| ())
            })
        });
        write.await
    }
}

fn who(denial: Denial) -> Who {
    Who {
        actor: denial.subject,
        role: denial.role.to_owned(),
        required: denial.required.to_owned(),
        correlation_id: denial.call.correlation_id,
        origin: denial.call.origin,
    }
}
