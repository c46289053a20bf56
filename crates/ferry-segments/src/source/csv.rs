//! Comma-separated values: a header, quotes as in RFC 4180, lines that end in LF or CRLF, a byte order mark or none.
//!
//! Only mapped cells are checked for UTF-8. A header column without a name is there, but cannot be mapped. A quote that
//! is still open at the end of the file, or after a mebibyte, breaks the file: what it swallowed were members.

use super::rows::Rows;
use super::{COLUMNS, ROW_BYTES, SourceBatch, SourceError, text_column, too_many_columns, utf16};
use crate::catalogue::Column;
use crate::normalise::{Email, RejectReason};
use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Cursor, Read};

const BUFFER: usize = 256 * 1024;
/// Stands after the last line. It is a record of its own only if no quote is open there.
const END: &str = "\u{0}end\n";

pub(super) struct CsvReader {
    records: Records,
    positions: Vec<usize>,
    width: usize,
    rows: Rows,
}

/// The file, its last line ended if it was not, then [`END`].
struct Input {
    start: Cursor<Vec<u8>>,
    file: File,
    end: Option<Cursor<Vec<u8>>>,
    last: u8,
    /// Bytes before [`END`].
    length: u64,
    /// What may still be read for one row.
    left: usize,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(end) = &mut self.end {
            return end.read(buffer);
        }
        if self.left == 0 {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut read = self.start.read(buffer)?;
        if read == 0 {
            read = self.file.read(buffer)?;
        }
        if read == 0 {
            let mut end = Vec::from(END);
            if self.last != b'\n' {
                end.insert(0, b'\n');
                self.length += 1;
            }
            return self.end.insert(Cursor::new(end)).read(buffer);
        }
        self.last = buffer[read - 1];
        self.length += read as u64;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

struct Records {
    reader: Reader<Input>,
    record: ByteRecord,
    /// Where the record begins.
    line: u64,
    ended: bool,
}

impl Records {
    fn open(mut file: File) -> Result<Self, SourceError> {
        let mut start = Vec::with_capacity(3);
        (&mut file).take(3).read_to_end(&mut start).map_err(|error| SourceError::read(&error))?;
        utf16(&start)?;
        if start == b"\xef\xbb\xbf" {
            start.clear();
        }
        let input = Input { start: Cursor::new(start), file, end: None, last: b'\n', length: 0, left: 0 };
        // A line ends at LF, so that a row's line is known exactly; the CR before it is taken off the last cell.
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(BUFFER)
            .from_reader(input);
        Ok(Self { reader, record: ByteRecord::new(), line: 1, ended: false })
    }

    /// Goes to the next record that is not an empty line; false at the end.
    fn next(&mut self) -> Result<bool, SourceError> {
        while !self.ended {
            self.reader.get_mut().left = ROW_BYTES + BUFFER;
            let before = self.reader.position().line();
            let read = self.reader.read_byte_record(&mut self.record);
            let found = read.map_err(|error| broken(&error, before))?;
            // The parser's own word for the line does not count the empty lines before a record.
            let inside = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
            self.line = self.reader.position().line().saturating_sub(inside + 1);
            let input = self.reader.get_ref();
            let past_end = input.end.is_some() && self.reader.position().byte() > input.length;
            if past_end && self.record.as_slice() == END.trim_end().as_bytes() {
                self.ended = true;
            } else if past_end || !found {
                return Err(SourceError::broken(format!("a quote after line {before} is never closed")));
            } else if self.record.as_slice().len() > ROW_BYTES {
                return Err(too_long(before));
            } else if self.record.as_slice() != b"\r" {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A cell, without the CR that belongs to the line's end.
    fn cell(&self, position: usize) -> &[u8] {
        let bytes = self.record.get(position).unwrap_or_default();
        if position + 1 == self.record.len() { bytes.strip_suffix(b"\r").unwrap_or(bytes) } else { bytes }
    }

    /// Errors say where a name stands and not what it is: in a file without a header it is somebody's data.
    fn header(&mut self) -> Result<Vec<String>, SourceError> {
        if !self.next()? {
            return Err(SourceError::broken("it is empty; it has no header line"));
        }
        if self.record.len() > COLUMNS {
            return Err(too_many_columns());
        }
        let names = (0..self.record.len()).map(|position| String::from_utf8(self.cell(position).to_vec()));
        let names: Vec<String> =
            names.collect::<Result<_, _>>().map_err(|_| SourceError::broken("its header is not UTF-8"))?;
        let mut seen = HashSet::with_capacity(names.len());
        for (position, name) in names.iter().enumerate() {
            if !name.is_empty() && !seen.insert(name) {
                let what = format!("column {} of its header has the name of a column before it", position + 1);
                return Err(SourceError::broken(what));
            }
        }
        if seen.is_empty() || names.iter().any(|name| Email::parse(name).is_ok()) {
            return Err(SourceError::broken("its first line is not a header line with the names of the columns"));
        }
        if names.iter().any(|name| name.contains('\r')) {
            return Err(SourceError::broken("its lines end in CR alone; end them with LF or CRLF"));
        }
        Ok(names)
    }
}

fn too_long(line: u64) -> SourceError {
    SourceError::broken(format!(
        "a row after line {} is longer than {ROW_BYTES} bytes, or a quote there is never closed",
        line.saturating_sub(1)
    ))
}

fn broken(error: &csv::Error, line: u64) -> SourceError {
    match error.kind() {
        csv::ErrorKind::Io(io) if io.kind() == io::ErrorKind::FileTooLarge => too_long(line),
        csv::ErrorKind::Io(io) => SourceError::read(io),
        _ => SourceError::broken("it is not comma-separated text"),
    }
}

pub(super) fn columns(file: File) -> Result<Vec<Column>, SourceError> {
    let header = Records::open(file)?.header()?;
    Ok(header.iter().filter(|name| !name.is_empty()).map(|name| text_column(name)).collect())
}

impl CsvReader {
    pub(super) fn open(file: File, columns: &[&str]) -> Result<Self, SourceError> {
        let mut records = Records::open(file)?;
        let header = records.header()?;
        let position = |column: &&str| {
            let found = header.iter().position(|name| name == column && !name.is_empty());
            found.ok_or_else(|| SourceError::not_found(column))
        };
        let positions = columns.iter().map(position).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { records, positions, width: header.len(), rows: Rows::new(columns.iter().copied()) })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        while !self.rows.is_full() && self.records.next()? {
            let line = self.records.line;
            match self.check() {
                Ok(()) => {
                    // Checked just before, so nothing is lost here.
                    let text = |position: &usize| std::str::from_utf8(self.records.cell(*position)).ok();
                    self.rows.push(line, self.positions.iter().map(text));
                }
                Err(reason) => self.rows.push_broken(line, reason),
            }
        }
        self.rows.take()
    }

    fn check(&self) -> Result<(), RejectReason> {
        if self.records.record.len() != self.width {
            return Err(RejectReason::RowRagged);
        }
        let valid = |position: &usize| std::str::from_utf8(self.records.cell(*position)).is_ok();
        if self.positions.iter().all(valid) { Ok(()) } else { Err(RejectReason::RowNotUtf8) }
    }
}
