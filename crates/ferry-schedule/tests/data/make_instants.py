#!/usr/bin/env python3
"""Makes instants.csv: when schedules are due over whole years, by Python's zoneinfo and by brute force.

    python3 make_instants.py > instants.csv

Nothing is shared with the crate. Each UTC minute of the year (and some days around it) is asked what the clocks show
then; the first UTC minute at which a local minute is shown is its instant. A local minute that is shown never belongs to
the UTC minute at which the clocks jumped over it. Which local minutes a schedule has is asked of each one by a matcher
of its own.

Columns: zone, year, schedule, the instants of that local year in seconds since 1970, separated by spaces.
A schedule is `days HH:MM,...` (days as digits, 1 is Monday) or `cron FIELDS`.
"""

import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
CASES = [
    # Both changes are on Sundays at 01:00 UTC: 02:00 to 03:00 is left out in March and comes twice in October.
    ("Europe/Berlin", 2026, ["days 25 08:30", "days 1234567 02:00,02:30,03:00", "days 7 00:00,02:59,03:01,23:59",
                             "cron 30 2 * * *", "cron */15 * * * 7", "cron 0 */3 * * sun", "cron 59 1 29 3 *",
                             "cron 0 3 29 3 *", "cron 30 2 25 10 *", "cron 0 12 13 * fri"]),
    # Summer time began and ended at midnight: the first hour of 4 November was left out, and the last of 17 February
    # came twice.
    ("America/Sao_Paulo", 2018, ["days 25 08:30", "days 1234567 00:00,00:30,23:30", "days 67 00:00,23:00,23:59,01:00",
                                 "cron 30 0 * * *", "cron */20 * * * 0,6", "cron 0 0 4 11 *", "cron 45 23 17 2 *"]),
    # None since 2019.
    ("America/Sao_Paulo", 2026, ["days 25 08:30", "days 1234567 00:00,00:30,23:30", "cron 30 0 * * *",
                                 "cron 0 0 1 */2 *"]),
    # Half an hour: 02:00 to 02:30 is left out in October, and 01:30 to 02:00 comes twice in April.
    ("Australia/Lord_Howe", 2026, ["days 25 08:30", "days 1234567 01:30,01:59,02:00,02:29", "days 7 01:45,02:15,02:30",
                                   "cron 15 2 * * *", "cron */10 1-2 * * 7", "cron 45 1 5 4 *", "cron 20 2 4 10 *"]),
    ("UTC", 2028, ["days 1234567 00:00", "cron 0 0 29 2 *", "cron 0 6 31 * *", "cron 5 4 * * 1-5"]),
]


def field(text, low, high):
    values = set()
    names = {n: i for i, n in enumerate("sun mon tue wed thu fri sat".split())} if high == 7 else {}
    for part in text.split(","):
        part, _, step = part.partition("/")
        step = int(step or 1)
        if part == "*":
            first, last = low, (6 if high == 7 else high)
        else:
            first, _, last = part.partition("-")
            first = names.get(first, first)
            last = names.get(last, last) or first
        values |= {v for v in range(int(first), int(last) + 1) if (v - int(first)) % step == 0}
    return values


def matcher(schedule):
    kind, _, rest = schedule.partition(" ")
    if kind == "days":
        days, _, times = rest.partition(" ")
        times = set(times.split(","))
        return lambda t: str(t.isoweekday()) in days and t.strftime("%H:%M") in times
    texts = rest.split()
    minute, hour, day, month, week = (field(t, *r) for t, r in
                                      zip(texts, [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]))
    either = not texts[2].startswith("*") and not texts[4].startswith("*")

    def fits(t):
        of_month, of_week = t.day in day, (t.isoweekday() % 7 in week or (t.isoweekday() == 7 and 7 in week))
        of_day = (of_month or of_week) if either else (of_month and of_week)
        return t.minute in minute and t.hour in hour and t.month in month and of_day

    return fits


def places(zone, year):
    """Each local minute of the year with its instant."""
    zone = ZoneInfo(zone)
    begin = datetime(year, 1, 1, tzinfo=timezone.utc) - timedelta(days=2)
    shown, placed, last = {}, [], None
    at = begin
    while at < begin + timedelta(days=371):
        local = at.astimezone(zone).replace(tzinfo=None)
        if last is not None:
            jumped = last + MINUTE
            while jumped < local:
                shown.setdefault(jumped, at)
                jumped += MINUTE
        shown.setdefault(local, at)
        last = local
        at += MINUTE
    return sorted((local, at) for local, at in shown.items() if local.year == year)


def main():
    for zone, year, schedules in CASES:
        table = places(zone, year)
        for schedule in schedules:
            fits = matcher(schedule)
            instants = sorted({int(at.timestamp()) for local, at in table if fits(local)})
            print(f"{zone};{year};{schedule};{' '.join(map(str, instants))}")


if __name__ == "__main__":
    sys.exit(main())
