//! The five fields of cron: minute, hour, day of month, month, day of week.
//!
//! A field is a list of `*`, a value, or a range `a-b`, each but a single value with a step `/n` if wanted; a value may
//! be a name of three letters where the field has names. Sunday is 0 or 7. As in every cron, a day counts if the day of
//! month *or* the day of week fits, where neither field begins with `*`; else both must.

use crate::CRON_CHARS;
use crate::local::{self, LocalTimes};
use jiff::civil::Date;

/// Why an expression is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// More characters than are read.
    #[error("must have at most {CRON_CHARS} characters")]
    TooLong,
    /// More or less than five fields.
    #[error("must have five fields (minute, hour, day of month, month, day of week), and has {0}")]
    Fields(usize),
    /// A field that cannot be read.
    #[error("its {field} `{text}` is not understood; it is a list of values {from} to {to}, ranges and steps, or `*`")]
    Malformed {
        /// Which field.
        field: &'static str,
        /// As it was written.
        text: String,
        /// The least value.
        from: u8,
        /// The greatest.
        to: u8,
    },
    /// Like 30 February.
    #[error("never takes place; there is no such day")]
    Never,
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cron {
    minutes: Vec<u16>,
    days_of_month: u64,
    months: u64,
    days_of_week: u64,
    either_day: bool,
}

struct Field {
    name: &'static str,
    from: u8,
    to: u8,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", from: 0, to: 59, names: &[] },
    Field { name: "hour", from: 0, to: 23, names: &[] },
    Field { name: "day of month", from: 1, to: 31, names: &[] },
    Field { name: "month", from: 1, to: 12, names: &MONTHS },
    Field { name: "day of week", from: 0, to: 7, names: &WEEKDAYS },
];

impl Cron {
    pub(crate) fn parse(text: &str) -> Result<Self, CronError> {
        if text.chars().count() > CRON_CHARS {
            return Err(CronError::TooLong);
        }
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = parts[..] else {
            return Err(CronError::Fields(parts.len()));
        };
        let [of_minutes, of_hours, of_days, of_months, of_weekdays] = &FIELDS;
        let (minutes, hours) = (of_minutes.read(minute)?, of_hours.read(hour)?);
        let minutes_of_day = (0..24_u16).filter(|hour| hours & (1 << hour) != 0).flat_map(|hour| {
            (0..60).filter(|minute| minutes & (1 << minute) != 0).map(move |minute| hour * 60 + minute)
        });
        let mut days_of_week = of_weekdays.read(day_of_week)?;
        // Both of its numbers are Sunday.
        if days_of_week & (1 << 7) != 0 {
            days_of_week |= 1;
        }
        let cron = Self {
            minutes: minutes_of_day.collect(),
            days_of_month: of_days.read(day_of_month)?,
            months: of_months.read(month)?,
            days_of_week,
            either_day: !day_of_month.starts_with('*') && !day_of_week.starts_with('*'),
        };
        if local::ever(&cron) { Ok(cron) } else { Err(CronError::Never) }
    }
}

impl LocalTimes for Cron {
    fn takes(&self, day: Date) -> bool {
        let has = |set: u64, value: i8| u32::try_from(value).is_ok_and(|value| set & (1 << value) != 0);
        let of_month = has(self.days_of_month, day.day());
        let of_week = has(self.days_of_week, day.weekday().to_sunday_zero_offset());
        let fits = if self.either_day { of_month || of_week } else { of_month && of_week };
        has(self.months, day.month()) && fits
    }

    fn minutes(&self) -> &[u16] {
        &self.minutes
    }
}

impl Field {
    /// The values as bits.
    fn read(&self, text: &str) -> Result<u64, CronError> {
        let malformed = || {
            let text = text.to_owned();
            CronError::Malformed { field: self.name, text, from: self.from, to: self.to }
        };
        let mut set = 0_u64;
        for part in text.split(',') {
            set |= self.part(part).ok_or_else(malformed)?;
        }
        Ok(set)
    }

    fn part(&self, text: &str) -> Option<u64> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (self.from, self.last()),
            (_, Some((from, to))) => (self.value(from)?, self.value(to)?),
            // A step needs something to step through.
            (_, None) if step.is_some() => return None,
            (_, None) => (self.value(range)?, self.value(range)?),
        };
        if from > to {
            return None;
        }
        let steps = (from..=to).step_by(usize::from(step.unwrap_or(1)));
        Some(steps.fold(0, |set, value| set | 1 << value))
    }

    /// What `*` goes up to: Sunday is not counted twice.
    fn last(&self) -> u8 {
        if self.to == 7 { 6 } else { self.to }
    }

    fn value(&self, text: &str) -> Option<u8> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(at) => u8::try_from(at).ok()? + self.from,
            None => number(text)?,
        };
        (self.from..=self.to).contains(&value).then_some(value)
    }
}

/// One or two digits, and nothing else.
fn number(text: &str) -> Option<u8> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}
