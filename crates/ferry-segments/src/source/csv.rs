//! Comma-separated values: a header, quotes as in RFC 4180, lines that end in LF or CRLF, a byte order mark or none.

use super::{BATCH_ROWS, BrokenRow, ROW_BYTES, SourceBatch, SourceError, text_batch, text_column};
use crate::catalogue::Column;
use crate::normalise::RejectReason;
use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const BUFFER: usize = 256 * 1024;

pub(super) struct CsvReader {
    reader: Reader<Budgeted>,
    budget: Arc<AtomicUsize>,
    names: Vec<String>,
    positions: Vec<usize>,
    record: ByteRecord,
}

/// Fails once more bytes were read for one row than a row may have.
struct Budgeted {
    start: std::io::Cursor<Vec<u8>>,
    file: File,
    left: Arc<AtomicUsize>,
}

impl Read for Budgeted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge));
        }
        let mut read = self.start.read(buffer)?;
        if read == 0 {
            read = self.file.read(buffer)?;
        }
        self.left.store(left.saturating_sub(read), Ordering::Relaxed);
        Ok(read)
    }
}

/// The first bytes tell an encoding that is not read here.
fn open(mut file: File) -> Result<(Reader<Budgeted>, Arc<AtomicUsize>), SourceError> {
    let mut start = Vec::with_capacity(3);
    (&mut file).take(3).read_to_end(&mut start).map_err(|error| SourceError::read(&error))?;
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(SourceError::Broken("it is UTF-16; write it as UTF-8".to_owned()));
    }
    if start == b"\xef\xbb\xbf" {
        start.clear();
    }
    let left = Arc::new(AtomicUsize::new(ROW_BYTES + BUFFER));
    let input = Budgeted { start: std::io::Cursor::new(start), file, left: Arc::clone(&left) };
    // A line ends at LF, so that a row's line is known exactly; the CR before it is taken off the last cell.
    let reader = ReaderBuilder::new()
        .has_headers(true)
        .flexible(true)
        .terminator(Terminator::Any(b'\n'))
        .buffer_capacity(BUFFER)
        .from_reader(input);
    Ok((reader, left))
}

fn header(reader: &mut Reader<Budgeted>) -> Result<Vec<String>, SourceError> {
    let header = reader.byte_headers().map_err(|error| broken(&error))?;
    let names: Result<Vec<String>, _> = header.iter().map(|name| String::from_utf8(name.to_vec())).collect();
    let mut names = names.map_err(|_| SourceError::Broken("its header is not UTF-8".to_owned()))?;
    if let Some(last) = names.last_mut() {
        last.truncate(last.trim_end_matches('\r').len());
    }
    if names.is_empty() || names.iter().all(String::is_empty) {
        return Err(SourceError::Broken("it has no header line".to_owned()));
    }
    for (position, name) in names.iter().enumerate() {
        if names[..position].contains(name) {
            return Err(SourceError::Broken(format!("its header names the column `{name}` twice")));
        }
    }
    Ok(names)
}

pub(super) fn columns(file: File) -> Result<Vec<Column>, SourceError> {
    let (mut reader, _) = open(file)?;
    Ok(header(&mut reader)?.iter().map(|name| text_column(name)).collect())
}

fn broken(error: &csv::Error) -> SourceError {
    match error.kind() {
        csv::ErrorKind::Io(io) if io.kind() == std::io::ErrorKind::FileTooLarge => SourceError::Broken(format!(
            "a row is longer than {ROW_BYTES} bytes, or a quote before line {} is never closed",
            error.position().map_or(0, csv::Position::line)
        )),
        csv::ErrorKind::Io(io) => SourceError::read(io),
        _ => SourceError::Broken("it is not comma-separated text".to_owned()),
    }
}

impl CsvReader {
    pub(super) fn open(file: File, columns: &[&str]) -> Result<Self, SourceError> {
        let (mut reader, budget) = open(file)?;
        let header = header(&mut reader)?;
        let position = |column: &&str| {
            let found = header.iter().position(|name| name == column);
            found.ok_or_else(|| SourceError::ColumnNotFound { column: (*column).to_owned() })
        };
        let positions = columns.iter().map(position).collect::<Result<Vec<_>, _>>()?;
        let names = columns.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self { reader, budget, names, positions, record: ByteRecord::new() })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let width = self.reader.byte_headers().map_err(|error| broken(&error))?.len();
        let mut columns: Vec<Vec<Option<String>>> = vec![Vec::with_capacity(BATCH_ROWS); self.positions.len()];
        let (mut lines, mut bad) = (Vec::with_capacity(BATCH_ROWS), Vec::new());
        while lines.len() + bad.len() < BATCH_ROWS {
            self.budget.store(ROW_BYTES + BUFFER, Ordering::Relaxed);
            if !self.reader.read_byte_record(&mut self.record).map_err(|error| broken(&error))? {
                break;
            }
            if self.record.as_slice() == b"\r" {
                continue;
            }
            let line = self.record.position().map_or(0, csv::Position::line);
            match self.cells(width) {
                Ok(cells) => {
                    lines.push(line);
                    for (column, cell) in columns.iter_mut().zip(cells) {
                        column.push(cell);
                    }
                }
                Err(reason) => bad.push(BrokenRow { line, reason }),
            }
        }
        if lines.is_empty() && bad.is_empty() {
            return Ok(None);
        }
        Ok(Some(SourceBatch { batch: text_batch(&self.names, columns)?, lines, broken: bad }))
    }

    fn cells(&self, width: usize) -> Result<Vec<Option<String>>, RejectReason> {
        if self.record.len() != width {
            return Err(RejectReason::RowRagged);
        }
        let cell = |position: &usize| {
            let mut bytes = self.record.get(*position).unwrap_or_default();
            if *position + 1 == width {
                bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            }
            let text = std::str::from_utf8(bytes).map_err(|_| RejectReason::RowNotUtf8)?;
            Ok((!text.is_empty()).then(|| text.to_owned()))
        };
        self.positions.iter().map(cell).collect()
    }
}
