//! Reading a journal back: to go on after a restart, or to judge a run.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};

use super::Record;
use crate::report::{Report, Tally};
use crate::store::{ContactView, State};

/// The report of a journal, also of one that is being written.
///
/// # Errors
///
/// The file cannot be read, or a line other than a torn last one is no record.
pub fn read_journal(path: &Path) -> anyhow::Result<Report> {
    let mut tally = Tally::default();
    records(path, |record| tally.count(&record))?;
    Ok(tally.report())
}

/// The subscribed contacts of a list as a journal tells, for each account that has the list.
///
/// # Errors
///
/// As [`read_journal`].
pub fn read_contacts(path: &Path, list: u32) -> anyhow::Result<Vec<(String, Vec<ContactView>)>> {
    let mut state = State::empty();
    records(path, |record| state.replay(record))?;
    let hosts: Vec<String> = state.hosts().map(str::to_owned).collect();
    Ok(hosts
        .into_iter()
        .map(|host| {
            let contacts = state.contacts(&host, list, usize::MAX);
            (host, contacts)
        })
        .collect())
}

/// Feeds each record to the simulator that starts again, and cuts off a torn last line.
pub(crate) fn replay(path: &Path, take: impl FnMut(Record)) -> anyhow::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let whole = records(path, take)?;
    let file = OpenOptions::new().write(true).open(path).context("the journal cannot be opened")?;
    file.set_len(whole).context("the journal's torn last line cannot be cut off")
}

/// Calls `take` for each whole line and answers the number of bytes that they have.
pub(super) fn records(path: &Path, mut take: impl FnMut(Record)) -> anyhow::Result<u64> {
    let file = File::open(path).with_context(|| format!("the journal `{}` cannot be opened", path.display()))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut n_lines, mut whole) = (String::new(), 0_u64, 0_u64);
    loop {
        line.clear();
        let size = reader.read_line(&mut line).context("the journal cannot be read")?;
        if size == 0 || !line.ends_with('\n') {
            return Ok(whole);
        }
        n_lines += 1;
        match serde_json::from_str(&line) {
            Ok(record) => take(record),
            // The parser's own message could quote the line, which holds people's data.
            Err(error) => bail!("line {n_lines} of the journal is no record (column {})", error.column()),
        }
        whole += size as u64;
    }
}
