//! `ferry runs list`.

use super::names::ScopeArgs;
use super::table::{self, Column};
use super::{Output, phrases, shown, write_json, write_line};
use crate::client::ConnectArgs;
use clap::{Args, ValueEnum};
use ferry_domain::Timestamp;
use ferry_proto::v1 as pb;

/// The largest page.
const PAGE: i32 = 500;

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Runs in this state alone; may be given more than once.
    #[arg(long = "state", value_enum, value_name = "STATE")]
    states: Vec<StateArg>,
    /// So many runs at most; 0 for all.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    service: ConnectArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StateArg {
    Queued,
    Processing,
    AwaitingApproval,
    Paused,
    Cancelling,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
    TimedOut,
}

impl StateArg {
    fn state(self) -> pb::run::State {
        use pb::run::State;
        match self {
            Self::Queued => State::Queued,
            Self::Processing => State::Processing,
            Self::AwaitingApproval => State::AwaitingApproval,
            Self::Paused => State::Paused,
            Self::Cancelling => State::Cancelling,
            Self::Succeeded => State::Succeeded,
            Self::Failed => State::Failed,
            Self::Skipped => State::Skipped,
            Self::Cancelled => State::Cancelled,
            Self::TimedOut => State::TimedOut,
        }
    }
}

pub(super) async fn run(args: ListArgs) -> anyhow::Result<()> {
    let ListArgs { scope, states, limit, output, service } = args;
    let parent = scope.name()?.parent();
    let mut client = service.connect().await?;
    let limit = if limit == 0 { usize::MAX } else { limit };
    let wanted = |run: &pb::Run| states.is_empty() || states.iter().any(|state| state.state() == run.state());
    // One more than is wanted tells whether there are more. With states, how many fit is not known before.
    let page_size =
        if states.is_empty() { i32::try_from(limit.saturating_add(1)).unwrap_or(PAGE).min(PAGE) } else { PAGE };
    let mut request = pb::ListRunsRequest { parent: parent.clone(), page_size, page_token: String::new() };
    let (mut rows, mut written, mut more) = (Vec::new(), 0, false);
    loop {
        let page = service.ask(client.runs.list_runs(request.clone())).await?;
        for run in page.runs.into_iter().filter(wanted) {
            more = written == limit;
            if more {
                break;
            }
            written += 1;
            match output {
                // As they come: there may be many.
                Output::Json => write_json(&shown(run))?,
                Output::Text => rows.push(row(&run, crate::serve::now())),
            }
        }
        if more || page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if written == 0 {
        eprintln!("ferry: {parent} has no {}run", if states.is_empty() { "" } else { "such " });
    } else if output == Output::Text {
        for line in table::lines(&COLUMNS, &rows, table::width()) {
            write_line(&line)?;
        }
    }
    if more {
        eprintln!("ferry: there are more; --limit says how many are shown");
    }
    Ok(())
}

const COLUMNS: [Column; 7] = [
    Column::new("RUN"),
    Column::new("EXPORT").at_least(8),
    Column::new("STATE"),
    Column::new("CREATED (UTC)").rank(3),
    Column::new("CONFIRMED").number().rank(2),
    Column::new("TOOK").number().rank(1),
    Column::new("NOTE").at_least(12),
];

fn row(run: &pb::Run, now: Timestamp) -> Vec<String> {
    let counts = run.counts.unwrap_or_default();
    let note = match &run.error {
        Some(error) => error.reason.clone(),
        None if run.dry_run => "plan only".to_owned(),
        None => phrases::waits_for(run).unwrap_or_default(),
    };
    vec![
        phrases::short_id(run).to_owned(),
        phrases::export_of(run).to_owned(),
        phrases::doing(run),
        phrases::created(run),
        phrases::number(counts.confirmed),
        phrases::took(run, now).map(phrases::exact).unwrap_or_default(),
        note,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use console::measure_text_width;

    #[test]
    fn a_usual_table_is_whole_at_eighty_columns() {
        let run = pb::Run {
            name: "tenants/acme/exports/all-customers/runs/0193a0c4-1111-7222-8333-a1b2c3d4e5f6".to_owned(),
            uid: "0193a0c4-1111-7222-8333-a1b2c3d4e5f6".to_owned(),
            state: pb::run::State::Succeeded.into(),
            counts: Some(pb::RunCounts { confirmed: 1_000_000, ..pb::RunCounts::default() }),
            ..pb::Run::default()
        };
        let failed = pb::Run {
            state: pb::run::State::Failed.into(),
            error: Some(pb::RunError { reason: "CREDENTIALS_REFUSED".to_owned(), ..pb::RunError::default() }),
            ..run.clone()
        };
        let now = Timestamp::from_millis(0);
        let lines = table::lines(&COLUMNS, &[row(&run, now), row(&failed, now)], Some(80));
        assert!(lines.iter().all(|line| measure_text_width(line) <= 80), "{lines:#?}");
        assert!(lines[0].starts_with("RUN           EXPORT") && lines[0].contains("CONFIRMED"), "{lines:#?}");
        assert!(lines[1].contains("a1b2c3d4e5f6") && lines[1].contains("1,000,000"), "{lines:#?}");
        assert!(lines[2].contains("CREDENTIALS"), "{lines:#?}");
    }
}
