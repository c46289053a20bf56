//! The offline verifier: reads a file once, from its beginning to its end, and names the first thing that is wrong.
//!
//! What it checks, in the order in which it does:
//!
//! - An entry has the next number of its chain (A02, A03), its bytes have the hash that it names (A01), that hash and
//!   the one before make its own, for every entry (A14), its bytes are those of an entry (A15), and that entry says the
//!   same tenant, chain and number as the file (A10).
//! - `RUN_STARTED`, `RUN_ANCHORED` and `RUN_ENDED` in the tenant's own chain name the length and the hash of a run's
//!   chain. The run's chain may come later in the file. It must be there, and nothing may follow the end.
//! - In a run's chain an attempt has one intent, and one outcome after it (A18).
//! - A checkpoint is signed by the key whose turn it is (A08, A16), its tree continues that of the one before (A06,
//!   A07), and two of one size are the same (A09). Its leaf proves the tenant's chain up to an entry (A04, A05).
//! - At the end: no anchor is left open; every entry without bytes is covered by an entry `RETENTION_APPLIED` (A17);
//!   the given key has signed a checkpoint; something is proved; and checkpoints kept elsewhere agree, and cover the
//!   same entries (A04, A05, A06, A11).
//!
//! A time that runs backwards is unusual, not wrong (A12): numbers order a log, clocks do not.
//!
//! Memory: a hash for each entry that nothing has named yet (32 bytes), a hash for each attempt of runs that have not
//! ended, and a few words for each run. What a checkpoint or an anchor has named is forgotten.

mod chain;
mod pinned;
mod report;
mod retention;
mod runs;
mod seals;

pub use report::{Bad, Newest, Place, Report, Restored};

use crate::Hash;
use crate::checkpoint::{VerifierKey, decimal};
use crate::file::{EntryLine, Line, LogLine, Objects, Read, Text, own_chain, parse};
use crate::view::EntryView;
use chain::Chain;
use pinned::{Kept, Seen};
use retention::Retention;
use runs::Runs;
use seals::Seals;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead};

/// An entry that no checkpoint covers is worth a word once it is older than the newest checkpoint by this much: a
/// checkpoint is made every minute.
const LATE_MS: i64 = 10 * 60_000;

/// Restored databases that are told of, at most.
const MAX_RESTORED: usize = 100;

/// Verifies a file. `key` is the key that is trusted; `kept` are checkpoints that somebody kept elsewhere, each what
/// `GetCheckpoint` answered, as JSON, or a signed note alone, which proves less ([`pinned`]).
///
/// # Errors
/// The file cannot be read. That it is bad is no error but a [`Report`].
pub fn verify(reader: impl BufRead, key: &VerifierKey, kept: &[String]) -> io::Result<Report> {
    let mut random: Hash = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let kept: Vec<Option<Kept>> = kept.iter().map(|text| Kept::read(text)).collect();
    let sizes = kept.iter().flatten().map(|kept| kept.asks_for().0);
    let mut verifier = Verifier {
        log: None,
        own_name: String::new(),
        own: Chain::default(),
        asked: pinned::asked(&kept),
        runs: Runs::new(random),
        retention: Retention::default(),
        seals: Seals::new(key.clone(), sizes),
        times: VecDeque::new(),
        report: Report::default(),
        body: Vec::new(),
    };
    let mut objects = Objects::new(reader);
    let result = loop {
        let step = match objects.next()? {
            Read::End => break verifier.end(key, &kept),
            Read::Bad(line, what) => Err(Bad::at(Place::Line(line), what)),
            Read::Object(bytes, line) => verifier.object(bytes, line),
        };
        if step.is_err() {
            break step;
        }
    };
    verifier.report.bad = result.err();
    Ok(verifier.report)
}

struct Verifier {
    log: Option<LogLine<'static>>,
    own_name: String,
    own: Chain,
    /// Hashes of the own chain that somebody's kept checkpoints name the numbers of.
    asked: HashMap<u64, Option<Hash>>,
    runs: Runs,
    retention: Retention,
    seals: Seals,
    /// Entries of the tenant's own chain and their times, a few for an hour: how old is what nothing covers?
    times: VecDeque<(u64, i64)>,
    report: Report,
    body: Vec<u8>,
}

impl Verifier {
    fn object(&mut self, bytes: &[u8], line: u64) -> Result<(), Bad> {
        let bad = |what: &str| Err(Bad::at(Place::Line(line), what));
        let parsed = parse(bytes).map_err(|what| Bad::at(Place::Line(line), what))?;
        match (parsed, self.log.is_some()) {
            (Line::Log(log), false) => {
                self.begin(log);
                Ok(())
            }
            (Line::Log(_), true) => bad("a second `log`: a file is of one log"),
            (_, false) => bad("the file must begin with `log`"),
            (Line::Entry(entry), true) => self.entry(&entry),
            (Line::Checkpoint(checkpoint), true) => {
                let Some(log) = &self.log else { return Ok(()) };
                let own = (&*self.own_name, &mut self.own);
                let covered = self.seals.check(&checkpoint, log, own, &mut self.report)?;
                self.runs.cover(covered);
                while self.times.get(1).is_some_and(|(number, _)| *number <= covered + 1) {
                    self.times.pop_front();
                }
                Ok(())
            }
        }
    }

    fn begin(&mut self, log: LogLine<'_>) {
        let own = |text: Text<'_>| Text(Cow::Owned(text.0.into_owned()));
        let log = LogLine { tenant: own(log.tenant), tenant_uid: own(log.tenant_uid), origin: own(log.origin) };
        self.own_name = own_chain(&log.tenant.0);
        self.report.tenant = log.tenant.0.clone().into_owned();
        self.report.origin = log.origin.0.clone().into_owned();
        self.log = Some(log);
    }

    fn entry(&mut self, line: &EntryLine<'_>) -> Result<(), Bad> {
        let (name, number) = (&*line.chain.0, line.number.0);
        let is_own = name == self.own_name;
        let run = if is_own { Some("") } else { run_of(&self.own_name, name) };
        let Some(run) = run else {
            let what = format!("it is in a chain that is not of {}", self.own_name);
            return Err(Bad::entry(name, number, what));
        };
        let chain = if is_own { &mut self.own } else { &mut self.runs.of(name).chain };
        // Lent out, so that what is read from it may be shown to all parts; it comes back for the next entry.
        let mut body = std::mem::take(&mut self.body);
        chain.append(line, &mut body)?;
        if is_own && let Some(asked) = self.asked.get_mut(&number) {
            *asked = Some(chain.hash);
        }
        let bad = |what: String| Bad::entry(name, number, what);
        let view = match &*body {
            [] => None,
            body => Some(EntryView::decode(body).map_err(|error| bad(format!("its bytes are no entry: {error}")))?),
        };
        if let Some(view) = &view {
            let tenant = self.log.as_ref().map_or("", |log| &*log.tenant.0);
            if (view.tenant, view.chain, view.number) != (tenant, run, number) {
                return Err(bad(format!(
                    "its bytes are of another place: tenant {:?}, chain {:?}, number {}",
                    view.tenant, view.chain, view.number
                )));
            }
            if let Some(ms) = chain.time(view.time_ms) {
                self.report.anomaly(|| {
                    format!(
                        "the time of {} is {} s before that of the entry before",
                        Place::Entry(name.into(), number),
                        ms / 1000
                    )
                });
            }
        }
        match &view {
            view if !is_own => self.runs.appended(&self.own_name, name, view.as_ref())?,
            Some(view) => self.own_entry(number, view)?,
            None => {}
        }
        self.report.entries += 1;
        self.report.redacted += u64::from(view.is_none());
        self.body = body;
        Ok(())
    }

    /// What an entry of the tenant's own chain says of others.
    fn own_entry(&mut self, number: u64, view: &EntryView<'_>) -> Result<(), Bad> {
        if self.times.back().is_none_or(|(_, last)| view.time_ms.saturating_sub(*last) > LATE_MS) {
            self.times.push_back((number, view.time_ms));
        }
        match view.kind {
            "RUN_STARTED" | "RUN_ANCHORED" | "RUN_ENDED" => {
                if run_of(&self.own_name, view.object).is_none() {
                    return Err(Bad::entry(&self.own_name, number, "its `object` must be a run of the tenant"));
                }
                self.runs.anchor(&self.own_name, number, view.object, view)
            }
            "RETENTION_APPLIED" => self.retention.apply(&self.own_name, number, view),
            "DATABASE_RESTORED" if self.report.restored.len() < MAX_RESTORED => {
                let origin = view.detail("origin").unwrap_or_default().to_owned();
                let size = view.detail("size").and_then(decimal).unwrap_or_default();
                self.report.restored.push(Restored { number, time_ms: view.time_ms, origin, size });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, key: &VerifierKey, kept: &[Option<Kept>]) -> Result<(), Bad> {
        let Some(log) = &self.log else { return Err(Bad::at(Place::Line(1), "the file is empty")) };
        self.runs.missing()?;
        let report = &mut self.report;
        self.retention.settle(&self.own_name, &self.own.redacted, &mut report.policies)?;
        let mut runs: Vec<_> = self.runs.by_name.iter().collect();
        runs.sort_by_key(|(name, _)| *name);
        for (name, run) in &runs {
            self.retention.settle(name, &run.chain.redacted, &mut report.policies)?;
        }
        self.seals.settle()?;
        if report.entries > 0 && self.seals.covered == 0 {
            let what = "no checkpoint of this file covers any entry; export again after the next checkpoint";
            return Err(Bad::entry(&self.own_name, 1, what));
        }
        report.runs = runs.iter().filter(|(_, run)| run.chain.number > 0).count() as u64;
        report.covered = self.seals.covered + runs.iter().map(|(_, run)| run.covered).sum::<u64>();
        let first = self.times.front().filter(|_| self.own.number > self.seals.covered);
        if let (Some((_, first)), Some(newest)) = (first, self.seals.newest_time())
            && newest.saturating_sub(*first) > 2 * LATE_MS
        {
            let (number, newest) = (self.seals.covered + 1, report::instant(newest));
            report.anomaly(|| {
                format!("no checkpoint covers entry {number} on, though one was signed later, at {newest}: ask why")
            });
        }
        let seen = Seen { log, seals: &self.seals, own: &self.asked, number: self.own.number };
        pinned::compare(kept, key, &seen, report)
    }
}

/// The id of the run whose chain has this name, if it is one of this tenant's.
fn run_of<'a>(own: &str, name: &'a str) -> Option<&'a str> {
    let (export, run) = name.strip_prefix(own)?.strip_prefix("/exports/")?.split_once("/runs/")?;
    let plain = |id: &str| !id.is_empty() && !id.contains('/');
    (plain(export) && plain(run)).then_some(run)
}
