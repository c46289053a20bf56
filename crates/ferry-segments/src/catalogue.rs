//! A tenant's catalogue: which files of its folder are segments.

use crate::source::{self, SourceError};
use serde::Deserialize;
use std::path::{Component, Path, PathBuf};

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
    path: PathBuf,
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
    last_refresh_time: Option<toml::value::Datetime>,
}

fn profile() -> SegmentKind {
    SegmentKind::Profile
}

fn active() -> SegmentState {
    SegmentState::Active
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    segment: Vec<Listed>,
}

/// Why a catalogue cannot be used. The text is for callers and names no path.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It cannot be read.
    #[error("the catalogue cannot be read ({0})")]
    Unreadable(std::io::ErrorKind),
    /// It has another form.
    #[error("the catalogue is malformed: {0}")]
    Malformed(String),
    /// A segment's file is not below the tenant's folder.
    #[error("the file of segment `{0}` is outside of the tenant's folder")]
    Outside(String),
}

/// The segments of a tenant.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    segments: Vec<SegmentEntry>,
}

impl Catalogue {
    /// Reads a tenant's catalogue. A tenant without one has no segments.
    pub fn load(root: &Path, tenant: &str) -> Result<Self, CatalogueError> {
        let folder = root.join(tenant);
        let text = match std::fs::read_to_string(folder.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(CatalogueError::Unreadable(error.kind())),
        };
        let file: File =
            toml::from_str(&text).map_err(|error| CatalogueError::Malformed(error.message().to_owned()))?;
        let mut segments: Vec<SegmentEntry> = Vec::with_capacity(file.segment.len());
        for listed in file.segment {
            if !is_id(&listed.id) || segments.iter().any(|other| other.listed.id == listed.id) {
                let what =
                    format!("`{}` is no id, or appears twice; ids have 1 to 63 of a-z, 0-9 and hyphens", listed.id);
                return Err(CatalogueError::Malformed(what));
            }
            let path = inside(&folder, &listed)?;
            segments.push(SegmentEntry { listed, path });
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

/// A path that stays in the folder, links followed. A file that is missing is found out when it is read.
fn inside(folder: &Path, listed: &Listed) -> Result<PathBuf, CatalogueError> {
    let outside = || CatalogueError::Outside(listed.id.clone());
    if !listed.path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let path = folder.join(&listed.path);
    if let (Ok(real), Ok(real_folder)) = (path.canonicalize(), folder.canonicalize())
        && !real.starts_with(real_folder)
    {
        return Err(outside());
    }
    Ok(path)
}

/// A TOML time with an offset. The days are counted by the proleptic Gregorian calendar, with March as first month.
fn millis(time: &toml::value::Datetime) -> Option<i64> {
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

    pub(crate) fn path(&self) -> &Path {
        &self.path
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
            assert!(matches!(load(&segment("a", path)), Err(CatalogueError::Outside(_))), "{path}");
        }
        assert!(load(&segment("a", "sub/x.csv")).is_ok());
    }

    #[test]
    fn a_refresh_time_becomes_milliseconds() {
        let at = |time: &str| {
            let text = format!("{}last_refresh_time = {time}\n", segment("a", "x.csv"));
            load(&text).unwrap().segments()[0].last_refresh_millis()
        };
        assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(at("2024-02-29T12:30:45+01:00"), Some(1_709_206_245_000));
        assert_eq!(at("2026-11-24"), None);
    }

    #[test]
    fn unknown_keys_and_ids_that_are_none_are_refused() {
        assert!(load(&format!("{}colour = 1\n", segment("a", "x.csv"))).is_err());
        assert!(load(&segment("A", "x.csv")).is_err());
        assert!(load(&format!("{0}{0}", segment("a", "x.csv"))).is_err());
    }
}
