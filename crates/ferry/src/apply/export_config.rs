//! `ferry export-config`: what a tenant has, as a file that `ferry apply` takes.

use super::model::{Connection, Export, Field, Refresh, last};
use super::service::Service;
use super::yaml::{self, Yaml};
use crate::client::{ConnectArgs, Problem};
use clap::Args;
use ferry_proto::v1 as pb;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tonic::Code;

/// Writes connections, exports and the refresh of a tenant as a file for `ferry apply`, without secrets.
#[derive(Args)]
pub(crate) struct ExportConfigArgs {
    /// The tenant's id.
    #[arg(long, env = "FERRY_TENANT", value_name = "TENANT")]
    tenant: Option<String>,
    /// Where to; standard output unless given. What is there is replaced, as a whole or not at all.
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    service: ConnectArgs,
}

/// Runs the command.
pub(crate) async fn run(args: ExportConfigArgs) -> anyhow::Result<()> {
    let tenant = args.tenant.ok_or_else(|| {
        Problem::usage("it is not said which tenant is meant".to_owned()).todo("give --tenant or FERRY_TENANT")
    })?;
    let service = Service { client: args.service.connect().await?, args: &args.service, tenant: &tenant };
    let exports = service.exports().await?;
    // Who may not read connections has nothing to write of them.
    let connections = match service.connections().await {
        Ok(connections) => connections,
        Err(status) if status.code() == Code::PermissionDenied => BTreeMap::new(),
        Err(status) => return Err(service.explain(&status).into()),
    };
    let refresh = service.refresh().await?;
    let text = written(&tenant, &connections, &exports, &refresh).map_err(Problem::new)?;
    match args.out {
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        Some(path) => {
            let failed = |error| Problem::new(format!("{} cannot be written: {error}", path.display()));
            replace(&path, &text).map_err(failed)?;
        }
    }
    Ok(())
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(|_| ()).map_err(|error| error.error)
}

/// The file. The order is that of the ids, so that two of them can be compared.
pub(super) fn written(
    tenant: &str,
    connections: &BTreeMap<String, pb::Connection>,
    exports: &BTreeMap<String, pb::Export>,
    refresh: &pb::RefreshSchedule,
) -> Result<String, String> {
    let mut text = String::from(
        "# What `ferry export-config` found. `ferry apply -f FILE` brings a tenant to what a file says.\n\
         # It holds no API key: one that is there stays. Where a connection is to be made anew, name its key by\n\
         # secret_reference, api_key_env or api_key_file.\n",
    );
    // A contributor sees of connections what nobody can compare.
    let whole = connections.iter().filter(|(_, connection)| !connection.etag.is_empty());
    let whole: Vec<_> = whole.collect();
    let written = |name: &str| whole.iter().any(|(id, _)| **id == last(name));
    let is_on_another = |export: &pb::Export| !export.connection.is_empty() && !written(&export.connection);
    if whole.len() < connections.len() || exports.values().any(is_on_another) {
        text.push_str("# Connections are an administrator's to read, and are left out.\n");
    }
    // A String takes every text.
    let _always = writeln!(text, "version: 1\n{}", yaml::lines("tenant", &Yaml::text(tenant), 0).join("\n"));
    let mut section = |name: &str, resources: Vec<(String, Vec<Field>)>| {
        for (at, (id, fields)) in resources.into_iter().enumerate() {
            if at == 0 {
                let _always = writeln!(text, "\n{name}:");
            }
            let fields = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
            let _always = writeln!(text, "{}", yaml::lines(&id, &Yaml::Map(fields), 1).join("\n"));
        }
    };
    let mut described = Vec::new();
    for (id, found) in whole {
        let connection = Connection::of(found).map_err(|why| format!("connection `{id}` cannot be written: {why}"))?;
        described.push((id.clone(), connection.fields()));
    }
    section("connections", described);
    let mut described = Vec::new();
    for (id, found) in exports {
        let export = Export::of(found).map_err(|why| format!("export `{id}` cannot be written: {why}"))?;
        described.push((id.clone(), export.fields()));
    }
    section("exports", described);
    let found = Refresh::of(refresh).map_err(|why| format!("the refresh cannot be written: {why}"))?;
    let fields = found.fields().into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
    let _always = writeln!(text, "\n{}", yaml::lines("refresh_schedule", &Yaml::Map(fields), 0).join("\n"));
    Ok(text)
}
