//! What the tests of the screens share, and the exit codes.

use super::*;
use ferry_proto::v1::watch_runs_response::Event;
use std::sync::LazyLock;

/// 2026-11-28 20:31:00 UTC.
const BEGUN: i64 = 1_795_897_860;
static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn after(seconds: u64) -> Moment {
    let since = Duration::from_secs(seconds);
    Moment { instant: *BASE + since, wall: Timestamp::from_millis(BEGUN * 1_000).plus(since) }
}

/// A run that sends to 5,000 people, of whom so many are done.
pub(super) fn run(done: u64) -> pb::Run {
    let confirmed = i64::try_from(done).unwrap_or(i64::MAX);
    pb::Run {
        name: "tenants/acme/exports/weekly/runs/0193a0c4-1111-7222-8333-a1b2c3d4e5f6".to_owned(),
        uid: "0193a0c4-1111-7222-8333-a1b2c3d4e5f6".to_owned(),
        state: pb::run::State::Processing.into(),
        phase: pb::run::Phase::Sending.into(),
        batches_total: 20,
        counts: Some(pb::RunCounts { members: 5_000, confirmed, ..pb::RunCounts::default() }),
        create_time: Some(prost_types::Timestamp { seconds: BEGUN, nanos: 0 }),
        ..pb::Run::default()
    }
}

pub(super) fn message(run: pb::Run) -> pb::WatchRunsResponse {
    pb::WatchRunsResponse { event: Some(Event::Run(run)), resume_token: "token".to_owned() }
}

#[test]
fn an_exit_code_tells_how_a_run_ended() {
    use pb::run::State;
    let ended = |state: State| {
        let run = run(0);
        pb::Run { state: state.into(), end_time: run.create_time, ..run }
    };
    for (state, code) in [
        (State::Succeeded, 0),
        (State::Failed, 3),
        (State::TimedOut, 3),
        (State::Cancelled, 4),
        (State::Skipped, 4),
        (State::Unspecified, 3),
    ] {
        assert_eq!(exit_code(&ended(state)), code, "{state:?}");
    }
    assert_eq!(exit_code(&run(0)), 1, "it has not ended");
    assert_eq!([worse(0, 4), worse(4, 3), worse(3, 0), worse(0, 0)], [4, 3, 3, 0]);
}
