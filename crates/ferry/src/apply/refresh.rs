//! What is wrong with a refresh schedule by itself. The service checks it only when it stores it, and that is the last
//! step; so what can be seen is looked at before the first.

use super::model::Refresh;
use super::read::Item;
use super::yaml::Fault;
use ferry_proto::v1::refresh_schedule::Cadence;
use ferry_schedule::{TIMES_MAX, TimeOfDay, Zone};

pub(super) fn faults(item: &Item<Refresh>) -> Vec<Fault> {
    let wanted = &item.wanted;
    let mut faults = Vec::new();
    let mut fault = |field: &str, text: String| {
        faults.push(Fault::at(item.place_of(&format!("refresh_schedule.{field}")), format!("{field}: {text}")));
    };
    if let Err(error) = Zone::parse(&wanted.time_zone) {
        fault("time_zone", error.to_string());
    }
    if wanted.times.len() > TIMES_MAX {
        fault("times", format!("must have at most {TIMES_MAX} entries"));
    }
    for (at, time) in wanted.times.iter().enumerate() {
        if let Err(error) = TimeOfDay::parse(time) {
            fault(&format!("times[{at}]"), error.to_string());
        } else if wanted.times[..at].contains(time) {
            fault(&format!("times[{at}]"), "stands twice".to_owned());
        }
    }
    for (at, day) in wanted.days.iter().enumerate() {
        if wanted.days[..at].contains(day) {
            fault(&format!("days[{at}]"), "stands twice".to_owned());
        }
    }
    match (wanted.cadence, wanted.days.is_empty()) {
        (Cadence::Daily, false) => fault("days", "must be empty where it takes place each day".to_owned()),
        (Cadence::Weekly, true) if wanted.active => fault("days", "must name a day while it is active".to_owned()),
        _ => {}
    }
    if wanted.active && wanted.times.is_empty() {
        fault("times", "must have a time while it is active".to_owned());
    }
    faults
}
