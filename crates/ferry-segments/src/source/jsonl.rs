//! JSON lines: an object a line. A column that a line lacks is null there; a column that no line has reads as empty.

use super::{BATCH_ROWS, BrokenRow, ROW_BYTES, SourceBatch, SourceError, text_batch, text_column};
use crate::catalogue::Column;
use crate::normalise::RejectReason;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// Lines that are looked at to know the columns.
const SAMPLE: usize = 100;

pub(super) struct JsonlReader {
    input: BufReader<File>,
    names: Vec<String>,
    line: u64,
}

impl JsonlReader {
    pub(super) fn open(file: File, columns: &[&str]) -> Self {
        let names = columns.iter().map(|name| (*name).to_owned()).collect();
        Self { input: BufReader::with_capacity(256 * 1024, file), names, line: 0 }
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let mut columns: Vec<Vec<Option<String>>> = vec![Vec::with_capacity(BATCH_ROWS); self.names.len()];
        let (mut lines, mut broken) = (Vec::with_capacity(BATCH_ROWS), Vec::new());
        while lines.len() + broken.len() < BATCH_ROWS {
            let Some(line) = self.next_line()? else { break };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match object(&line).and_then(|object| self.cells(&object)) {
                Ok(cells) => {
                    lines.push(self.line);
                    for (column, cell) in columns.iter_mut().zip(cells) {
                        column.push(cell);
                    }
                }
                Err(reason) => broken.push(BrokenRow { line: self.line, reason }),
            }
        }
        if lines.is_empty() && broken.is_empty() {
            return Ok(None);
        }
        Ok(Some(SourceBatch { batch: text_batch(&self.names, columns)?, lines, broken }))
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        let mut line = Vec::new();
        let most = ROW_BYTES as u64 + 1;
        let read =
            (&mut self.input).take(most).read_until(b'\n', &mut line).map_err(|error| SourceError::read(&error))?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if line.len() > ROW_BYTES && line.last() != Some(&b'\n') {
            return Err(SourceError::Broken(format!("line {} is longer than {ROW_BYTES} bytes", self.line)));
        }
        if self.line == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        Ok(Some(line))
    }

    fn cells(&self, object: &Map<String, Value>) -> Result<Vec<Option<String>>, RejectReason> {
        let cell = |name: &String| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok((!text.is_empty()).then(|| text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(yes)) => Ok(Some(yes.to_string())),
            Some(Value::Array(_) | Value::Object(_)) => Err(RejectReason::RowNotJson),
        };
        self.names.iter().map(cell).collect()
    }
}

fn object(line: &[u8]) -> Result<Map<String, Value>, RejectReason> {
    let text = std::str::from_utf8(line).map_err(|_| RejectReason::RowNotUtf8)?;
    serde_json::from_str(text).map_err(|_| RejectReason::RowNotJson)
}

pub(super) fn columns(file: File) -> Result<Vec<Column>, SourceError> {
    let mut reader = JsonlReader::open(file, &[]);
    let mut columns: Vec<Column> = Vec::new();
    for _ in 0..SAMPLE {
        let Some(line) = reader.next_line()? else { break };
        for name in object(&line).unwrap_or_default().keys() {
            if !columns.iter().any(|column| column.name == *name) {
                columns.push(text_column(name));
            }
        }
    }
    Ok(columns)
}
