//! JSON lines: an object a line. Numbers and booleans become text exactly as they are written.
//!
//! A key that a line lacks is null there. A column that no object of the file has is not found, which is known only at
//! the end of the file.

use super::rows::Rows;
use super::{COLUMNS, ROW_BYTES, SourceBatch, SourceError, too_many_columns, utf16};
use crate::catalogue::Column;
use crate::normalise::RejectReason;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// Lines that are looked at to know the columns.
const SAMPLE: usize = 100;
const NESTED: &str = "nested";

pub(super) struct JsonlReader {
    input: Lines,
    cells: Cells,
    /// For each column that was asked for, where its cell is.
    order: Vec<usize>,
    objects: u64,
    rows: Rows,
}

struct Lines {
    input: BufReader<File>,
    text: Vec<u8>,
    number: u64,
}

impl Lines {
    fn open(file: File) -> Self {
        Self { input: BufReader::with_capacity(256 * 1024, file), text: Vec::new(), number: 0 }
    }

    /// Goes to the next line that is not empty; false at the end.
    fn next(&mut self) -> Result<bool, SourceError> {
        loop {
            self.text.clear();
            let most = ROW_BYTES as u64 + 1;
            let read = (&mut self.input).take(most).read_until(b'\n', &mut self.text);
            if read.map_err(|error| SourceError::read(&error))? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if self.text.len() > ROW_BYTES && self.text.last() != Some(&b'\n') {
                let what = format!("line {} is longer than {ROW_BYTES} bytes", self.number);
                return Err(SourceError::broken(what));
            }
            if self.number == 1 {
                utf16(&self.text)?;
                if self.text.starts_with(b"\xef\xbb\xbf") {
                    self.text.drain(..3);
                }
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}

/// The cells of one line, in buffers that every line uses again.
struct Cells {
    names: Vec<String>,
    texts: Vec<String>,
    /// Whether the column is in any object so far.
    seen: Vec<bool>,
}

impl Cells {
    fn read(&mut self, line: &[u8]) -> Result<(), RejectReason> {
        for text in &mut self.texts {
            text.clear();
        }
        let line = std::str::from_utf8(line).map_err(|_| RejectReason::RowNotUtf8)?;
        let mut json = serde_json::Deserializer::from_str(line);
        self.deserialize(&mut json).and_then(|()| json.end()).map_err(|_| RejectReason::RowNotJson)
    }

    fn set(&mut self, position: usize, value: &RawValue) -> Result<(), serde_json::Error> {
        let raw = value.get();
        let text = &mut self.texts[position];
        text.clear();
        match raw.as_bytes().first() {
            Some(b'"') if raw.contains('\\') => *text = serde_json::from_str(raw)?,
            Some(b'"') => text.push_str(raw.trim_matches('"')),
            Some(b'{' | b'[') => return Err(serde::de::Error::custom("nested")),
            Some(b'n') | None => {}
            Some(_) => text.push_str(raw),
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Cells {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Cells {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(position) = map.next_key_seed(Key(&self.names))? {
            let Some(position) = position else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&RawValue>()?;
            self.set(position, value).map_err(serde::de::Error::custom)?;
            self.seen[position] = true;
        }
        Ok(())
    }
}

/// Reads a key as the position of the column of that name.
struct Key<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|name| name == key))
    }
}

/// What the sampled values of a key are.
fn kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some("boolean"),
        Value::Number(_) => Some("number"),
        Value::String(_) => Some("text"),
        Value::Array(_) | Value::Object(_) => Some(NESTED),
    }
}

/// The columns of the first lines. One that holds an object or a list there cannot be mapped.
pub(super) fn columns(file: File) -> Result<Vec<Column>, SourceError> {
    let mut lines = Lines::open(file);
    let mut found: Vec<(String, Option<&'static str>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for _ in 0..SAMPLE {
        if !lines.next()? {
            break;
        }
        for (name, value) in serde_json::from_slice::<Map<String, Value>>(&lines.text).unwrap_or_default() {
            match places.get(&name) {
                Some(place) => found[*place].1 = widened(found[*place].1, kind(&value)),
                None if found.len() == COLUMNS => return Err(too_many_columns()),
                None => {
                    places.insert(name.clone(), found.len());
                    found.push((name, kind(&value)));
                }
            }
        }
    }
    let column = |(name, kind): (String, Option<&str>)| {
        let kind = kind.unwrap_or("text");
        Column { name, data_type: kind.to_owned(), mappable: kind != NESTED }
    };
    Ok(found.into_iter().map(column).collect())
}

fn widened(before: Option<&'static str>, now: Option<&'static str>) -> Option<&'static str> {
    match (before, now) {
        (None, kind) | (kind, None) => kind,
        (Some(before), Some(now)) if before == now => Some(now),
        (Some(NESTED), Some(_)) | (Some(_), Some(NESTED)) => Some(NESTED),
        (Some(_), Some(_)) => Some("text"),
    }
}

impl JsonlReader {
    pub(super) fn open(file: File, columns: &[&str]) -> Self {
        // A column that is asked for twice is read once, and given twice.
        let mut names: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        let order = columns.iter().filter_map(|column| names.iter().position(|name| name == column)).collect();
        let cells = Cells { texts: vec![String::new(); names.len()], seen: vec![false; names.len()], names };
        Self { input: Lines::open(file), cells, order, objects: 0, rows: Rows::new(columns.iter().copied()) }
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        while !self.rows.is_full() {
            if !self.input.next()? {
                self.all_found()?;
                break;
            }
            let line = self.input.number;
            match self.cells.read(&self.input.text) {
                Ok(()) => {
                    self.objects += 1;
                    let texts = &self.cells.texts;
                    self.rows.push(line, self.order.iter().map(|position| Some(texts[*position].as_str())));
                }
                Err(reason) => self.rows.push_broken(line, reason),
            }
        }
        self.rows.take()
    }

    fn all_found(&self) -> Result<(), SourceError> {
        let missing = self.cells.seen.iter().position(|seen| !seen);
        match missing.filter(|_| self.objects > 0) {
            Some(position) => Err(SourceError::not_found(&self.cells.names[position])),
            None => Ok(()),
        }
    }
}
