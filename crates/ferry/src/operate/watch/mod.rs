//! `ferry runs watch`.

mod bars;
mod follow;
mod lines;
mod pace;
#[cfg(test)]
mod tests;

use super::names::{Name, ScopeArgs};
use super::{Output, phrases};
use crate::client::{ConnectArgs, Problem};
use bars::Bars;
use clap::Args;
use ferry_domain::Timestamp;
use ferry_proto::v1 as pb;
use follow::{Follower, Told};
use lines::{Json, Lines};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Events that wait for a slow terminal; the service sees to the rest.
const WAITING: usize = 64;
/// How often rate and time left are drawn anew.
const TICK: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct WatchArgs {
    /// What to watch: full names of tenants, exports or runs; with --tenant also EXPORT and EXPORT/RUN.
    #[arg(value_name = "NAME", conflicts_with_all = ["export", "run"])]
    names: Vec<String>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// One run, until it ends: its full name; EXPORT/RUN or its id with --tenant. The end of an id does.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Go on behind this event: the resumeToken of a line that --output json wrote.
    #[arg(long, value_name = "TOKEN")]
    resume_token: Option<String>,
    /// For how long a connection that was cut is tried to be made again, in seconds; 0 for not at all.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    reconnect_for: u64,
    /// With json, each event is a line: a WatchRunsResponse with its resumeToken.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    service: ConnectArgs,
}

/// When something came.
#[derive(Clone, Copy)]
struct Moment {
    instant: Instant,
    wall: Timestamp,
}

impl Moment {
    fn now() -> Self {
        Self { instant: Instant::now(), wall: crate::serve::now() }
    }
}

/// Where it is shown.
trait Screen {
    fn event(&mut self, message: &pb::WatchRunsResponse, now: Moment) -> anyhow::Result<()>;

    /// Something of the connection, for people.
    fn note(&mut self, text: &str) {
        eprintln!("ferry: {text}");
    }

    /// Time has passed.
    fn tick(&mut self, _: Moment) -> anyhow::Result<()> {
        Ok(())
    }

    /// Nothing more comes.
    fn close(&mut self) {}
}

/// Runs the command.
pub(super) async fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let WatchArgs { names, scope, run, resume_token, reconnect_for, output, service } = args;
    let names = match run {
        Some(run) => {
            let client = service.connect().await?;
            vec![scope.run(&run, &service, &client).await?]
        }
        None if names.is_empty() => vec![scope.name()?],
        None => names.iter().map(|name| Name::parse(name, scope.tenant.as_deref())).collect::<Result<_, _>>()?,
    };
    if names.len() > 1 && resume_token.is_some() {
        return Err(Problem::usage("a resume token belongs to one NAME".to_owned()).into());
    }
    let resume_token = resume_token.unwrap_or_default();
    watch(names, &resume_token, Duration::from_secs(reconnect_for), output, service).await
}

/// Watches a run that was just started.
pub(super) async fn one(run: &str, output: Output, service: ConnectArgs) -> anyhow::Result<ExitCode> {
    watch(vec![Name::parse(run, None)?], "", Duration::from_secs(600), output, service).await
}

async fn watch(
    names: Vec<Name>,
    resume_token: &str,
    patience: Duration,
    output: Output,
    service: ConnectArgs,
) -> anyhow::Result<ExitCode> {
    let (watched, is_one) = match names.as_slice() {
        [Name::Run { export, .. }] => (format!("a run of {export}"), true),
        [name] => (name.to_string(), false),
        names => (format!("{} names", names.len()), false),
    };
    let mut screen: Box<dyn Screen> = match output {
        Output::Json => Box::new(Json),
        Output::Text if is_terminal() => Box::new(Bars::new(watched, is_one)?),
        Output::Text => Box::new(Lines::default()),
    };
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let mut followers = JoinSet::new();
    for name in names {
        let follower = Follower::new(service.clone(), name, resume_token.to_owned(), patience, sender.clone());
        followers.spawn(follower.follow());
    }
    drop(sender);
    let shown = show(&mut receiver, screen.as_mut()).await;
    screen.close();
    if !shown? {
        return Ok(ExitCode::from(130));
    }
    let mut code = 0;
    while let Some(ended) = followers.join_next().await {
        code = worse(code, ended?.as_ref().map_or(0, exit_code));
    }
    Ok(ExitCode::from(code))
}

/// Shows what comes until all is over; false if somebody interrupts.
async fn show(receiver: &mut mpsc::Receiver<Told>, screen: &mut dyn Screen) -> anyhow::Result<bool> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            told = receiver.recv() => match told {
                None => return Ok(true),
                Some(Told::Event(message)) => screen.event(&message, Moment::now())?,
                Some(Told::Note(text)) => screen.note(&text),
                Some(Told::Failed(problem)) => return Err(problem.into()),
            },
            _ = ticks.tick() => screen.tick(Moment::now())?,
            caught = &mut interrupted => {
                caught?;
                return Ok(false);
            }
        }
    }
}

/// Whether bars can be drawn.
fn is_terminal() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How a run that has ended is told to whoever waits for the command.
fn exit_code(run: &pb::Run) -> u8 {
    use pb::run::State;
    match run.state() {
        State::Succeeded => 0,
        State::Cancelled | State::Skipped => 4,
        _ if phrases::has_ended(run) => 3,
        _ => 1,
    }
}

/// A failure goes before what somebody wanted.
fn worse(one: u8, other: u8) -> u8 {
    match (one, other) {
        (0, code) | (code, 0) => code,
        (one, other) => one.min(other),
    }
}
