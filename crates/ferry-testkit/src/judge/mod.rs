//! The judge: compares what Ferry says of a run with the simulator's journal, which is the truth.
//!
//! It works out the outcome of every profile a second time, from the rows of the database, and holds each against what
//! the simulator took. It says what differs by numbers, ids and places, never by an address.
//!
//! ```text
//! no loss          everyone due is confirmed, refused with a reason, unknown or not sent, and is so in one way only
//! bounded resend   nobody was delivered more often than lost answers and kills allow
//! exact record     confirmed is taken; refused and not sent is not; an answer that was lost is unknown
//! record first     no import without an intent; the same batch always makes the same bytes
//! chain            what left is in the run's chain once, with its outcome; the chain is whole and its anchors agree
//! limits           no window exceeded, no request before a wait has passed
//! quiet            one more restart after the end: no request and no changed row
//! ```

mod case;
mod chain;
mod check;
mod record;
mod witness;

pub use chain::whole_chains;
pub use record::{Open, attempts_on_record, change_database, held_database, number_on_record, open_attempts};

pub use witness::{Witness, copied_notes, covered, log_keys};

use crate::Stage;
use case::Case;
use ferry_proto::v1::RunCounts;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a service that has nothing to do is watched. At a stage's usual pace it is half a minute of its time.
const WATCHED: Duration = Duration::from_millis(300);

/// A run to be judged.
pub struct Judge<'a> {
    stage: &'a Stage,
    run: String,
    due: BTreeSet<String>,
    most_extra: u64,
}

/// What the judge found.
#[derive(Debug)]
pub struct Verdict {
    /// What is wrong; nothing if all holds.
    pub findings: Vec<String>,
    /// The run's account.
    pub counts: RunCounts,
    /// Deliveries of a profile beyond its first one.
    pub extra: u64,
}

impl Verdict {
    /// Fails the test unless all holds.
    pub fn holds(&self, what: &str) {
        assert!(self.findings.is_empty(), "{what}: the record is not the truth:\n{}", self.findings.join("\n"));
    }
}

impl<'a> Judge<'a> {
    /// `due`: the addresses of the snapshot that can go, each once.
    pub fn of(stage: &'a Stage, run: &str, due: impl IntoIterator<Item = String>) -> Self {
        let due = due.into_iter().map(|address| address.to_lowercase()).collect();
        Self { stage, run: run.to_owned(), due, most_extra: 0 }
    }

    /// How many deliveries beyond the first are allowed, over all profiles.
    #[must_use]
    pub fn allowing(mut self, most_extra: u64) -> Self {
        self.most_extra = most_extra;
        self
    }

    /// Compares. The run has ended.
    pub async fn verdict(self) -> Verdict {
        let record = record::Record::read(self.stage, &self.run).await;
        let journal = self.stage.journal();
        let history = ferry_sim::read_history(&journal).unwrap();
        let windows = ferry_sim::read_journal(&journal).unwrap().windows_exceeded;
        let case = Case::new(&record, &history, &self.due);
        let mut findings = Vec::new();
        case.no_loss(&mut findings);
        case.exact_record(&mut findings);
        case.record_first(&mut findings);
        case.chain(&mut findings);
        case.waits(&mut findings);
        if windows > 0 {
            findings.push(format!("limits: {windows} requests were over a limit"));
        }
        let extra = case.extra();
        if extra > self.most_extra {
            findings.push(format!("bounded resend: {extra} deliveries too many, {} are allowed", self.most_extra));
        }
        Verdict { findings, counts: record.run.counts.unwrap_or_default(), extra }
    }
}

/// Starts the service once more, when every run has ended: nothing may be sent, and no row may change.
pub async fn quiet(stage: &mut Stage) {
    let requests = |stage: &Stage| stage.sim.report().requests.values().sum::<u64>();
    // The next checkpoint, and the fold of what ended runs sent, are all that a service does by itself.
    covered(stage).await;
    let (before, asked) = (record::all_rows(stage).await, requests(stage));
    stage.kill();
    stage.start().await;
    tokio::time::sleep(WATCHED).await;
    assert_eq!(requests(stage), asked, "a service with nothing to do asks the destination");
    for (table, rows) in record::all_rows(stage).await {
        let changed = before.get(&table).map_or(rows.len(), |before| before.symmetric_difference(&rows).count());
        assert_eq!(changed, 0, "a service with nothing to do changes `{table}`");
    }
}
