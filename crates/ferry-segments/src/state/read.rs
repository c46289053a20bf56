//! Reads an export state, in order and with a memory that does not grow with it.

use super::entry;
use super::standing::{STANDING_BYTES, Standing};
use super::{Refused, StateEntry, StateFile, form};
use crate::digest::Digest;
use crate::sealed::{self, PlanError, SealedFile};
use arrow_array::{Array, BinaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

/// Whether the addresses are read as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateEmails {
    /// They are.
    Read,
    /// They are left where they are.
    Skipped,
}

const COLUMNS: [&str; 7] = ["identity", "confirmed", "maybe", "refused", "refused_reason", "refused_ms", "email"];

/// Reads an export state from its first entry to its last.
pub struct StateReader {
    file: SealedFile,
    reader: ParquetRecordBatchReader,
    emails: StateEmails,
    batch: Option<Columns>,
    last: Option<[u8; 16]>,
    digest: Option<Digest>,
    wanted: [u8; 32],
}

struct Columns {
    next: usize,
    identity: FixedSizeBinaryArray,
    confirmed: FixedSizeBinaryArray,
    maybe: BinaryArray,
    refused: FixedSizeBinaryArray,
    reason: StringArray,
    time: Int64Array,
    email: Option<StringArray>,
}

impl StateReader {
    /// Opens a state.
    pub fn open(state: &StateFile, emails: StateEmails) -> Result<Self, PlanError> {
        let file = SealedFile::open(&state.place.path, &state.place.key, &state.place.aad, &form())?;
        let columns = match emails {
            StateEmails::Read => &COLUMNS[..],
            StateEmails::Skipped => &COLUMNS[..COLUMNS.len() - 1],
        };
        let reader = file.read_from(0, columns)?;
        let digest = Some(entry::digest());
        Ok(Self { file, reader, emails, batch: None, last: None, digest, wanted: state.digest })
    }

    /// How many entries it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.file.rows()
    }

    /// The next entry. At the end, where there is none, all of them together were those that the digest is of; a state
    /// that is another is an error there, so nothing may be kept of what was made from it before.
    pub fn next_entry(&mut self) -> Result<Option<StateEntry>, PlanError> {
        while self.batch.as_ref().is_none_or(|batch| batch.next == batch.identity.len()) {
            match self.reader.next() {
                Some(batch) => self.batch = Some(Columns::of(&batch?, self.emails)?),
                None => return self.end(),
            }
        }
        let Some(batch) = &mut self.batch else { return Ok(None) };
        let entry = batch.entry()?;
        if self.last.is_some_and(|last| last >= entry.identity) {
            return Err(PlanError::Sealed("its entries are not in order".to_owned()));
        }
        self.last = Some(entry.identity);
        if let Some(digest) = &mut self.digest {
            entry.digest_into(digest);
        }
        Ok(Some(entry))
    }

    fn end(&mut self) -> Result<Option<StateEntry>, PlanError> {
        match self.digest.take().map(Digest::finish) {
            Some(found) if found != self.wanted => {
                Err(PlanError::Sealed("its entries are not those that were adopted".to_owned()))
            }
            _ => Ok(None),
        }
    }
}

impl Columns {
    fn of(batch: &RecordBatch, emails: StateEmails) -> Result<Self, PlanError> {
        let fixed = |name, bytes: usize| {
            let column = sealed::column::<FixedSizeBinaryArray>(batch, name)?;
            let fits = usize::try_from(column.value_length()).is_ok_and(|length| length == bytes);
            if fits { Ok(column.clone()) } else { Err(sealed::other_columns()) }
        };
        let email = match emails {
            StateEmails::Read => Some(sealed::column::<StringArray>(batch, "email")?.clone()),
            StateEmails::Skipped => None,
        };
        Ok(Self {
            next: 0,
            identity: fixed("identity", 16)?,
            confirmed: fixed("confirmed", STANDING_BYTES)?,
            maybe: sealed::column::<BinaryArray>(batch, "maybe")?.clone(),
            refused: fixed("refused", STANDING_BYTES)?,
            reason: sealed::column::<StringArray>(batch, "refused_reason")?.clone(),
            time: sealed::column::<Int64Array>(batch, "refused_ms")?.clone(),
            email,
        })
    }

    fn entry(&mut self) -> Result<StateEntry, PlanError> {
        let row = self.next;
        self.next += 1;
        let other = || PlanError::Sealed("it has an entry that is none".to_owned());
        let standing = |bytes: &[u8]| Standing::decode(bytes).ok_or_else(other);
        let some = |bytes: &[u8]| standing(bytes)?.ok_or_else(other);
        let maybe = if self.maybe.is_valid(row) { self.maybe.value(row) } else { &[] };
        let refused = || {
            Ok::<_, PlanError>(Refused {
                standing: some(self.refused.value(row))?,
                reason: self.reason.value(row).to_owned(),
                time_ms: self.time.value(row),
            })
        };
        Ok(StateEntry {
            identity: self.identity.value(row).try_into().map_err(|_| other())?,
            confirmed: standing(self.confirmed.value(row))?,
            maybe: maybe.chunks(STANDING_BYTES).map(some).collect::<Result<_, _>>()?,
            refused: self.refused.is_valid(row).then(refused).transpose()?,
            email: self.email.as_ref().map(|email| email.value(row).to_owned()).unwrap_or_default(),
        })
    }
}

/// Goes along a state beside something else that is sorted by identity. No state is one without entries.
pub(crate) struct StateCursor {
    reader: Option<StateReader>,
    ahead: Option<StateEntry>,
}

impl StateCursor {
    pub(crate) fn open(state: Option<&StateFile>, emails: StateEmails) -> Result<Self, PlanError> {
        let reader = state.map(|state| StateReader::open(state, emails)).transpose()?;
        let mut cursor = Self { reader, ahead: None };
        cursor.advance()?;
        Ok(cursor)
    }

    fn advance(&mut self) -> Result<Option<StateEntry>, PlanError> {
        let next = match &mut self.reader {
            Some(reader) => reader.next_entry()?,
            None => None,
        };
        Ok(std::mem::replace(&mut self.ahead, next))
    }

    pub(crate) fn peek(&self) -> Option<&StateEntry> {
        self.ahead.as_ref()
    }

    /// The next entry, if it is before this identity; any, for nothing.
    pub(crate) fn next_before(&mut self, identity: Option<&[u8; 16]>) -> Result<Option<StateEntry>, PlanError> {
        let before = |entry: &StateEntry| identity.is_none_or(|identity| entry.identity < *identity);
        if self.ahead.as_ref().is_some_and(before) { self.advance() } else { Ok(None) }
    }

    /// The next entry, if it is of this identity.
    pub(crate) fn next_of(&mut self, identity: &[u8; 16]) -> Result<Option<StateEntry>, PlanError> {
        if self.ahead.as_ref().is_some_and(|entry| entry.identity == *identity) { self.advance() } else { Ok(None) }
    }
}
