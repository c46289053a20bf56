//! `ferry exports`: which exports there are, and how each went last.

use super::names::{Name, ScopeArgs};
use super::table::{self, Column};
use super::{EXIT_CODES, Output, phrases, shown, write_json, write_line};
use crate::client::{ConnectArgs, Problem, plain};
use clap::{Args, Subcommand};
use ferry_proto::v1 as pb;

/// The largest page.
const PAGE: i32 = 500;

/// See the module.
#[derive(Args)]
pub(crate) struct ExportsArgs {
    #[command(subcommand)]
    command: ExportsCommand,
}

#[derive(Subcommand)]
enum ExportsCommand {
    /// List the exports of a tenant, the newest first.
    #[command(after_help = EXIT_CODES)]
    List(ListArgs),
}

#[derive(Args)]
struct ListArgs {
    /// The tenant's id.
    #[arg(long, env = "FERRY_TENANT", value_name = "TENANT")]
    tenant: Option<String>,
    /// So many exports at most; 0 for all.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    limit: usize,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    service: ConnectArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(args: ExportsArgs) -> anyhow::Result<()> {
    match args.command {
        ExportsCommand::List(args) => list(args).await,
    }
}

async fn list(args: ListArgs) -> anyhow::Result<()> {
    let ListArgs { tenant, limit, output, service } = args;
    let name = ScopeArgs { tenant, export: None }.name()?;
    let Name::Tenant(_) = &name else { return Err(Problem::usage(format!("{name} is no tenant")).into()) };
    let mut client = service.connect().await?;
    let mut request =
        pb::ListExportsRequest { parent: name.to_string(), page_size: PAGE, ..pb::ListExportsRequest::default() };
    let mut exports = Vec::new();
    loop {
        let page = service.ask(client.exports.list_exports(request.clone())).await?;
        exports.extend(page.exports);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    // The service lists the oldest first.
    exports.reverse();
    let more = limit > 0 && exports.len() > limit;
    if more {
        exports.truncate(limit);
    }
    if exports.is_empty() {
        eprintln!("ferry: {name} has no export");
        return Ok(());
    }
    match output {
        Output::Json => {
            for mut export in exports {
                export.latest_run_summary = export.latest_run_summary.map(shown);
                write_json(&export)?;
            }
        }
        Output::Text => {
            let rows: Vec<Vec<String>> = exports.iter().map(row).collect();
            for line in table::lines(&COLUMNS, &rows, table::width()) {
                write_line(&line)?;
            }
        }
    }
    if more {
        eprintln!("ferry: there are more; --limit says how many are shown");
    }
    Ok(())
}

const COLUMNS: [Column; 6] = [
    Column::new("EXPORT").at_least(8),
    Column::new("NAME").at_least(8).rank(1),
    Column::new("CONNECTION").at_least(8).rank(2),
    Column::new("RUNS").at_least(8).rank(3),
    Column::new("LAST RUN"),
    Column::new("CREATED (UTC)").rank(4),
];

fn row(export: &pb::Export) -> Vec<String> {
    use pb::export_schedule::Schedule;
    let connection = phrases::last_part(&export.connection);
    let schedule = match export.schedule.as_ref().and_then(|schedule| schedule.schedule.as_ref()) {
        Some(Schedule::Recurrence(when)) => plain(&when.cron),
        Some(Schedule::Off(_)) => "on demand".to_owned(),
        Some(Schedule::WithRefresh(_)) | None => "with the refresh".to_owned(),
    };
    let last = export.latest_run_summary.as_ref();
    vec![
        phrases::last_part(&export.name).to_owned(),
        plain(&export.display_name),
        if connection.is_empty() { "detached".to_owned() } else { connection.to_owned() },
        schedule,
        last.map_or_else(|| "never".to_owned(), phrases::doing),
        last.map(phrases::created).unwrap_or_default(),
    ]
}
