//! `ferry apply` and `ferry export-config`: what a tenant has, as a file that is kept under version control.
//!
//! A file is read into what it declares (`read`), what is there is asked for (`service`), and the two are compared
//! without asking anybody (`plan`). Both sides are brought into the form in which the service keeps them first
//! (`model`), so what the service writes in another way is no difference. Only then is anything sent: the checks of all
//! steps, and the steps one after the other (`carry`).

mod carry;
mod export_config;
mod fields;
mod model;
mod plan;
mod read;
mod refresh;
mod service;
mod show;
#[cfg(test)]
mod tests;
mod yaml;

pub(crate) use export_config::ExportConfigArgs;
pub(crate) use export_config::run as run_export_config;

use crate::client::{ConnectArgs, Problem};
use crate::operate::{Output, write_line};
use carry::{Carried, Carrier, Refused};
use clap::Args;
use plan::{Action, Plan};
use read::{Declared, Source};
use service::Service;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use yaml::Fault;

/// `ferry apply --dry-run` has found differences.
const DIFFERS: u8 = 5;

const HELP: &str = "\
A file declares connections, exports and the refresh schedule of a tenant:

    version: 1
    connections:
      newsletter:
        display_name: Newsletter
        activecampaign: {host: account.api-us1.com, api_key_env: AC_KEY}
        consent: 2026-11-01
    exports:
      customers:
        display_name: All customers
        connection: newsletter
        segments: [customers]
        activecampaign: {list_id: 3}
        field_mappings: {email: Email, first_name: FirstName}
        schedule: {cron: 0 6 * * 1, time_zone: Europe/Berlin}
    refresh_schedule: {active: true, days: [tuesday], times: ['08:30']}

Names are those of the API. What a declared export, connection or schedule leaves out has the API's default. An API key
is named and never written down: by `secret_reference`, which the service reads, or by `api_key_env` or `api_key_file`,
which are read here when a connection is made or gets another host. A key that is there already stays.
`ferry export-config` writes what a tenant has.

Exit codes:
    0  everything is as declared
    1  the files are at fault, the service refused, or could not be reached
    2  the command line cannot be understood
    5  --dry-run found differences
  130  ended by Ctrl-C";

/// Brings connections, exports and the refresh of a tenant to what files declare.
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct ApplyArgs {
    /// A YAML file that declares what the tenant should have; `-` is standard input. May be given more than once: the
    /// files are then one.
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The tenant's id, if no file says it.
    #[arg(long, env = "FERRY_TENANT", value_name = "TENANT")]
    tenant: Option<String>,
    /// Show and check what would be done, and change nothing; exits with 5 if anything would be.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Remove exports of the tenant that no file declares. Connections are never removed by this.
    #[arg(long)]
    prune: bool,
    /// Store new connections without asking their destination whether it takes the key.
    #[arg(long)]
    skip_verification: bool,
    /// With json, each step is a line: `name`, `action`, `fields` that differ, and its `outcome`.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    service: ConnectArgs,
}

/// Runs the command.
pub(crate) async fn run(args: ApplyArgs) -> anyhow::Result<ExitCode> {
    let asks = !args.yes && !args.dry_run;
    let by_hand = args.output == Output::Text && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if asks && (!by_hand || args.files.iter().any(|file| is_standard_input(file))) {
        let todo = "--yes applies it without asking, --dry-run shows what would be done";
        return Err(Problem::usage("there is nobody to ask whether it shall be applied".to_owned()).todo(todo).into());
    }
    let sources = args.files.iter().map(|path| source(path)).collect::<Result<Vec<_>, _>>()?;
    let declared = read::read(&sources).map_err(|faults| told(&sources, &faults))?;
    if args.prune && !declared.says_exports {
        let problem = Problem::usage("--prune would remove every export: no file declares any".to_owned());
        return Err(problem.todo("write `exports: {}` if that is what you want").into());
    }
    let tenant = tenant(&args, &declared)?;
    let service = Service { client: args.service.connect().await?, args: &args.service, tenant: &tenant };
    let state = service.state(&declared).await?;
    let faults = declared.refresh.as_ref().map(refresh::faults).unwrap_or_default();
    let plan = match plan::plan(&declared, &state, args.prune) {
        Ok(plan) if faults.is_empty() => plan,
        Ok(_) => return Err(told(&sources, &faults).into()),
        Err(more) => return Err(told(&sources, &[more, faults].concat()).into()),
    };
    if plan.steps.is_empty() {
        if args.output == Output::Text {
            write_line(&format!("nothing to do: {} as declared", plan.unchanged))?;
            show::left_alone(&plan).map(|text| write_line(&text)).transpose()?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let folders: Vec<&Path> = args.files.iter().map(|file| folder(file)).collect();
    let keys = carry::keys(&plan, &declared, &folders).map_err(|faults| told(&sources, &faults))?;
    if args.output == Output::Text {
        show::lines(&plan).iter().try_for_each(|line| write_line(line))?;
        write_line(&show::summary(&plan))?;
        show::left_alone(&plan).map(|text| write_line(&text)).transpose()?;
    }
    let carrier =
        Carrier { service, declared: &declared, plan: &plan, keys, skip_verification: args.skip_verification };
    carrier.check().await.map_err(|refused| problem(&sources, refused).todo("nothing was changed"))?;
    if args.dry_run {
        write_outcomes(&args, &plan, &tenant, |_| "planned")?;
        return Ok(ExitCode::from(DIFFERS));
    }
    if asks && !confirmed()? {
        return Err(Problem::new("not applied, nothing was changed".to_owned()).into());
    }
    let Carried { done, stopped } = carrier.carry().await;
    let last = plan.steps.len();
    write_outcomes(&args, &plan, &tenant, |at| match &stopped {
        _ if at < done => "done",
        Some(_) if at == done => "failed",
        _ => "not done",
    })?;
    let Some(refused) = stopped else {
        if args.output == Output::Text {
            write_line(&format!("applied: {done} done; {} were so already", plan.unchanged))?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let left = plan.steps[done..].iter().map(plan::Step::title).take(5).collect::<Vec<_>>().join(", ");
    let more = if last - done > 5 { ", …" } else { "" };
    let problem = problem(&sources, refused);
    let todo = format!("{done} of {last} were done; not done: {left}{more}");
    Err(problem.todo(todo).todo("the same command goes on from there").into())
}

/// In JSON, each step and what became of it.
fn write_outcomes<'a>(
    args: &ApplyArgs,
    plan: &Plan,
    tenant: &str,
    outcome: impl Fn(usize) -> &'a str,
) -> anyhow::Result<()> {
    if args.output != Output::Json {
        return Ok(());
    }
    for (at, step) in plan.steps.iter().enumerate() {
        let action = match step.action {
            Action::Create => "create",
            Action::Update => "update",
            Action::Remove => "remove",
        };
        let fields: Vec<&str> = step.changes.iter().map(|change| change.field).collect();
        let line = serde_json::json!({
            "name": step.name(tenant), "action": action, "fields": fields, "outcome": outcome(at),
        });
        write_line(&line.to_string())?;
    }
    Ok(())
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Where the paths of a file begin.
fn folder(path: &Path) -> &Path {
    if is_standard_input(path) { Path::new("") } else { path.parent().unwrap_or(Path::new("")) }
}

fn source(path: &Path) -> Result<Source, Problem> {
    if is_standard_input(path) {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| Problem::new(format!("standard input cannot be read: {error}")))?;
        return Ok(Source { name: "standard input".to_owned(), text });
    }
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => Err(Problem::new(format!("{name} cannot be read: {error}"))),
    }
}

/// Which tenant is meant; a file that says another one than the command line is not for it.
fn tenant(args: &ApplyArgs, declared: &Declared) -> Result<String, Problem> {
    match (&args.tenant, &declared.tenant) {
        (Some(given), Some((said, _))) if given != said => {
            Err(Problem::usage(format!("the file is for the tenant `{said}`, and the command line says `{given}`"))
                .todo("take `tenant` out of the file, or leave --tenant and FERRY_TENANT out"))
        }
        (Some(tenant), _) | (None, Some((tenant, _))) => Ok(tenant.clone()),
        (None, None) => Err(Problem::usage("it is not said which tenant is meant".to_owned())
            .todo("give --tenant or FERRY_TENANT, or write `tenant: ID` into the file")),
    }
}

/// All that is wrong, each with its place: file, line and column.
fn told(sources: &[Source], faults: &[Fault]) -> Problem {
    let count = if faults.len() == 1 { String::new() } else { format!(", for {} reasons", faults.len()) };
    let problem = Problem::new(format!("this cannot be applied{count}"));
    faults.iter().fold(problem, |problem, fault| {
        problem.todo(match &fault.place {
            None => fault.text.clone(),
            Some(place) => format!("{}:{}:{}: {}", sources[place.file].name, place.line, place.column, fault.text),
        })
    })
}

fn problem(sources: &[Source], refused: Refused) -> Problem {
    match refused {
        Refused::Faults(faults) => told(sources, &faults),
        Refused::Problem(problem) => problem,
    }
}

/// Asks on the terminal. Everything but `yes` is a no.
fn confirmed() -> std::io::Result<bool> {
    eprint!("Apply this? Only `yes` is a yes: ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
