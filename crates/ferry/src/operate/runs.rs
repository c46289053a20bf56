//! `ferry runs`: start, cancel, list and watch runs.

use super::names::{Name, ScopeArgs};
use super::{EXIT_CODES, Output, list, phrases, shown, watch, write_json, write_line};
use crate::client::{ConnectArgs, Problem};
use clap::{Args, Subcommand};
use ferry_proto::v1 as pb;
use std::process::ExitCode;
use uuid::Uuid;

/// See the module.
#[derive(Args)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    command: RunsCommand,
}

#[derive(Subcommand)]
enum RunsCommand {
    /// Watch runs as they go: bars on a terminal, else a line for each change.
    #[command(after_help = EXIT_CODES)]
    Watch(watch::WatchArgs),
    /// Start a run of an export.
    #[command(after_help = EXIT_CODES)]
    Start(StartArgs),
    /// Stop a run before its next request; what was sent is settled and reported.
    #[command(after_help = EXIT_CODES)]
    Cancel(CancelArgs),
    /// List runs, the newest first.
    #[command(after_help = EXIT_CODES)]
    List(list::ListArgs),
}

#[derive(Args)]
struct StartArgs {
    /// The export: its full name, or its id with --tenant.
    export: String,
    /// The tenant's id.
    #[arg(long, env = "FERRY_TENANT", value_name = "TENANT")]
    tenant: Option<String>,
    /// Watch the run to its end; the exit code then tells how it ended.
    #[arg(long)]
    watch: bool,
    /// Send everybody as if nothing were known of the destination, but those whom this export has unsubscribed.
    #[arg(long)]
    full_resync: bool,
    /// A UUID that makes a repeat safe for 7 days: a repeat starts nothing anew. One is made unless given.
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    service: ConnectArgs,
}

#[derive(Args)]
struct CancelArgs {
    /// The run: its full name; EXPORT/RUN or its id with --tenant. The end of an id does, as `ferry runs list` shows it.
    run: String,
    #[command(flatten)]
    scope: ScopeArgs,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    service: ConnectArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(args: RunsArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        RunsCommand::Watch(args) => watch::run(args).await,
        RunsCommand::Start(args) => start(args).await,
        RunsCommand::Cancel(args) => cancel(args).await.map(|()| ExitCode::SUCCESS),
        RunsCommand::List(args) => list::run(args).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn start(args: StartArgs) -> anyhow::Result<ExitCode> {
    let StartArgs { export, tenant, watch, full_resync, request_id, output, service } = args;
    let export = Name::export(&export, tenant.as_deref())?;
    let mut client = service.connect().await?;
    let request_id = request_id.unwrap_or_else(Uuid::new_v4);
    let request = pb::RunExportRequest {
        name: export.to_string(),
        request_id: request_id.to_string(),
        full_resync,
        ..pb::RunExportRequest::default()
    };
    let asked = tokio::time::timeout(crate::client::ANSWER, client.exports.run_export(request)).await;
    // Whether it was started is not known then.
    let once = |problem: Problem| problem.todo(format!("--request-id {request_id} repeats this without a second run"));
    let answer = match asked {
        Err(_) => return Err(once(service.silent(crate::client::ANSWER)).into()),
        Ok(Err(status)) => {
            let problem = service.explain(&status);
            let is_refusal = !crate::client::reason(&status).is_empty();
            return Err(if is_refusal { problem } else { once(problem) }.into());
        }
        Ok(Ok(answer)) => answer.into_inner(),
    };
    let run = shown(answer.run.unwrap_or_default());
    if watch {
        if output == Output::Text {
            eprintln!("started {}", run.name);
        }
        return watch::one(&run.name, output, service).await;
    }
    match output {
        Output::Json => write_json(&run)?,
        Output::Text => {
            write_line(&format!("started {}", run.name))?;
            write_line(&format!("watch it: ferry runs watch --run {}", run.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn cancel(args: CancelArgs) -> anyhow::Result<()> {
    let CancelArgs { run, scope, output, service } = args;
    let mut client = service.connect().await?;
    let name = scope.run(&run, &service, &client).await?.to_string();
    let request = pb::CancelRunRequest { name, request_id: Uuid::new_v4().to_string() };
    let stopped = service.ask(client.runs.cancel_run(request)).await?.run.unwrap_or_default();
    let run = shown(stopped);
    match output {
        Output::Json => write_json(&run),
        Output::Text => {
            let waits = phrases::waits_for(&run);
            let what = if phrases::has_ended(&run) { "is cancelled; nothing more is sent" } else { "" };
            Ok(write_line(&format!("{} {}", run.name, waits.as_deref().unwrap_or(what)))?)
        }
    }
}
