//! What a verification found.

use crate::Hash;
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

/// Unusual things that are written out; of the others only the number is told.
const SHOWN: usize = 20;

/// What was found in a file.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The tenant's id; empty for the operator, or where the file does not say.
    pub tenant: String,
    /// The log that the checkpoints are of.
    pub origin: String,
    /// Entries that were read and good.
    pub entries: u64,
    /// Chains of runs among them.
    pub runs: u64,
    /// Entries whose bytes retention has taken.
    pub redacted: u64,
    /// How many of them by which policy.
    pub policies: BTreeMap<u64, u64>,
    /// Checkpoints that were read and good.
    pub checkpoints: u64,
    /// Changes of the signing key among them.
    pub key_changes: u64,
    /// The newest of them.
    pub newest: Option<Newest>,
    /// Entries that are proved: named by a checkpoint, or by an entry that a checkpoint names.
    pub covered: u64,
    /// Checkpoints kept elsewhere that are in the file too, and are the same.
    pub pinned_same: u64,
    /// Checkpoints kept elsewhere that are not in the file: only their size could be compared.
    pub pinned_by_size: u64,
    /// Checkpoints kept elsewhere that do not say what they cover of this log.
    pub pinned_bare: u64,
    /// The entries up to this one are those that checkpoints kept elsewhere covered.
    pub pinned_through: u64,
    /// Where the log says that the database was restored.
    pub restored: Vec<Restored>,
    /// What is unusual and no error, like a time that runs backwards. The first of them.
    pub anomalies: Vec<String>,
    /// How many of them there are.
    pub anomaly_count: u64,
    /// The first thing that is wrong, if anything is. What comes after it has not been looked at.
    pub bad: Option<Bad>,
}

/// The newest checkpoint of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// The size of its tree.
    pub size: u64,
    /// The root of its tree.
    pub root: Hash,
    /// When it was made.
    pub time_ms: i64,
    /// The key that signed it.
    pub key: String,
}

/// A restored database, as the log tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The number of the entry in the tenant's chain.
    pub number: u64,
    /// When it was noticed.
    pub time_ms: i64,
    /// The log that was before.
    pub origin: String,
    /// The size of its tree, at the last checkpoint that is known.
    pub size: u64,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Where.
    pub place: Place,
    /// What.
    pub what: String,
    /// Signed notes that prove it, to be kept.
    pub proof: Vec<String>,
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An entry: the name of its chain, and its number there.
    Entry(String, u64),
    /// A checkpoint: its place among the file's, from 1.
    Checkpoint(u64),
    /// A line of the file, from 1.
    Line(u64),
    /// A checkpoint kept elsewhere: its place among those given, from 1.
    Pinned(u64),
}

impl Bad {
    pub(super) fn entry(chain: &str, number: u64, what: impl Into<String>) -> Self {
        Self { place: Place::Entry(chain.to_owned(), number), what: what.into(), proof: Vec::new() }
    }

    pub(super) fn at(place: Place, what: impl Into<String>) -> Self {
        Self { place, what: what.into(), proof: Vec::new() }
    }
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.bad.is_none()
    }

    /// Entries that no checkpoint covers yet.
    #[must_use]
    pub fn uncovered(&self) -> u64 {
        self.entries.saturating_sub(self.covered)
    }

    /// `ok`, or `bad:` and where.
    #[must_use]
    pub fn verdict(&self) -> String {
        self.bad.as_ref().map_or_else(|| "ok".to_owned(), |bad| format!("bad: {}", bad.place))
    }

    pub(super) fn anomaly(&mut self, what: impl FnOnce() -> String) {
        self.anomaly_count += 1;
        if self.anomalies.len() < SHOWN {
            self.anomalies.push(what());
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entry(chain, number) => write!(f, "{} {number}", plain(chain)),
            Self::Checkpoint(place) => write!(f, "checkpoint {place}"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Pinned(place) => write!(f, "pinned {place}"),
        }
    }
}

/// A text of the file as a terminal may see it.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_graphic() { letter } else { '?' }).collect()
}

/// For people: the verdict in the first line, then what was found.
impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.verdict())?;
        if let Some(bad) = &self.bad {
            writeln!(f, "  what is wrong  {}", bad.what)?;
            for (place, note) in bad.proof.iter().enumerate() {
                writeln!(f, "  proof {}, keep it:", place + 1)?;
                note.lines().try_for_each(|line| writeln!(f, "    | {line}"))?;
            }
            writeln!(
                f,
                "  before that    {} entries and {} checkpoints were good; what comes after was not looked at",
                self.entries, self.checkpoints
            )?;
            return self.remarks(f);
        }
        let whose = if self.tenant.is_empty() { "the operator".to_owned() } else { plain(&self.tenant) };
        writeln!(f, "  log            of {whose}, in {}", plain(&self.origin))?;
        writeln!(f, "  entries        {}, in the log's own chain and {} of runs", self.entries, self.runs)?;
        write!(f, "  checkpoints    {}", self.checkpoints)?;
        if let Some(newest) = &self.newest {
            write!(f, ", the newest of {} with {} leaves", instant(newest.time_ms), newest.size)?;
        }
        writeln!(f)?;
        let uncovered = match self.uncovered() {
            0 => "all entries".to_owned(),
            left => format!("{} entries; no checkpoint covers the other {left} yet", self.covered),
        };
        writeln!(f, "  proved         {uncovered}")?;
        self.remarks(f)
    }
}

impl Report {
    fn remarks(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (policy, count) in &self.policies {
            writeln!(f, "  redacted       {count} entries by policy {policy}; their hashes are there")?;
        }
        if self.key_changes > 0 {
            writeln!(
                f,
                "  signing key    changed {} times, each time by a signature of the key before",
                self.key_changes
            )?;
        }
        if self.pinned_same > 0 {
            writeln!(f, "  kept elsewhere {} checkpoints, and the file has the same", self.pinned_same)?;
        }
        if self.pinned_by_size > 0 {
            writeln!(
                f,
                "  kept elsewhere {} checkpoints that the file leaves out, so only their size was compared: export with \
                 --pin",
                self.pinned_by_size
            )?;
        }
        if self.pinned_through > 0 {
            writeln!(f, "  kept elsewhere what covers the entries up to {}: they are the same", self.pinned_through)?;
        }
        if self.pinned_bare > 0 {
            writeln!(
                f,
                "  kept elsewhere {} signed notes alone: they do not say what they cover, and entries may have been \
                 changed behind them; keep what GetCheckpoint answers",
                self.pinned_bare
            )?;
        }
        for restored in &self.restored {
            writeln!(
                f,
                "  restored       entry {} of {}: the database was restored; the log before was {} with {} leaves",
                restored.number,
                instant(restored.time_ms),
                plain(&restored.origin),
                restored.size
            )?;
        }
        for anomaly in &self.anomalies {
            writeln!(f, "  unusual        {anomaly}")?;
        }
        match self.anomaly_count - u64::try_from(self.anomalies.len()).unwrap_or(self.anomaly_count) {
            0 => Ok(()),
            more => writeln!(f, "  unusual        and {more} more"),
        }
    }
}

/// A time as people read it (days to civil date: Howard Hinnant's algorithm).
pub(super) fn instant(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}
