//! The two records side by side, and who is lost between them. Findings name batches and attempts, never people.

use super::record::{Batch, Record};
use ferry_proto::v1::RunCounts;
use ferry_sim::{History, SeenRequest};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// See the module.
pub(super) struct Case<'a> {
    pub(super) record: &'a Record,
    pub(super) history: &'a History,
    due: &'a BTreeSet<String>,
    /// Imports by the attempt that they name.
    pub(super) seen: HashMap<&'a str, Vec<&'a SeenRequest>>,
    /// Who is in which batch, for those of which an import was accepted.
    pub(super) contents: BTreeMap<u32, &'a [String]>,
}

/// What became of rows of the plan, by the batches on record alone.
#[derive(Default)]
struct Tally {
    confirmed: u64,
    refused: u64,
    unknown: u64,
    confirmed_addresses: BTreeSet<String>,
    confirmed_twice: u64,
    unknown_addresses: BTreeSet<String>,
}

impl Tally {
    fn add(&mut self, batch: &Batch, contents: &[String]) {
        let (rows, refused) = (batch.kept.len() as u64, batch.refused.len() as u64);
        match batch.state.as_str() {
            "settled" => {
                self.refused += refused;
                self.confirmed += rows - refused;
                let rows = batch.kept.iter().zip(contents);
                for (_, address) in rows.filter(|(offset, _)| !batch.refused.contains(offset)) {
                    self.confirmed_twice += u64::from(!self.confirmed_addresses.insert(address.clone()));
                }
            }
            // The rest is its child's, or was not sent.
            "split" => self.refused += refused,
            "due" if !batch.may_have_arrived => {}
            _ => {
                self.unknown += rows;
                self.unknown_addresses.extend(contents.iter().cloned());
            }
        }
    }

    /// Confirmed, refused, unknown, and what is left of so many rows.
    fn of(&self, rows: u64) -> [u64; 4] {
        let (confirmed, refused, unknown) = (self.confirmed, self.refused, self.unknown);
        [confirmed, refused, unknown, rows.saturating_sub(confirmed + refused + unknown)]
    }
}

impl<'a> Case<'a> {
    pub(super) fn new(record: &'a Record, history: &'a History, due: &'a BTreeSet<String>) -> Self {
        let mut seen: HashMap<&str, Vec<&SeenRequest>> = HashMap::new();
        for request in history.requests.iter().filter(|request| request.is_import) {
            seen.entry(request.attempt.as_deref().unwrap_or_default()).or_default().push(request);
        }
        let mut contents = BTreeMap::new();
        for attempt in &record.attempts {
            let requests = seen.get(attempt.id.as_str()).into_iter().flatten();
            let accepted = requests.filter_map(|request| request.accepted.as_ref());
            contents.extend(accepted.map(|import| (attempt.seq, import.addresses.as_slice())));
        }
        Self { record, history, due, seen, contents }
    }

    /// Both equations, and everyone due in exactly one place.
    pub(super) fn no_loss(&self, findings: &mut Vec<String>) {
        let counts = self.record.run.counts.unwrap_or_default();
        if self.record.run.end_time.is_none() || !crate::adds_up(&counts) {
            findings.push(format!("no loss: the run has not ended, or its account does not add up: {counts:?}"));
        }
        let members = self.tally(false);
        self.numbers(&counts, &members, findings);
        self.people(&counts, &members, findings);
    }

    fn tally(&self, removes: bool) -> Tally {
        let mut tally = Tally::default();
        for (seq, batch) in self.record.batches.iter().filter(|(_, batch)| batch.removes == removes) {
            tally.add(batch, self.contents.get(seq).copied().unwrap_or_default());
        }
        tally
    }

    /// The run's account is that of its batches and of the rows that it streams.
    fn numbers(&self, counts: &RunCounts, members: &Tally, findings: &mut Vec<String>) {
        let c = counts;
        let planned = (self.due.len() as u64).saturating_sub((c.unchanged + c.excluded).cast_unsigned());
        let told = [c.confirmed, c.refused, c.unknown, c.not_sent].map(i64::cast_unsigned);
        let of_removals = [c.removals_confirmed, c.removals_refused, c.removals_unknown, c.removals_not_sent];
        let removals = self.tally(true).of(c.removals.cast_unsigned());
        for (ours, told) in [(members.of(planned), told), (removals, of_removals.map(i64::cast_unsigned))] {
            if ours != told {
                findings.push(format!(
                    "no loss: the batches say {ours:?} (confirmed, refused, unknown, not sent), the run says {told:?}"
                ));
            }
        }
        let streamed = [self.record.rejected, self.record.refused.len() as u64];
        let counted = [c.rejected, c.refused + c.removals_refused].map(i64::cast_unsigned);
        let without_reason = self.record.refused.iter().filter(|(_, reason)| !reason).count();
        if streamed != counted || without_reason > 0 {
            findings.push(format!(
                "no loss: {streamed:?} rows (rejected, refused) are streamed, {without_reason} of them without a \
                 reason; {counted:?} are counted"
            ));
        }
    }

    /// Everyone due is in one place, and nobody else is anywhere.
    fn people(&self, counts: &RunCounts, members: &Tally, findings: &mut Vec<String>) {
        let mut tell = |text: String| findings.push(format!("no loss: {text}"));
        let (confirmed, twice) = (&members.confirmed_addresses, members.confirmed_twice);
        let refused: BTreeSet<&String> = self.record.refused.iter().map(|(address, _)| address).collect();
        let strangers = confirmed.iter().filter(|address| !self.due.contains(*address)).count();
        let both = confirmed.iter().filter(|address| refused.contains(address)).count();
        if strangers + both > 0 || twice > 0 {
            tell(format!("{strangers} strangers, {both} both confirmed and refused, {twice} confirmed twice"));
        }
        let left = |address: &&String| !confirmed.contains(*address) && !refused.contains(address);
        let left: Vec<&String> = self.due.iter().filter(left).collect();
        let open = (counts.unknown + counts.not_sent + counts.unchanged + counts.excluded).cast_unsigned();
        if left.len() as u64 != open {
            tell(format!("{} of {} have no outcome, the run says {open}", left.len(), self.due.len()));
        }
        let accepted: BTreeSet<&String> = self.contents.values().copied().flatten().collect();
        let unknown = &members.unknown_addresses;
        let forgotten = left.iter().filter(|who| accepted.contains(**who) && !unknown.contains(**who)).count();
        if forgotten > 0 {
            tell(format!("{forgotten} were accepted by the simulator, and the run says that they were not sent"));
        }
    }

    /// Deliveries of this run beyond the first of each profile.
    pub(super) fn extra(&self) -> u64 {
        let mut delivered: HashMap<&String, u64> = HashMap::new();
        for attempt in &self.record.attempts {
            let requests = self.seen.get(attempt.id.as_str()).into_iter().flatten();
            for address in requests.filter_map(|request| request.accepted.as_ref()).flat_map(|import| &import.addresses)
            {
                *delivered.entry(address).or_default() += 1;
            }
        }
        delivered.values().map(|times| times - 1).sum()
    }
}
