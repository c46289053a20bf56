//! What holds for every schedule, around every change of the clocks.

use super::super::{Days, Recurrence, RefreshTimes, TimeOfDay, Zone};
use proptest::prelude::*;
use std::collections::BTreeSet;

const MINUTE: i64 = 60_000;
/// Zones with whole hours, half hours, changes at midnight, southern summers, a day that was left out, and none.
const ZONES: [&str; 9] = [
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Pacific/Chatham",
    "UTC",
];

fn field(from: u8, to: u8) -> impl Strategy<Value = String> {
    let value = from..=to;
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (2_u8..20).prop_map(|step| format!("*/{step}")),
        3 => prop::collection::vec(value.clone(), 1..4)
            .prop_map(|values| values.iter().map(u8::to_string).collect::<Vec<_>>().join(",")),
        2 => (value.clone(), value).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
    ]
}

fn recurrence() -> impl Strategy<Value = Recurrence> {
    let fields = (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7));
    (fields, prop::sample::select(&ZONES[..])).prop_filter_map("never takes place", |((a, b, c, d, e), zone)| {
        Recurrence::parse(&format!("{a} {b} {c} {d} {e}"), zone).ok()
    })
}

fn refresh() -> impl Strategy<Value = RefreshTimes> {
    let days = prop::collection::btree_set(1_u8..=7, 1..=7);
    let times = prop::collection::btree_set((0_u8..24, 0_u8..60), 1..=4);
    (days, times, prop::sample::select(&ZONES[..])).prop_map(|(days, times, zone)| {
        let days = days.into_iter().fold(Days::default(), |days, day| days.and(day).unwrap());
        let read = |(hour, minute): (u8, u8)| TimeOfDay::parse(&format!("{hour:02}:{minute:02}")).unwrap();
        let times: Vec<TimeOfDay> = times.into_iter().map(read).collect();
        RefreshTimes::new(days, &times, Zone::parse(zone).unwrap()).unwrap()
    })
}

/// From 2010 to 2037.
fn instant() -> impl Strategy<Value = i64> {
    1_262_304_000_000..2_145_916_800_000_i64
}

/// Later, on a whole minute, no earlier for a later question, and the same from everywhere in between.
fn check(next: impl Fn(i64) -> Option<i64>, at: i64, later: i64) -> Result<(), TestCaseError> {
    let found = next(at).unwrap();
    prop_assert!(found > at && found % MINUTE == 0);
    prop_assert!(next(at + later).unwrap() >= found, "a later question finds nothing earlier");
    if at + later < found {
        prop_assert_eq!(next(at + later).unwrap(), found, "nothing lies between");
    }
    prop_assert_eq!(next(found - 1).unwrap(), found);
    prop_assert!(next(found).unwrap() > found);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_next_instant_is_later_and_nothing_lies_between(
        recurrence in recurrence(), refresh in refresh(), at in instant(), later in 0..200_000_000_i64,
    ) {
        check(|at| recurrence.next_after(at), at, later)?;
        check(|at| refresh.next_after(at), at, later)?;
    }

    /// Walking finds exactly what asking each minute for "is something due until here" finds.
    #[test]
    fn nothing_is_skipped(refresh in refresh(), at in instant()) {
        let end = at + 3 * 86_400_000;
        let walked: BTreeSet<i64> =
            std::iter::successors(refresh.next_after(at), |at| refresh.next_after(*at)).take_while(|at| *at <= end).collect();
        let minutes = (at..=end).step_by(usize::try_from(MINUTE).unwrap());
        let asked: BTreeSet<i64> = minutes.filter_map(|at| refresh.next_after(at)).filter(|at| *at <= end).collect();
        prop_assert_eq!(walked, asked);
    }

    #[test]
    fn whatever_is_written_is_read_or_refused(text in "[0-9*/, a-z-]{0,30}", zone in "[A-Za-z/_+0-9-]{0,20}") {
        let _any = Recurrence::parse(&text, &zone);
        let _any = Recurrence::parse(&text, "UTC").map(|recurrence| recurrence.next_after(0));
    }
}
