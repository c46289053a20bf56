//! `kill -9` at every place that matters, judged by the simulator's journal.
//!
//! | | the service dies | how |
//! |---|---|---|
//! | K01 | with a request for a run, nothing committed | point `run-asked` |
//! | K02 | the run committed, the answer not sent | `run-queued` |
//! | K03 | half of the snapshot read; the plan written, not adopted | `row-rendered`, `plan-written` |
//! | K04 | the plan adopted | `plan-adopted` |
//! | K05 | the run claimed, nothing sent | `run-claimed` |
//! | K06 | an intent committed, not connected | `intent-committed` |
//! | K07 | connected, no byte of the request written | the wire lets nothing through |
//! | K08 | half a body written | the wire stops in the middle of it |
//! | K09 | the whole request written | the simulator holds its answer |
//! | K10 | the answer in the kernel's buffer | the same, Ferry stopped (SIGSTOP) before the answer leaves |
//! | K11 | the answer read, not committed | `answer-read` |
//! | K12 | inside the answer's transaction; the disk hangs before COMMIT | `answer-written`, `group-written` |
//! | K13 | COMMIT done, nobody told | `group-committed` |
//! | K14 | the answer committed, nothing made of it yet | `answer-committed` |
//! | K15 | waiting for Retry-After | `wait-recorded` |
//! | K16 | about to ask for a result | `poll-granted` |
//! | K17 | the result read, not committed | `result-read` |
//! | K18 | the last batch settled, the run open | `work-done` |
//! | | its refused rows written; its end committed | `refused-written`, `run-ended` |
//! | | the export's next state written, not adopted | `state-folded` |
//! | K19 | the run ended, no checkpoint signed | `run-ended`, `checkpoint-begun` |
//! | K20 | a checkpoint not copied, or half of it | `checkpoint-committed`, `checkpoint-half-copied` |
//! | K21 | a connection tombstoned, its keys there | `connection-tombstoned` |
//! | K22 | its keys destroyed, nobody told | `connection-keys-destroyed`, `connection-removal-recorded` |
//! | K23 | in a rotation of keys | `tests/suite/keys.rs` |
//! | K25 | a second time, while it drains | from outside |
//! | K26 | in the recovery itself, five times running | `batches-read`, `batch-recovered` |
//! | | a batch split, its child not begun | `batch-split` |
//!
//! K24 comes with PostgreSQL.

mod outside;
mod points;
mod random;
mod removal;
mod second;
mod signed;
mod wire;

use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_testkit::judge::{Judge, Open, Verdict, number_on_record, open_attempts, quiet};
use ferry_testkit::{Stage, StageOptions, TENANT, canary, eventually};
use std::ops::Range;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
/// 20 batches.
const PEOPLE: usize = 5_000;
/// What one crash may send twice: four requests on their way, each of 250 profiles.
const EXTRA_PER_CRASH: u64 = 4 * 250;
/// What one request may send twice whose answer is lost, or whose batch the destination gives up.
const EXTRA_PER_FAULT: u64 = 250;
const REQUEST_ID: &str = "6f1f7b0e-2d0b-4a3c-9c55-1f0f6a3f8e21";

/// Who is in the segment when the run begins.
const BEFORE: Range<usize> = 0..PEOPLE;
/// Who is in it after the first crash. A run that read before it sends the others, and no mixture.
const AFTER: Range<usize> = 100..PEOPLE + 100;

fn people(who: Range<usize>) -> String {
    canary::csv(who.rev().map(canary::row))
}

/// A stage with an export, and a run of it that dies now and then.
struct Crash {
    stage: Stage,
    export: String,
    crashes: u64,
    due: Range<usize>,
    /// What the last crash left without an outcome.
    left: Open,
}

impl Crash {
    async fn prepared(time_scale: f64) -> Self {
        let stage = Stage::with(StageOptions { time_scale }).await;
        stage.segment("people", "csv", people(BEFORE).as_bytes());
        stage.create_connection("newsletter").await;
        let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
        let left = Open { decided: 0, undecided: 0 };
        Self { stage, export: export.name, crashes: 0, due: BEFORE, left }
    }

    /// Asks for the run, or for the one that was asked for before: the request id is the same.
    async fn ask(&self) -> Result<pb::Run, tonic::Status> {
        let mut client = self.stage.client("administrator").await;
        let request = pb::RunExportRequest {
            name: self.export.clone(),
            request_id: REQUEST_ID.to_owned(),
            ..pb::RunExportRequest::default()
        };
        Ok(client.exports.run_export(request).await?.into_inner().run.unwrap())
    }

    /// Notes that the service was killed. After the first time the segment is another one.
    async fn crashed(&mut self) {
        self.crashes += 1;
        self.left = open_attempts(&self.stage).await;
        if self.crashes == 1 {
            if number_on_record(&self.stage, "SELECT COUNT(*) FROM plans").await == 0 {
                self.due = AFTER;
            }
            std::fs::write(self.stage.path("segments").join(TENANT).join("people"), people(AFTER)).unwrap();
        }
    }

    async fn kill(&mut self) {
        self.stage.kill();
        self.crashed().await;
    }

    /// Lets the service die at a point, so many times running. It is dead afterwards.
    async fn dies_at(&mut self, point: &str, times: u32) {
        if self.crashes == 0 {
            self.stage.kill();
        }
        for _ in 0..times {
            self.stage.start_to_die(point).await;
            if number_on_record(&self.stage, "SELECT COUNT(*) FROM runs").await == 0 {
                // It may die of this very request.
                let _died = self.ask().await;
            }
            self.stage.died().await;
            self.crashed().await;
        }
    }

    /// Waits for the end of the run, and has it judged; then the service has nothing left to do.
    async fn judged(&mut self, what: &str, most_extra: u64) -> Verdict {
        let run = self.ask().await.unwrap();
        let ended = self.stage.ended(&run.name, SOON).await;
        let runs = number_on_record(&self.stage, "SELECT COUNT(*) FROM runs").await;
        assert_eq!(runs, 1, "{what}: a request that is repeated makes no second run");
        let due = self.due.clone().map(canary::email);
        let verdict = Judge::of(&self.stage, &run.name, due).allowing(most_extra).verdict().await;
        verdict.holds(what);
        let reason = ended.error.as_ref().map(|error| &error.reason);
        assert_eq!((ended.state(), reason), (State::Succeeded, None), "{what}");
        let (confirmed, refused) = (verdict.counts.confirmed, verdict.counts.refused);
        assert_eq!(confirmed + refused, i64::try_from(PEOPLE).unwrap(), "{what}");
        let asked_to_refuse = self.stage.sim.report().faults.contains_key("refuse_contact");
        assert!(refused == 0 || asked_to_refuse, "{what}: {refused} refused");
        quiet(&mut self.stage).await;
        verdict
    }

    /// Runs the export once more. What the crashed run has put there is known: only who is new is sent.
    async fn runs_again(&self, what: &str) {
        let run = self.stage.run(&self.export).await;
        let counts = self.stage.ended(&run.name, SOON).await.counts.unwrap();
        let new = AFTER.end - self.due.end;
        let expected = [PEOPLE - new, new].map(|people| i64::try_from(people).unwrap());
        assert_eq!([counts.unchanged, counts.confirmed], expected, "{what}: {counts:?}");
    }

    /// Waits until the simulator has accepted so many batches.
    async fn accepted(&self, batches: u64) {
        eventually(SOON, || async {
            let seen = self.stage.sim.report().batches_accepted;
            if seen >= batches { Ok(()) } else { Err(seen) }
        })
        .await;
    }
}

#[tokio::test]
async fn the_judge_agrees_with_a_run_on_a_good_day() {
    let mut stage = Stage::new().await;
    let csv = people(0..600) + &canary::row("excluded") + "no address,nobody\n";
    let run = stage.run_csv(&csv).await;
    assert_eq!(run.state(), State::Succeeded);
    let due = (0..600).map(canary::email).chain([canary::email("excluded")]);
    let verdict = Judge::of(&stage, &run.name, due).verdict().await;
    verdict.holds("a good day");
    assert_eq!((verdict.counts.confirmed, verdict.counts.refused, verdict.extra), (600, 1, 0));
    quiet(&mut stage).await;
}

/// In `tests/run --long` this is a release build; in every other one it shows that the search can find something.
#[test]
fn long_a_release_build_holds_no_failpoint() {
    let binary = std::fs::read(ferry_testkit::binary("ferry")).unwrap();
    let holds = |text: &str| binary.windows(text.len()).any(|window| window == text.as_bytes());
    for text in ["FERRY_FAILPOINT", "intent-committed"] {
        assert_eq!(holds(text), cfg!(debug_assertions), "`{text}`");
    }
}
