//! How people name tenants, exports and runs.

use crate::client::{Client, ConnectArgs, Problem};
use clap::Args;
use ferry_proto::v1 as pb;

/// The largest page.
const PAGE: i32 = 500;
/// How far back a run is looked for by a part of its id.
const PAGES: usize = 20;
/// Fewer characters of an id name nothing.
const SHORTEST: usize = 4;
const ID: usize = 36;

/// In which tenant, and of which export.
#[derive(Args, Clone)]
pub(super) struct ScopeArgs {
    /// The tenant's id. Names that are not given in full are looked for there.
    #[arg(long, env = "FERRY_TENANT", value_name = "TENANT")]
    pub(super) tenant: Option<String>,
    /// The runs of this export alone: its id or its full name.
    #[arg(long, value_name = "EXPORT")]
    pub(super) export: Option<String>,
}

/// Something named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Tenant(String),
    Export { tenant: String, export: String },
    Run { tenant: String, export: String, run: String },
}

impl Name {
    /// What `WatchRuns` and `ListRuns` take as parent.
    pub(super) fn parent(&self) -> String {
        match self {
            Self::Tenant(tenant) => format!("tenants/{tenant}/exports/-"),
            Self::Export { tenant, export } | Self::Run { tenant, export, .. } => {
                format!("tenants/{tenant}/exports/{export}")
            }
        }
    }

    /// Reads a full name, or `EXPORT` or `EXPORT/RUN` of a tenant.
    pub(super) fn parse(text: &str, tenant: Option<&str>) -> Result<Self, Problem> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(Problem::usage(format!("`{text}` names nothing: a part of it is empty")));
        }
        let owned = |text: &str| text.to_owned();
        match (parts.as_slice(), tenant) {
            (["tenants", tenant], _) => Ok(Self::Tenant(owned(tenant))),
            (["tenants", tenant, "exports", export], _) => {
                Ok(Self::Export { tenant: owned(tenant), export: owned(export) })
            }
            (["tenants", tenant, "exports", export, "runs", run], _) => {
                Ok(Self::Run { tenant: owned(tenant), export: owned(export), run: owned(run) })
            }
            (["tenants", ..], _) => Err(Problem::usage(format!("`{text}` is no name of a tenant, an export or a run"))
                .todo("names are tenants/TENANT, tenants/TENANT/exports/EXPORT and tenants/TENANT/exports/EXPORT/runs/RUN")),
            ([export], Some(tenant)) => Ok(Self::Export { tenant: owned(tenant), export: owned(export) }),
            ([export, run], Some(tenant)) => {
                Ok(Self::Run { tenant: owned(tenant), export: owned(export), run: owned(run) })
            }
            (_, None) => Err(Problem::usage(format!("it is not said which tenant `{text}` is of"))
                .todo("give --tenant or FERRY_TENANT, or the full name, like tenants/TENANT/exports/EXPORT")),
            _ => Err(Problem::usage(format!("`{text}` is neither EXPORT nor EXPORT/RUN"))),
        }
    }

    /// An export by its id or its full name.
    pub(super) fn export(text: &str, tenant: Option<&str>) -> Result<Self, Problem> {
        match Self::parse(text, tenant)? {
            name @ Self::Export { .. } => Ok(name),
            _ => Err(Problem::usage(format!("`{text}` is no export"))
                .todo("an export is its id with --tenant, or tenants/TENANT/exports/EXPORT")),
        }
    }
}

impl ScopeArgs {
    /// The runs that are meant: those of the tenant, or of one export.
    pub(super) fn name(&self) -> Result<Name, Problem> {
        match (&self.export, &self.tenant) {
            (Some(export), tenant) => Name::export(export, tenant.as_deref()),
            (None, Some(tenant)) => Ok(Name::Tenant(tenant.clone())),
            (None, None) => Err(Problem::usage("it is not said whose runs are meant".to_owned())
                .todo("give --tenant or FERRY_TENANT, or --export")),
        }
    }

    /// A run by its full name, as EXPORT/RUN, or by its id alone. An id may be given by its end, as tables show it.
    pub(super) async fn run(&self, text: &str, service: &ConnectArgs, client: &Client) -> Result<Name, Problem> {
        let name = if text.contains('/') {
            Name::parse(text, self.tenant.as_deref())?
        } else {
            let (tenant, export) = match self.name()? {
                Name::Tenant(tenant) => (tenant, "-".to_owned()),
                Name::Export { tenant, export } | Name::Run { tenant, export, .. } => (tenant, export),
            };
            Name::Run { tenant, export, run: text.to_owned() }
        };
        match &name {
            Name::Run { export, run, .. } if run.len() == ID && export != "-" => Ok(name),
            Name::Run { run, .. } => find(&name, run, service, client).await,
            _ => Err(Problem::usage(format!("`{text}` is no run"))
                .todo("a run is its id or EXPORT/RUN with --tenant, or tenants/TENANT/exports/EXPORT/runs/RUN")),
        }
    }
}

/// Looks among the newest runs for the one whose id ends so.
async fn find(among: &Name, end: &str, service: &ConnectArgs, client: &Client) -> Result<Name, Problem> {
    if end.len() < SHORTEST {
        return Err(Problem::usage(format!("`{end}` is too short to name a run")));
    }
    let mut request = pb::ListRunsRequest { parent: among.parent(), page_size: PAGE, page_token: String::new() };
    for _ in 0..PAGES {
        let page = service.ask(client.clone().runs.list_runs(request.clone())).await?;
        let found: Vec<&pb::Run> = page.runs.iter().filter(|run| run.uid.ends_with(end)).collect();
        match found.as_slice() {
            [] => {}
            [run] => return Name::parse(&run.name, None),
            [one, other, ..] => {
                return Err(Problem::usage(format!("`{end}` is the end of more than one run"))
                    .todo(format!("give more of it, like {} or {}", one.uid, other.uid)));
            }
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Err(Problem::new(format!("no run of {} has an id that ends with `{end}`", among.parent()))
        .todo("`ferry runs list` shows the runs that are there"))
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tenant(tenant) => write!(f, "tenants/{tenant}"),
            Self::Export { tenant, export } => write!(f, "tenants/{tenant}/exports/{export}"),
            Self::Run { tenant, export, run } => write!(f, "tenants/{tenant}/exports/{export}/runs/{run}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn full_names_and_short_ones_are_read() {
        for (text, tenant, full) in [
            ("tenants/acme", None, "tenants/acme"),
            ("tenants/acme/exports/weekly", Some("other"), "tenants/acme/exports/weekly"),
            ("tenants/acme/exports/weekly/runs/r", None, "tenants/acme/exports/weekly/runs/r"),
            ("weekly", Some("acme"), "tenants/acme/exports/weekly"),
            ("weekly/r", Some("acme"), "tenants/acme/exports/weekly/runs/r"),
        ] {
            assert_eq!(Name::parse(text, tenant).unwrap().to_string(), full);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_a_mistake_of_the_command_line() {
        for (text, tenant) in [
            ("weekly", None),
            ("a/b", None),
            ("", None),
            ("a//b", Some("acme")),
            ("a/b/c", Some("acme")),
            ("tenants/acme/runs/r", None),
        ] {
            assert!(Name::parse(text, tenant).unwrap_err().is_usage(), "{text}");
        }
        assert!(Name::export("tenants/acme", None).unwrap_err().is_usage());
    }

    #[test]
    fn the_parent_of_a_tenant_is_all_its_exports() {
        let parent = |text: &str| Name::parse(text, None).unwrap().parent();
        assert_eq!(parent("tenants/acme"), "tenants/acme/exports/-");
        assert_eq!(parent("tenants/acme/exports/weekly/runs/r"), "tenants/acme/exports/weekly");
    }
}
