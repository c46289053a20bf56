//! Runs in words.

use crate::client::plain;
use ferry_domain::Timestamp;
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::{PauseReason, Phase, State};
use indicatif::HumanCount;
use std::fmt::Write as _;
use std::time::Duration;

/// How much of an id tells runs apart: its last group is random.
const SHORT: usize = 12;

/// A time of the API as Ferry's own.
fn at(time: prost_types::Timestamp) -> Timestamp {
    Timestamp::from_millis(time.seconds.saturating_mul(1_000).saturating_add(i64::from(time.nanos) / 1_000_000))
}

/// The id of a run's export.
pub(super) fn export_of(run: &pb::Run) -> &str {
    run.name.split('/').nth(3).unwrap_or_default()
}

/// The end of a run's id; names the run wherever one is asked for.
pub(super) fn short_id(run: &pb::Run) -> &str {
    let from = run.uid.len().saturating_sub(SHORT);
    run.uid.get(from..).unwrap_or(&run.uid)
}

/// The last part of a name.
pub(super) fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

pub(super) fn has_ended(run: &pb::Run) -> bool {
    run.end_time.is_some()
}

/// Where a run stands. States of a newer service are told by whether it has ended.
pub(super) fn state(run: &pb::Run) -> String {
    match run.state() {
        State::Unspecified if has_ended(run) => "ended".to_owned(),
        State::Unspecified => "going on".to_owned(),
        state => words(state.as_str_name(), "STATE_"),
    }
}

/// What a run does now: its phase while it is carried out, else its state.
pub(super) fn doing(run: &pb::Run) -> String {
    match (run.state(), run.phase()) {
        (State::Processing, Phase::Unspecified) => "beginning".to_owned(),
        (State::Processing, phase) => words(phase.as_str_name(), "PHASE_"),
        (State::AwaitingApproval, _) => "held".to_owned(),
        _ => state(run),
    }
}

/// A value of an enumeration as people write it.
pub(super) fn words(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', " ")
}

/// What a run waits for; nothing if it does not wait.
pub(super) fn waits_for(run: &pb::Run) -> Option<String> {
    let text = match run.state() {
        State::Queued => "waits for a worker".to_owned(),
        State::AwaitingApproval => {
            let approval = run.approval.clone().unwrap_or_default();
            let until = approval.expire_time.map(|time| format!(" until {}", minute(at(time)))).unwrap_or_default();
            let why = approval.reasons.join("; ");
            let colon = if why.is_empty() { "" } else { ": " };
            format!("waits for another administrator's approval{until}{colon}{why}")
        }
        State::Paused => {
            let what = match run.pause_reason() {
                PauseReason::Credentials => "waits for an API key that the destination takes",
                PauseReason::Account => "waits for the owner of the destination's account",
                PauseReason::RetryAfter => "waits since the destination asked for it",
                PauseReason::Unspecified => "waits",
            };
            let when = run.resume_time.map(|time| format!(", goes on by itself at {}", minute(at(time))));
            format!(
                "{what}{}{}",
                when.unwrap_or_default(),
                error(run).map(|error| format!(" ({error})")).unwrap_or_default()
            )
        }
        State::Cancelling => "was asked to stop: what was sent is being settled".to_owned(),
        _ => return None,
    };
    Some(plain(&text))
}

/// Why a run waits or ended, with who can mend it.
pub(super) fn error(run: &pb::Run) -> Option<String> {
    let error = run.error.as_ref()?;
    let message = error.status.as_ref().map(|status| status.message.clone()).unwrap_or_default();
    let who = match error.culprit() {
        pb::run_error::Culprit::User => ", for whoever configured it",
        pb::run_error::Culprit::Destination => ", at the destination",
        pb::run_error::Culprit::System => ", for the operator",
        pb::run_error::Culprit::Unspecified => "",
    };
    Some(plain(&format!("{}{who}: {message}", error.reason)))
}

/// How many people have an outcome, of how many who go or leave. The second is 0 before the run is planned.
pub(super) fn progress(run: &pb::Run) -> (i64, i64) {
    let counts = run.counts.unwrap_or_default();
    let done = counts.confirmed + counts.refused + counts.unknown;
    let left = counts.removals_confirmed + counts.removals_refused + counts.removals_unknown;
    let members = counts.members - counts.rejected - counts.twins - counts.excluded - counts.unchanged;
    let total = if run.batches_total > 0 || has_ended(run) { members + counts.removals } else { 0 };
    (done + left, total.max(0))
}

/// What came of a run: the counts that say something.
pub(super) fn account(run: &pb::Run) -> String {
    let counts = run.counts.unwrap_or_default();
    let mut text = format!("{} of {} people confirmed", number(counts.confirmed), number(counts.members));
    for (count, what) in [
        (counts.unchanged, "unchanged"),
        (counts.twins, "twins"),
        (counts.rejected, "rejected"),
        (counts.excluded, "excluded"),
        (counts.refused, "refused"),
        (counts.unknown, "unknown"),
        (counts.not_sent, "not sent"),
        (counts.removals_confirmed, "removed"),
        (counts.removals_refused + counts.removals_unknown + counts.removals_not_sent, "not removed"),
    ] {
        if count > 0 {
            let _infallible = write!(text, ", {} {what}", number(count));
        }
    }
    text
}

/// `1,234`.
pub(super) fn number(count: i64) -> String {
    HumanCount(u64::try_from(count).unwrap_or(0)).to_string()
}

/// How long a run took, or has taken up to now.
pub(super) fn took(run: &pb::Run, now: Timestamp) -> Option<Duration> {
    let start = at(run.start_time?);
    let end = run.end_time.map_or(now, at);
    Some(end.since(start))
}

/// When a run was asked for.
pub(super) fn created(run: &pb::Run) -> String {
    run.create_time.map(|time| minute(at(time))).unwrap_or_default()
}

/// How long after `now` a run should be done, by the service's own estimate.
pub(super) fn estimate(run: &pb::Run, now: Timestamp) -> Option<Duration> {
    let end = at(run.estimated_end_time?);
    (end > now).then(|| end.since(now))
}

/// `2026-11-28 20:31`, in UTC.
pub(super) fn minute(time: Timestamp) -> String {
    time.to_rfc3339().get(..16).unwrap_or_default().replace('T', " ")
}

/// A time that is left, so coarse that it does not flicker.
pub(super) fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    exact(Duration::from_secs(if seconds < 60 { seconds } else { seconds / 10 * 10 }))
}

/// A time that is over.
pub(super) fn exact(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_roughly_and_what_is_over_exactly() {
        let told = |seconds: u64| (rough(Duration::from_secs(seconds)), exact(Duration::from_secs(seconds)));
        assert_eq!(told(0), ("0s".to_owned(), "0s".to_owned()));
        assert_eq!(told(59), ("59s".to_owned(), "59s".to_owned()));
        assert_eq!(told(125), ("2m 00s".to_owned(), "2m 05s".to_owned()));
        assert_eq!(told(7_384), ("2h 03m".to_owned(), "2h 03m".to_owned()));
        assert_eq!(told(400_000).0, "4d");
        assert_eq!(rough(Duration::from_millis(1)), "1s", "not over before it is over");
    }
}
