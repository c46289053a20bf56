//! A tenant's catalogue: which files of its folder are segments.

use crate::inside::Inside;
use crate::source::{self, SourceError};
use serde::{Deserialize, Deserializer};
use std::fs::File;
use std::path::{Component, Path, PathBuf};
use toml::value::Datetime;

const FILE: &str = "catalogue.toml";

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// A person.
    Profile,
    /// A company.
    Account,
}

/// Whether the segment can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// It can.
    Active,
    /// Switched off.
    Inactive,
    /// Its last refresh failed.
    Failed,
}

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values with a header (RFC 4180).
    Csv,
    /// Apache Parquet.
    Parquet,
    /// A JSON object a line.
    Jsonl,
}

/// A column of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// As in the file.
    pub name: String,
    /// The file's word for its type.
    pub data_type: String,
    /// Whether it is text or can be written as text.
    pub mappable: bool,
}

/// A segment of the catalogue.
#[derive(Debug, Clone)]
pub struct SegmentEntry {
    listed: Listed,
    folder: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    id: String,
    display_name: String,
    #[serde(default = "profile")]
    kind: SegmentKind,
    #[serde(default = "active")]
    state: SegmentState,
    format: Format,
    path: PathBuf,
    member_count: Option<u64>,
    #[serde(default, deserialize_with = "time")]
    last_refresh_time: Option<Datetime>,
}

/// A time, or the same time in quotes.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Datetime>, D::Error> {
    let wrong = |_| serde::de::Error::custom("last_refresh_time is not a time as 2026-11-01T00:00:00Z");
    match toml::Value::deserialize(deserializer)? {
        toml::Value::Datetime(time) => Ok(Some(time)),
        other => other.as_str().unwrap_or_default().parse().map(Some).map_err(wrong),
    }
}

fn profile() -> SegmentKind {
    SegmentKind::Profile
}

fn active() -> SegmentState {
    SegmentState::Active
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(default)]
    segment: Vec<Listed>,
}

/// Why a catalogue cannot be used. The text is for callers and names no path.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It cannot be read.
    #[error("the catalogue cannot be read ({kind})")]
    Unreadable {
        /// What the system says.
        kind: std::io::ErrorKind,
        /// For the log.
        inside: Inside,
    },
    /// It has another form.
    #[error("the catalogue is malformed: {0}")]
    Malformed(String),
    /// A segment's file is not below the tenant's folder.
    #[error("the file of segment `{segment}` is outside of the tenant's folder")]
    Outside {
        /// Its id.
        segment: String,
        /// For the log.
        inside: Inside,
    },
    /// The tenant's name is not that of a folder.
    #[error("`{0}` cannot be the folder of a tenant")]
    NoFolder(String),
}

impl CatalogueError {
    /// What the operator's log may add to the text; nothing where the text says it all.
    #[must_use]
    pub fn inside(&self) -> Option<&Inside> {
        match self {
            Self::Unreadable { inside, .. } | Self::Outside { inside, .. } => Some(inside),
            Self::Malformed(_) | Self::NoFolder(_) => None,
        }
    }
}

/// The segments of a tenant.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    segments: Vec<SegmentEntry>,
}

impl Catalogue {
    /// Reads a tenant's catalogue. A tenant without one has no segments.
    pub fn load(root: &Path, tenant: &str) -> Result<Self, CatalogueError> {
        if !is_below(Path::new(tenant)) {
            return Err(CatalogueError::NoFolder(tenant.to_owned()));
        }
        let folder = root.join(tenant);
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                let inside = Inside::cause(&error).at(&path);
                return Err(CatalogueError::Unreadable { kind: error.kind(), inside });
            }
        };
        let file: Listing = toml::from_str(&text).map_err(|error| malformed(&text, &error))?;
        let mut segments: Vec<SegmentEntry> = Vec::with_capacity(file.segment.len());
        for listed in file.segment {
            if !is_id(&listed.id) || segments.iter().any(|other| other.listed.id == listed.id) {
                let what =
                    format!("`{}` is no id, or appears twice; ids have 1 to 63 of a-z, 0-9 and hyphens", listed.id);
                return Err(CatalogueError::Malformed(what));
            }
            let segment = SegmentEntry { listed, folder: folder.clone() };
            if !is_below(&segment.listed.path) || segment.resolved().is_some_and(|found| found.is_none()) {
                let inside = Inside::default().at(&segment.listed.path);
                return Err(CatalogueError::Outside { segment: segment.listed.id, inside });
            }
            segments.push(segment);
        }
        Ok(Self { segments })
    }

    /// All of them, in the catalogue's order.
    #[must_use]
    pub fn segments(&self) -> &[SegmentEntry] {
        &self.segments
    }

    /// The one with this id.
    #[must_use]
    pub fn segment(&self, id: &str) -> Option<&SegmentEntry> {
        self.segments.iter().find(|segment| segment.listed.id == id)
    }
}

fn malformed(text: &str, error: &toml::de::Error) -> CatalogueError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    CatalogueError::Malformed(format!("line {line}: {}", error.message()))
}

/// Whether a relative path goes down and nowhere else.
fn is_below(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// A TOML time with an offset. The days are counted by the proleptic Gregorian calendar, with March as first month.
fn millis(time: &Datetime) -> Option<i64> {
    let (date, clock, offset) = (time.date?, time.time?, time.offset?);
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let year = i64::from(date.year) - i64::from(month <= 2);
    let era_days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = era_days + (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - 719_468;
    let minutes = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let second = i64::from(clock.second);
    let seconds = days * 86_400 + i64::from(clock.hour) * 3_600 + i64::from(clock.minute) * 60 + second - minutes * 60;
    Some(seconds * 1_000)
}

fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(allowed)
}

impl SegmentEntry {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.listed.id
    }

    /// For people.
    #[must_use]
    pub fn display_name(&self) -> &str {
        &self.listed.display_name
    }

    /// Profile or account.
    #[must_use]
    pub fn kind(&self) -> SegmentKind {
        self.listed.kind
    }

    /// Whether it can be used.
    #[must_use]
    pub fn state(&self) -> SegmentState {
        self.listed.state
    }

    /// How its file is written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.listed.format
    }

    /// How many members, if the catalogue says so.
    #[must_use]
    pub fn member_count(&self) -> Option<u64> {
        self.listed.member_count
    }

    /// When it was last refreshed, if the catalogue says so, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn last_refresh_millis(&self) -> Option<i64> {
        self.listed.last_refresh_time.as_ref().and_then(millis)
    }

    /// What its file holds; only the beginning of the file is read.
    pub fn columns(&self) -> Result<Vec<Column>, SourceError> {
        source::columns(self)
    }

    /// What its file is now: whether it is still the one that was read.
    pub fn fingerprint(&self) -> Result<source::Fingerprint, SourceError> {
        source::fingerprint(self)
    }

    /// The file, links followed: nothing if there is none, `Some(None)` if it is not below the tenant's folder.
    fn resolved(&self) -> Option<Option<PathBuf>> {
        let path = self.folder.join(&self.listed.path).canonicalize().ok()?;
        let folder = self.folder.canonicalize().ok()?;
        Some(path.starts_with(folder).then_some(path))
    }

    /// Opens the file. It is resolved again, because a link can be put there after the catalogue was read; and it must
    /// be a file, because a pipe would block its reader for ever.
    pub(crate) fn open_file(&self) -> Result<(File, PathBuf), SourceError> {
        let path = match self.resolved() {
            Some(Some(path)) => path,
            Some(None) => return Err(SourceError::broken("it is outside of the tenant's folder")),
            None => self.folder.join(&self.listed.path),
        };
        let failed = |error: &std::io::Error| SourceError::open(error).at(&path);
        if !std::fs::metadata(&path).map_err(|error| failed(&error))?.is_file() {
            return Err(SourceError::broken("it is not a regular file").at(&path));
        }
        let file = File::open(&path).map_err(|error| failed(&error))?;
        Ok((file, path))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn load(text: &str) -> Result<Catalogue, CatalogueError> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("acme")).unwrap();
        std::fs::write(root.path().join("acme").join(FILE), text).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.path().join("acme/link.csv")).unwrap();
        Catalogue::load(root.path(), "acme")
    }

    fn segment(id: &str, path: &str) -> String {
        format!("[[segment]]\nid = \"{id}\"\ndisplay_name = \"x\"\nformat = \"csv\"\npath = \"{path}\"\n")
    }

    #[test]
    fn a_tenant_without_a_catalogue_has_no_segments() {
        let root = tempfile::tempdir().unwrap();
        assert!(Catalogue::load(root.path(), "acme").unwrap().segments().is_empty());
    }

    #[test]
    fn paths_out_of_the_folder_are_refused() {
        for path in ["/etc/passwd", "../globex/x.csv", "a/../../x.csv", "./x.csv", "link.csv"] {
            assert!(matches!(load(&segment("a", path)), Err(CatalogueError::Outside { .. })), "{path}");
        }
        assert!(load(&segment("a", "sub/x.csv")).is_ok());
        let root = tempfile::tempdir().unwrap();
        for tenant in ["", ".", "..", "../acme", "/etc"] {
            assert!(matches!(Catalogue::load(root.path(), tenant), Err(CatalogueError::NoFolder(_))), "{tenant}");
        }
    }

    #[test]
    fn a_link_that_is_put_there_later_is_not_followed_out_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("acme");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(FILE), segment("a", "later.csv")).unwrap();
        let catalogue = Catalogue::load(root.path(), "acme").unwrap();
        let absent = catalogue.segments()[0].columns().unwrap_err();
        assert!(!absent.to_string().contains("acme") && !format!("{absent:?}").contains("acme"));
        assert!(absent.inside().is_some_and(|inside| inside.for_log().contains("acme/later.csv")));
        std::os::unix::fs::symlink("/etc/hostname", folder.join("later.csv")).unwrap();
        assert!(catalogue.segments()[0].columns().unwrap_err().to_string().contains("outside"));
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_no_segment() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("acme/x.csv")).unwrap();
        std::fs::write(root.path().join("acme").join(FILE), segment("a", "x.csv")).unwrap();
        let catalogue = Catalogue::load(root.path(), "acme").unwrap();
        assert!(catalogue.segments()[0].columns().unwrap_err().to_string().contains("not a regular file"));
    }

    #[test]
    fn a_refresh_time_becomes_milliseconds() {
        let at = |time: &str| {
            let text = format!("{}last_refresh_time = {time}\n", segment("a", "x.csv"));
            load(&text).unwrap().segments()[0].last_refresh_millis()
        };
        assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(at("2024-02-29T12:30:45+01:00"), Some(1_709_206_245_000));
        assert_eq!(at("\"2024-02-29T12:30:45+01:00\""), Some(1_709_206_245_000), "in quotes");
        assert_eq!(at("2026-11-24"), None);
        assert!(load(&format!("{}last_refresh_time = \"yesterday\"\n", segment("a", "x.csv"))).is_err());
    }

    #[test]
    fn unknown_keys_and_ids_that_are_none_are_refused() {
        assert!(load(&format!("{}colour = 1\n", segment("a", "x.csv"))).is_err());
        assert!(load(&segment("A", "x.csv")).is_err());
        assert!(load(&format!("{0}{0}", segment("a", "x.csv"))).is_err());
    }
}
