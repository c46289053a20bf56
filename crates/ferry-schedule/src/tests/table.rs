//! The instants of whole years against a table that another library made (`tests/data/make_instants.py`).

use super::{cron, times};

const TABLE: &str = include_str!("../../tests/data/instants.csv");

/// All instants from the first of the table on, as many as the table has.
fn walk(zone: &str, schedule: &str, first: i64, count: usize) -> Vec<i64> {
    let next: Box<dyn Fn(i64) -> Option<i64>> = match schedule.split_once(' ').unwrap() {
        ("cron", fields) => {
            let recurrence = cron(fields, zone);
            Box::new(move |after| recurrence.next_after(after))
        }
        ("days", rest) => {
            let (days, list) = rest.split_once(' ').unwrap();
            let days: Vec<u8> = days.bytes().map(|digit| digit - b'0').collect();
            let times = times(&days, &list.split(',').collect::<Vec<_>>(), zone);
            Box::new(move |after| times.next_after(after))
        }
        other => panic!("{other:?}"),
    };
    let mut at = first * 1_000 - 1;
    let mut walked = Vec::with_capacity(count);
    for _ in 0..count {
        at = next(at).unwrap();
        assert_eq!(at % 1_000, 0, "{zone} {schedule}");
        walked.push(at / 1_000);
    }
    walked
}

#[test]
fn s02_the_instants_of_a_year_are_those_of_an_independent_table() {
    let mut instants = 0;
    for line in TABLE.lines() {
        let [zone, year, schedule, list] = line.splitn(4, ';').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let expected: Vec<i64> = list.split(' ').map(|instant| instant.parse().unwrap()).collect();
        let found = walk(zone, schedule, expected[0], expected.len());
        let wrong = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!(wrong, None, "{zone} {year} {schedule}");
        instants += expected.len();
    }
    assert!(TABLE.lines().count() == 32 && instants > 8_000, "{instants} instants");
}
