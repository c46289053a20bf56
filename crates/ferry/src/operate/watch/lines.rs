//! What is watched as lines: for people where there is no terminal, and for programs.

use super::super::{phrases, write_json, write_line};
use super::pace::Pace;
use super::{Moment, Screen};
use ferry_proto::v1 as pb;
use ferry_proto::v1::watch_runs_response::Event;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Between two lines of a run that tell of progress alone.
const PROGRESS: Duration = Duration::from_secs(10);

/// Each event as a line of JSON.
pub(super) struct Json;

impl Screen for Json {
    fn event(&mut self, message: &pb::WatchRunsResponse, _: Moment) -> anyhow::Result<()> {
        write_json(message)
    }
}

/// A line for each change, and now and then one for the progress.
#[derive(Default)]
pub(super) struct Lines {
    runs: HashMap<String, Seen>,
}

#[derive(Default)]
struct Seen {
    state: String,
    told: Option<Instant>,
    pace: Pace,
}

impl Screen for Lines {
    fn event(&mut self, message: &pb::WatchRunsResponse, now: Moment) -> anyhow::Result<()> {
        match &message.event {
            Some(Event::Run(run)) => match self.line(run, now) {
                Some(line) => Ok(write_line(&line)?),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl Lines {
    /// The line of a run, if it has one now.
    fn line(&mut self, run: &pb::Run, now: Moment) -> Option<String> {
        let seen = self.runs.entry(run.name.clone()).or_default();
        let (done, total) = phrases::progress(run);
        seen.pace.note(now.instant, done);
        let state = state_of(run);
        let is_due = seen.told.is_none_or(|told| now.instant.saturating_duration_since(told) >= PROGRESS);
        if state == seen.state && !is_due {
            return None;
        }
        seen.state = state;
        seen.told = Some(now.instant);
        let mut text = what(run, now);
        if total > 0 && !phrases::has_ended(run) {
            text = format!("{text}: {} of {}", phrases::number(done), phrases::number(total));
            if let Some(rate) = seen.pace.per_minute(now.instant) {
                text = format!("{text}, {}/min", phrases::number(rate));
            }
            if let Some(left) = seen.pace.left(now.instant, total) {
                text = format!("{text}, {} left", phrases::rough(left));
            }
        }
        if phrases::has_ended(run) {
            self.runs.remove(&run.name);
        }
        let time = now.wall.to_rfc3339();
        let time = time.get(..19).unwrap_or_default();
        Some(format!("{time}Z {} {} {text}", phrases::export_of(run), phrases::short_id(run)))
    }
}

/// All but what moves with each batch.
fn state_of(run: &pb::Run) -> String {
    let error = run.error.as_ref().map(|error| error.reason.as_str()).unwrap_or_default();
    let approved = run.approval.as_ref().is_some_and(|approval| !approval.approved_by.is_empty());
    format!(
        "{} {} {} {:?} {} {} {approved} {error}",
        run.state,
        run.phase,
        run.pause_reason,
        run.resume_time,
        run.batches_total,
        run.warnings.len()
    )
}

/// What is said of a run beside its progress.
pub(super) fn what(run: &pb::Run, now: Moment) -> String {
    if phrases::has_ended(run) {
        let took = phrases::took(run, now.wall).map(|took| format!(" in {}", phrases::exact(took)));
        let error = phrases::error(run).map(|error| format!("; {error}")).unwrap_or_default();
        return format!("{}{}: {}{error}", phrases::state(run), took.unwrap_or_default(), phrases::account(run));
    }
    match phrases::waits_for(run) {
        Some(waits) => waits,
        None if run.dry_run => format!("{} (plan only)", phrases::doing(run)),
        None => phrases::doing(run),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::super::tests::{after, run};
    use super::*;

    #[test]
    fn a_change_is_a_line_and_progress_is_one_now_and_then() {
        let mut lines = Lines::default();
        let line = lines.line(&run(0), after(0)).unwrap();
        assert_eq!(line, "2026-11-28T20:31:00Z weekly a1b2c3d4e5f6 sending: 0 of 5,000");
        for second in 1..10 {
            assert_eq!(lines.line(&run(second * 100), after(second)), None);
        }
        let line = lines.line(&run(1_000), after(10)).unwrap();
        assert_eq!(line, "2026-11-28T20:31:10Z weekly a1b2c3d4e5f6 sending: 1,000 of 5,000, 6,000/min, 40s left");
        let paused = pb::Run {
            state: pb::run::State::Paused.into(),
            pause_reason: pb::run::PauseReason::Credentials.into(),
            ..run(1_000)
        };
        let line = lines.line(&paused, after(11)).unwrap();
        assert!(line.contains("waits for an API key that the destination takes: 1,000 of 5,000"), "{line}");
    }

    #[test]
    fn an_end_is_told_with_its_account() {
        let mut ended = run(4_990);
        ended.state = pb::run::State::Succeeded.into();
        let start = ended.create_time.unwrap();
        ended.start_time = Some(start);
        ended.end_time = Some(prost_types::Timestamp { seconds: start.seconds + 125, ..start });
        ended.counts.as_mut().unwrap().refused = 10;
        let line = Lines::default().line(&ended, after(130)).unwrap();
        let expected = "weekly a1b2c3d4e5f6 succeeded in 2m 05s: 4,990 of 5,000 people confirmed, 10 refused";
        assert!(line.ends_with(expected), "{line}");
    }
}
