//! The state of imports.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Call};
use crate::clock::{Clock, Micros, SECOND, date_and_time};
use crate::faults::FaultKind;
use crate::journal::Ended;
use crate::store::{Batch, Phase, State};

/// `GET import/info`.
pub(crate) fn info(state: &State, call: &Call<'_>, now: Micros) -> Answer {
    let Some(id) = call.parameter("batchId").filter(|id| !id.is_empty()) else {
        return Answer::json(400, &json!({"success": 0, "message": "'batchId' is a required field."}));
    };
    let batch = Uuid::parse_str(&id).ok().and_then(|id| state.batch(id));
    let batch = batch.filter(|batch| batch.account == call.host);
    // What an unknown id is answered is not documented; the same as one not looked at yet is the likely thing.
    let phase = batch.map_or(Phase::Unassigned, |batch| batch.phase(now));
    let status = match phase {
        Phase::Unassigned => json!(false),
        Phase::Waiting => json!("waiting"),
        Phase::Claimed => json!("claimed"),
        Phase::Active => json!("active"),
        Phase::Ended(Ended::Completed) => json!("completed"),
        Phase::Ended(Ended::Failed) => json!("failed"),
        Phase::Ended(Ended::Interrupted) => json!("interrupted"),
    };
    let (mut success, mut failure) = (Vec::new(), Vec::new());
    if let (Phase::Ended(_), Some(outcome)) = (phase, batch.and_then(|batch| batch.outcome.as_ref())) {
        success = outcome.success.iter().map(u32::to_string).collect();
        failure = outcome.failure.iter().map(ToString::to_string).collect();
        spoil_failures(call.fault, &mut failure);
    }
    Answer::json(200, &json!({"status": status, "success": success, "failure": failure}))
}

fn spoil_failures(fault: Option<&FaultKind>, failure: &mut Vec<String>) {
    match fault {
        Some(FaultKind::FailureInCapitals) => failure.iter_mut().for_each(|email| *email = email.to_uppercase()),
        Some(FaultKind::FailureOfStranger) => failure.push("never.sent@stranger.example".to_owned()),
        Some(FaultKind::FailureTwice) => failure.extend(failure.clone()),
        // A wildcard, because all other kinds strike elsewhere.
        _ => {}
    }
}

/// `GET import/bulk_import`: sums by day, without batch ids.
pub(crate) fn totals(state: &State, call: &Call<'_>, clock: &Clock, now: Micros) -> Answer {
    let week = 7 * 86_400 * SECOND;
    let (mut outstanding, mut completed) = (BTreeMap::new(), BTreeMap::new());
    for batch in state.batches(call.host) {
        match &batch.outcome {
            None => add(&mut outstanding, clock, batch.queued_at, batch),
            Some(outcome) if outcome.ended_at + week >= now => add(&mut completed, clock, outcome.ended_at, batch),
            Some(_) => {}
        }
    }
    let body = json!({"outstanding": by_day(outstanding), "recentlyCompleted": by_day(completed)});
    Answer::json(200, &body)
}

type Days = BTreeMap<String, (u64, u64)>;

fn add(days: &mut Days, clock: &Clock, at: Micros, batch: &Batch) {
    let (date, _) = date_and_time(clock.unix_seconds(at));
    let (batches, contacts) = days.entry(date).or_default();
    *batches += 1;
    *contacts += u64::from(batch.n_contacts);
}

fn by_day(days: Days) -> Vec<Value> {
    days.into_iter()
        .map(|(date, (batches, contacts))| {
            json!({"forDate": date, "batches": batches.to_string(), "contacts": contacts.to_string()})
        })
        .collect()
}
