#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod properties;
mod table;

use super::*;

/// Seconds since 1970 of a UTC time.
fn utc(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn times(days: &[u8], times: &[&str], zone: &str) -> RefreshTimes {
    let days = days.iter().fold(Days::default(), |days, day| days.and(*day).unwrap());
    let times: Vec<TimeOfDay> = times.iter().map(|time| TimeOfDay::parse(time).unwrap()).collect();
    RefreshTimes::new(days, &times, Zone::parse(zone).unwrap()).unwrap()
}

fn cron(text: &str, zone: &str) -> Recurrence {
    Recurrence::parse(text, zone).unwrap()
}

#[test]
fn s02_tuesday_and_friday_half_past_eight_in_berlin_over_both_changes() {
    let times = times(&[2, 5], &["08:30"], "Europe/Berlin");
    for (after, next) in [
        ("2026-03-27T07:30:00Z", "2026-03-31T06:30:00Z"),
        ("2026-03-27T07:29:59Z", "2026-03-27T07:30:00Z"),
        ("2026-10-23T06:30:00Z", "2026-10-27T07:30:00Z"),
    ] {
        assert_eq!(times.next_after(utc(after)), Some(utc(next)), "{after}");
    }
}

#[test]
fn a_time_that_is_left_out_takes_place_at_the_change_and_one_that_comes_twice_the_first_time() {
    let daily = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(daily.next_after(utc("2026-03-28T12:00:00Z")), Some(utc("2026-03-29T01:00:00Z")), "at the change");
    assert_eq!(daily.next_after(utc("2026-03-29T01:00:00Z")), Some(utc("2026-03-30T00:30:00Z")));
    assert_eq!(daily.next_after(utc("2026-10-24T12:00:00Z")), Some(utc("2026-10-25T00:30:00Z")), "the first time");
    assert_eq!(daily.next_after(utc("2026-10-25T00:30:00Z")), Some(utc("2026-10-26T01:30:00Z")), "and no other");
    // Samoa left out a whole day.
    let samoa = times(&[1, 2, 3, 4, 5, 6, 7], &["12:00"], "Pacific/Apia");
    assert_eq!(samoa.next_after(utc("2011-12-29T23:00:00Z")), Some(utc("2011-12-30T10:00:00Z")));
    assert_eq!(samoa.next_after(utc("2011-12-30T10:00:00Z")), Some(utc("2011-12-30T22:00:00Z")));
}

#[test]
fn a_cron_that_never_takes_place_is_refused() {
    for never in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30 feb */2", "0 0 31 4 */1"] {
        assert_eq!(Cron::parse(never).err(), Some(CronError::Never), "{never}");
    }
    // The day of the week is enough where both are given.
    assert!(Cron::parse("0 0 30 2 mon").is_ok());
    let leap = cron("0 0 29 2 */7", "UTC");
    assert_eq!(leap.next_after(utc("2026-01-01T00:00:00Z")), Some(utc("2032-02-29T00:00:00Z")), "a Sunday");
    let far = leap.next_after(utc("2088-02-29T00:00:00Z"));
    assert_eq!(far, Some(utc("2128-02-29T00:00:00Z")), "40 years, since 2100 is none");
}

use crate::cron::Cron;

#[test]
fn fields_of_cron_that_are_none_are_refused() {
    let malformed = [
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * 0 *",
        "* * * * 8",
        "a * * * *",
        "*/0 * * * *",
        "5/10 * * * *",
        "5-1 * * * *",
        "1,,2 * * * *",
        ", * * * *",
        "1- * * * *",
        "-1 * * * *",
        "+1 * * * *",
        "001 * * * *",
        "* * * january *",
        "* * * * sunday",
        "*-5 * * * *",
        "1/ * * * *",
        "* * L * *",
        "* * * * 5#2",
        "? * * * *",
        "1-2-3 * * * *",
        "* * * * mon-sun",
    ];
    for text in malformed {
        assert!(matches!(Cron::parse(text), Err(CronError::Malformed { .. })), "{text}: {:?}", Cron::parse(text));
    }
    for (text, fields) in [("", 0), ("* * * *", 4), ("* * * * * *", 6), ("@daily", 1)] {
        assert_eq!(Cron::parse(text).err(), Some(CronError::Fields(fields)), "{text}");
    }
    let long = format!("{} * * * *", vec!["1"; 60].join(","));
    assert_eq!(Cron::parse(&long).err(), Some(CronError::TooLong));
    for same in [("0 0 * JAN Mon", "0 0 * 1 1"), ("0 0 * * 7", "0 0 * * 0"), ("0 0 * * 0-6", "0 0 * * sun-sat")] {
        let (one, other) = (cron(same.0, "UTC"), cron(same.1, "UTC"));
        let after = utc("2026-05-05T05:05:05Z");
        assert_eq!(one.next_after(after), other.next_after(after), "{same:?}");
    }
}

#[test]
fn s03_a_fifth_time_is_refused_and_so_is_none_or_one_twice() {
    let zone = || Zone::parse("UTC").unwrap();
    let read =
        |texts: &[&str]| -> Vec<TimeOfDay> { texts.iter().map(|text| TimeOfDay::parse(text).unwrap()).collect() };
    let five = read(&["00:00", "01:00", "02:00", "03:00", "04:00"]);
    assert_eq!(RefreshTimes::new(Days::ALL, &five, zone()).err(), Some(RefreshError::Times(5)));
    assert!(RefreshTimes::new(Days::ALL, &five[..4], zone()).is_ok());
    assert_eq!(RefreshTimes::new(Days::ALL, &[], zone()).err(), Some(RefreshError::Times(0)));
    let twice = read(&["08:30", "08:30"]);
    assert!(matches!(RefreshTimes::new(Days::ALL, &twice, zone()), Err(RefreshError::Twice(_))));
    assert_eq!(RefreshTimes::new(Days::default(), &five[..1], zone()).err(), Some(RefreshError::NoDay));
    for text in ["24:00", "8:30", "08:60", "0830", "08:3x", "", "08:300", "-1:00", "٠٨:٣٠"] {
        assert!(TimeOfDay::parse(text).is_err(), "{text}");
    }
    assert_eq!(TimeOfDay::parse("08:05").unwrap().to_string(), "08:05");
    assert!(Days::default().and(0).is_none() && Days::default().and(8).is_none() && Days::ALL.and(1).is_none());
    assert_eq!(Days::default().and(7).unwrap().and(2).unwrap().list(), [2, 7]);
}

#[test]
fn s10_zones_are_listed_and_an_unknown_one_is_refused() {
    let all = Zone::all();
    assert!(all.len() > 400, "{}", all.len());
    assert!(all.windows(2).all(|pair| pair[0].name() < pair[1].name()));
    for name in ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC", "Etc/GMT+12"] {
        assert!(all.iter().any(|zone| zone.name() == name), "{name}");
    }
    let offsets = all.iter().map(|zone| zone.offset_seconds(utc("2026-07-01T00:00:00Z")));
    assert!(offsets.clone().all(|offset| (-12 * 3_600..=14 * 3_600).contains(&offset)));
    let lord_howe = Zone::parse("Australia/Lord_Howe").unwrap();
    assert_eq!(lord_howe.offset_seconds(utc("2026-01-01T00:00:00Z")), 11 * 3_600);
    assert_eq!(lord_howe.offset_seconds(utc("2026-07-01T00:00:00Z")), 10 * 3_600 + 1_800);
    for unknown in ["", "Europe/Atlantis", "europe/berlin", "+02:00", "CEST", "localtime", "Factory", "../etc/passwd"] {
        assert!(Zone::parse(unknown).is_err(), "{unknown}");
    }
}
