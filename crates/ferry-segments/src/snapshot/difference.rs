//! The second pass: the rows, now sorted by identity, beside the state. Whoever is new or changed becomes a row of the
//! plan at once; whoever left waits until all members are written, because removals come after them.

use super::classify::{Departure, Rule, Rules, Verdict};
use super::intake::Taken;
use super::others::Others;
use super::partition;
use super::record::{self, Record};
use super::spill::{Spill, broken};
use super::{Leavers, PlanSummary, Renderers, Row, SnapshotControl, SnapshotError, SnapshotSpec};
use crate::mark::Marker;
use crate::normalise::RejectReason;
use crate::pack::Packer;
use crate::plan::{NewRow, PlanWriter};
use crate::rejected::{RejectedRow, RejectedWriter, Stage};
use crate::samples::{Action, Samples};
use crate::state::{Left, Standing, StateCursor, StateEmails, StateEntry};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Why a row of somebody is left out whom an erasure suppresses.
const SUPPRESSED: &str = "SUPPRESSED";
/// People between two looks at whether to stop.
const LOOK: u64 = 1_024;

pub(super) struct Difference<'a> {
    spec: &'a SnapshotSpec,
    renderers: &'a Renderers<'a>,
    control: &'a SnapshotControl,
    rules: Rules,
    marker: Marker,
    state: StateCursor,
    others: Others<'a>,
    plan: PlanWriter,
    packer: Packer,
    rejected: RejectedWriter,
    samples: Samples,
    /// Those who left, in the order of their identities.
    leavers: Spill,
    body: Vec<u8>,
    people: u64,
    summary: PlanSummary,
}

/// The files of a plan, whole but not in their places.
pub(super) struct Made {
    pub(super) plan: PlanWriter,
    pub(super) rejected: RejectedWriter,
    pub(super) samples: Samples,
    pub(super) summary: PlanSummary,
}

/// Compares what the first pass took in with the state.
pub(super) fn compare(
    spec: &SnapshotSpec,
    renderers: &Renderers<'_>,
    taken: Taken,
    spill_path: &Path,
    control: &SnapshotControl,
) -> Result<Made, SnapshotError> {
    let emails = if spec.leavers == Leavers::Keep { StateEmails::Skipped } else { StateEmails::Read };
    let fields = spec.fields.iter().map(|field| &field.field).chain(spec.constants.iter().map(|field| &field.field));
    let Taken { spill, mut rejected, summary, suppressed } = taken;
    keep_back_suppressed(spec, &suppressed, &mut rejected)?;
    let mut difference = Difference {
        rules: Rules { full_resync: spec.full_resync, now_ms: spec.now_ms, left: left(spec) },
        marker: Marker::new(&spec.digest_key, fields.map(String::as_str)),
        state: StateCursor::open(spec.base.as_ref(), emails)?,
        others: Others::new(&spec.others),
        plan: PlanWriter::create(&spec.plan.path, &spec.plan.key, &spec.plan.aad)?,
        packer: Packer::new(spec.pack),
        rejected,
        samples: Samples::default(),
        leavers: Spill::create(spill_path, 1)?,
        body: Vec::new(),
        people: 0,
        summary,
        spec,
        renderers,
        control,
    };
    partition::for_each(&spill, spill_path, &mut |part| difference.part(part))?;
    drop(spill);
    difference.finish()
}

/// A row for each suppressed person says that somebody was left out, and nothing of whom.
fn keep_back_suppressed(spec: &SnapshotSpec, of: &[u64], rejected: &mut RejectedWriter) -> Result<(), SnapshotError> {
    for (segment, rows) in spec.segments.iter().zip(of) {
        for _ in 0..*rows {
            rejected.push(RejectedRow {
                segment: segment.id().to_owned(),
                line: None,
                stage: Stage::Excluded,
                reason: SUPPRESSED.to_owned(),
                destination_reason: None,
                email: None,
            })?;
        }
    }
    Ok(())
}

/// As what those who left are to stand.
fn left(spec: &SnapshotSpec) -> Option<Standing> {
    match &spec.leavers {
        Leavers::Keep => None,
        Leavers::SetField { field, left_value } => {
            let mark = Marker::new(&spec.digest_key, [field.as_str()].into_iter()).mark("", &[Some(left_value)]);
            Some(Standing::Left(Left::SetField(mark)))
        }
        Leavers::Unsubscribe => Some(Standing::Left(Left::Unsubscribed)),
    }
}

impl Difference<'_> {
    fn part(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut places = record::places(bytes)?;
        // By identity, and those of one identity in the order in which they were read.
        places.sort_unstable();
        let mut values = Vec::new();
        for twins in places.chunk_by(|one, other| one.0 == other.0) {
            let mut first = None;
            for (_, place) in twins {
                let record = Record::read(bytes.get(*place..).ok_or_else(broken)?)?;
                match &first {
                    None => first = record.fits.then_some(record),
                    Some(_) => self.summary.twins += u64::from(record.fits),
                }
            }
            let identity = twins.first().map(|(identity, _)| identity.to_be_bytes()).unwrap_or_default();
            self.leave_before(Some(&identity))?;
            let entry = self.state.next_of(&identity)?;
            self.look(entry.as_ref())?;
            let Some(first) = first else { continue };
            values.clear();
            first.values(&mut values)?;
            values.extend(self.spec.constants.iter().map(|constant| Some(constant.value.as_str())));
            self.member(&first, &values, entry.as_ref())?;
        }
        self.control.planned.store(self.summary.planned, Ordering::Relaxed);
        Ok(())
    }

    /// Once for each person.
    fn look(&mut self, entry: Option<&StateEntry>) -> Result<(), SnapshotError> {
        self.summary.known += u64::from(entry.is_some_and(StateEntry::may_be_member));
        self.summary.unsubscribed += u64::from(entry.is_some_and(StateEntry::may_be_unsubscribed));
        self.people += 1;
        if self.people.is_multiple_of(LOOK) { super::check(self.control) } else { Ok(()) }
    }

    fn member(
        &mut self,
        record: &Record<'_>,
        values: &[Option<&str>],
        entry: Option<&StateEntry>,
    ) -> Result<(), SnapshotError> {
        let standing = Standing::Member(self.marker.mark(record.email, values));
        let action = match self.rules.member(entry, standing) {
            Verdict::Unchanged => {
                self.summary.unchanged += 1;
                return Ok(());
            }
            Verdict::Excluded(rule) => return self.exclude(record, values, &rule),
            Verdict::Add => Action::Add,
            Verdict::Change => Action::Change,
        };
        self.body.clear();
        (self.renderers.member)(&Row { email: record.email, values }, &mut self.body);
        if !self.packer.fits(self.body.len()) {
            self.summary.reject(RejectReason::RowTooLarge);
            return self.keep_back(record, Stage::Rejected, RejectReason::RowTooLarge.as_str(), None);
        }
        match action {
            Action::Add => self.summary.adds += 1,
            _ => self.summary.changes += 1,
        }
        self.summary.planned += 1;
        self.packer.push(self.body.len());
        let names = names(self.spec);
        self.samples.offer(action, record.email, names.zip(values.iter().copied()), String::new);
        let row = NewRow { identity: record.identity, standing, email: record.email, body: &self.body };
        Ok(self.plan.push(&row)?)
    }

    fn exclude(&mut self, record: &Record<'_>, values: &[Option<&str>], rule: &Rule<'_>) -> Result<(), SnapshotError> {
        self.summary.excluded += 1;
        let names = names(self.spec);
        self.samples
            .offer(Action::Refuse, record.email, names.zip(values.iter().copied()), || rule.reason().to_owned());
        self.keep_back(record, Stage::Excluded, rule.reason(), rule.destination_reason())
    }

    fn keep_back(
        &mut self,
        record: &Record<'_>,
        stage: Stage,
        reason: &str,
        destination_reason: Option<&str>,
    ) -> Result<(), SnapshotError> {
        let segment = usize::try_from(record.segment).ok().and_then(|place| self.spec.segments.get(place));
        self.rejected.push(RejectedRow {
            segment: segment.map(|segment| segment.id().to_owned()).unwrap_or_default(),
            line: Some(record.line),
            stage,
            reason: reason.to_owned(),
            destination_reason: destination_reason.map(str::to_owned),
            email: Some(record.email.to_owned()),
        })?;
        Ok(())
    }

    /// Those of the state before an identity are in no segment; all that are left, for nothing.
    fn leave_before(&mut self, identity: Option<&[u8; 16]>) -> Result<(), SnapshotError> {
        while let Some(entry) = self.state.next_before(identity)? {
            self.look(Some(&entry))?;
            // The erasure takes them off; here they would be written once more.
            if self.spec.suppressed.contains(&entry.identity) {
                continue;
            }
            let standing = match self.rules.leaver(&entry) {
                Departure::None => continue,
                Departure::RefusedBefore => {
                    self.summary.refused_before += 1;
                    continue;
                }
                Departure::Due(standing) => standing,
            };
            if standing.is_unsubscribed() && self.others.hold(&entry.identity)? {
                self.summary.held_elsewhere += 1;
                continue;
            }
            self.leave(&entry)?;
        }
        Ok(())
    }

    fn leave(&mut self, entry: &StateEntry) -> Result<(), SnapshotError> {
        let address = entry.address(&self.spec.digest_key)?;
        self.summary.removals += 1;
        let values = match &self.spec.leavers {
            Leavers::SetField { field, left_value } => Some((field.as_str(), Some(left_value.as_str()))),
            Leavers::Keep | Leavers::Unsubscribe => None,
        };
        self.samples.offer(Action::Remove, address, values.into_iter(), String::new);
        let record = Record::new(entry.identity, 0, 0, address);
        self.leavers.push(0, |out| record.write(std::iter::empty::<Option<&str>>(), out))?;
        Ok(())
    }

    fn finish(mut self) -> Result<Made, SnapshotError> {
        self.leave_before(None)?;
        self.others.finish()?;
        self.leavers.seal()?;
        self.summary.batch_rows = self.packer.finish();
        self.packer = Packer::new(self.spec.pack);
        if let Some(standing) = self.rules.left {
            self.write_leavers(standing)?;
        }
        self.summary.removal_batch_rows = self.packer.finish();
        super::check(self.control)?;
        Ok(Made { plan: self.plan, rejected: self.rejected, samples: self.samples, summary: self.summary })
    }

    fn write_leavers(&mut self, standing: Standing) -> Result<(), SnapshotError> {
        let mut bytes = Vec::new();
        for chunk in 0..self.leavers.chunks(0) {
            super::check(self.control)?;
            bytes.clear();
            self.leavers.read(0, chunk, &mut bytes)?;
            for (_, place) in record::places(&bytes)? {
                let record = Record::read(bytes.get(place..).ok_or_else(broken)?)?;
                self.body.clear();
                (self.renderers.left)(record.email, &mut self.body);
                self.packer.push(self.body.len());
                let row = NewRow { identity: record.identity, standing, email: record.email, body: &self.body };
                self.plan.push(&row)?;
            }
        }
        Ok(())
    }
}

/// The destination fields of a row's values.
fn names(spec: &SnapshotSpec) -> impl Iterator<Item = &str> {
    let mapped = spec.fields.iter().map(|field| field.field.as_str());
    mapped.chain(spec.constants.iter().map(|constant| constant.field.as_str()))
}
