//! RPCs that are not built yet: who may not call them learns that, everybody else that they do not exist yet. So none of
//! these ever succeeds.

use crate::Control;
use ferry_domain::authz::{Action, Actor, ExportTarget, permit};
use ferry_domain::{Error, ExportName, Result, TenantName, limits};
use std::convert::Infallible;

impl Control {
    /// One that is for a tenant, or for something in it that cannot exist yet.
    pub fn unbuilt<A: Action<Target = TenantName>>(&self, actor: &Actor, name: &str) -> Result<Infallible> {
        permit::<A>(actor, tenant_in(name)?)?.spend();
        Err(Error::Unimplemented(A::METHOD))
    }

    /// One that is for exports, each of which the caller must be allowed to change.
    pub async fn unbuilt_for_exports<A>(&self, actor: &Actor, names: &[String]) -> Result<Infallible>
    where
        A: Action<Target = ExportTarget>,
    {
        if names.is_empty() || names.len() > limits::NAMES_PER_BATCH {
            return Err(Error::invalid("names", "must name 1 to 100 exports"));
        }
        for name in names {
            let name = ExportName::parse(name).map_err(|error| Error::invalid("name", error.to_string()))?;
            let target = self.target::<A>(actor, &name).await?;
            permit::<A>(actor, target)?.spend();
        }
        Err(Error::Unimplemented(A::METHOD))
    }
}

/// The tenant that a name begins with.
fn tenant_in(name: &str) -> Result<TenantName> {
    let end = name.match_indices('/').nth(1).map_or(name.len(), |(at, _)| at);
    TenantName::parse(&name[..end]).map_err(|error| Error::invalid("name", error.to_string()))
}
