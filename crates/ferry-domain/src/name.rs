//! Resource names: `tenants/{tenant}/exports/{export}/runs/{run}` and its kin.

use crate::id::{ConnectionId, ExportId, IdError, NotificationId, RunId, SegmentId, TenantId, WebhookId};
use serde::{Deserialize, Serialize};

/// Why a text is not the name of the resource that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The collections do not fit the pattern.
    #[error("must have the form `{0}`")]
    Form(&'static str),
    /// One of the identifiers is out of bounds.
    #[error("its `{collection}` part {cause}")]
    Id {
        /// The collection whose identifier is wrong.
        collection: &'static str,
        /// What is wrong with it.
        cause: IdError,
    },
}

/// Splits `text` along a pattern of collection names; anything else than id, id, … is an error of form.
fn split<'a, const N: usize>(
    text: &'a str,
    collections: [&'static str; N],
    form: &'static str,
) -> Result<[&'a str; N], NameError> {
    let mut parts = text.split('/');
    let mut ids = [""; N];
    for (slot, collection) in ids.iter_mut().zip(collections) {
        if parts.next() != Some(collection) {
            return Err(NameError::Form(form));
        }
        *slot = parts.next().ok_or(NameError::Form(form))?;
    }
    match parts.next() {
        None => Ok(ids),
        Some(_) => Err(NameError::Form(form)),
    }
}

fn id<T>(collection: &'static str, parsed: Result<T, IdError>) -> Result<T, NameError> {
    parsed.map_err(|cause| NameError::Id { collection, cause })
}

macro_rules! display {
    ($name:ident, $($part:literal => $field:ident),+) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let parts = [$(format!(concat!($part, "/{}"), self.$field)),+];
                f.write_str(&parts.join("/"))
            }
        }
    };
}

/// `tenants/{tenant}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TenantName {
    /// The tenant.
    pub tenant: TenantId,
}

impl TenantName {
    /// Reads `tenants/{tenant}`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let [tenant] = split(text, ["tenants"], "tenants/{tenant}")?;
        Ok(Self { tenant: id("tenants", TenantId::parse(tenant))? })
    }
}
display!(TenantName, "tenants" => tenant);

/// `tenants/{tenant}/connections/{connection}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConnectionName {
    /// The tenant.
    pub tenant: TenantId,
    /// The connection within it.
    pub connection: ConnectionId,
}

impl ConnectionName {
    /// Reads `tenants/{tenant}/connections/{connection}`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let [tenant, connection] =
            split(text, ["tenants", "connections"], "tenants/{tenant}/connections/{connection}")?;
        Ok(Self {
            tenant: id("tenants", TenantId::parse(tenant))?,
            connection: id("connections", ConnectionId::parse(connection))?,
        })
    }
}
display!(ConnectionName, "tenants" => tenant, "connections" => connection);

/// `tenants/{tenant}/segments/{segment}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SegmentName {
    /// The tenant.
    pub tenant: TenantId,
    /// The segment within it.
    pub segment: SegmentId,
}

impl SegmentName {
    /// Reads `tenants/{tenant}/segments/{segment}`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let [tenant, segment] = split(text, ["tenants", "segments"], "tenants/{tenant}/segments/{segment}")?;
        Ok(Self {
            tenant: id("tenants", TenantId::parse(tenant))?,
            segment: id("segments", SegmentId::parse(segment))?,
        })
    }
}
display!(SegmentName, "tenants" => tenant, "segments" => segment);

/// `tenants/{tenant}/exports/{export}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExportName {
    /// The tenant.
    pub tenant: TenantId,
    /// The export within it.
    pub export: ExportId,
}

impl ExportName {
    /// Reads `tenants/{tenant}/exports/{export}`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let [tenant, export] = split(text, ["tenants", "exports"], "tenants/{tenant}/exports/{export}")?;
        Ok(Self { tenant: id("tenants", TenantId::parse(tenant))?, export: id("exports", ExportId::parse(export))? })
    }
}
display!(ExportName, "tenants" => tenant, "exports" => export);

/// `tenants/{tenant}/exports/{export}/runs/{run}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunName {
    /// The tenant.
    pub tenant: TenantId,
    /// The export that ran.
    pub export: ExportId,
    /// The run.
    pub run: RunId,
}

impl RunName {
    /// Reads `tenants/{tenant}/exports/{export}/runs/{run}`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const FORM: &str = "tenants/{tenant}/exports/{export}/runs/{run}";
        let [tenant, export, run] = split(text, ["tenants", "exports", "runs"], FORM)?;
        Ok(Self {
            tenant: id("tenants", TenantId::parse(tenant))?,
            export: id("exports", ExportId::parse(export))?,
            run: id("runs", RunId::parse(run))?,
        })
    }

    /// The export that the run belongs to.
    #[must_use]
    pub fn export_name(&self) -> ExportName {
        ExportName { tenant: self.tenant.clone(), export: self.export.clone() }
    }
}
display!(RunName, "tenants" => tenant, "exports" => export, "runs" => run);

/// `tenants/{tenant}/webhooks/{webhook}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WebhookName {
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook within it.
    pub webhook: WebhookId,
}

impl WebhookName {
    /// Reads `tenants/{tenant}/webhooks/{webhook}`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let [tenant, webhook] = split(text, ["tenants", "webhooks"], "tenants/{tenant}/webhooks/{webhook}")?;
        Ok(Self {
            tenant: id("tenants", TenantId::parse(tenant))?,
            webhook: id("webhooks", WebhookId::parse(webhook))?,
        })
    }
}
display!(WebhookName, "tenants" => tenant, "webhooks" => webhook);

/// `tenants/{tenant}/notifications/{notification}`. Nobody sends one, so none is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NotificationName {
    /// The tenant.
    pub tenant: TenantId,
    /// The notification within it.
    pub notification: NotificationId,
}
display!(NotificationName, "tenants" => tenant, "notifications" => notification);

/// Whose runs: of one export, or of all of a tenant's (`exports/-`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunParent {
    /// `tenants/{tenant}/exports/{export}`.
    Export(ExportName),
    /// `tenants/{tenant}/exports/-`.
    Tenant(TenantId),
}

impl RunParent {
    /// Reads an export's name, where `-` stands for all exports.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match split(text, ["tenants", "exports"], "tenants/{tenant}/exports/{export}")? {
            [tenant, "-"] => Ok(Self::Tenant(id("tenants", TenantId::parse(tenant))?)),
            _ => Ok(Self::Export(ExportName::parse(text)?)),
        }
    }

    /// The tenant in whose data this looks.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Export(export) => &export.tenant,
            Self::Tenant(tenant) => tenant,
        }
    }
}

/// The tenant that a name begins with, whatever follows.
#[must_use]
pub fn tenant_in(name: &str) -> Option<TenantId> {
    name.strip_prefix("tenants/")?.split('/').next().and_then(|id| TenantId::parse(id).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_name_reads_back_as_it_was_written() {
        let text = "tenants/acme/exports/weekly/runs/0192";
        assert_eq!(RunName::parse(text).unwrap().to_string(), text);
        let text = "tenants/acme/connections/news";
        assert_eq!(ConnectionName::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn another_form_is_refused() {
        for bad in [
            "",
            "tenants",
            "tenants/acme/",
            "tenants/acme/connections",
            "tenants/acme/exports/abcd",
            "/tenants/acme/connections/abcd",
            "tenants/acme/connections/abcd/",
        ] {
            assert!(ConnectionName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hyphen_stands_for_all_exports() {
        assert_eq!(
            RunParent::parse("tenants/acme/exports/-").unwrap(),
            RunParent::Tenant(TenantId::parse("acme").unwrap())
        );
    }
}
