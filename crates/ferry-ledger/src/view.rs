//! An entry that borrows from its bytes: what decoding makes, and what a verifier of a million entries reads.

use crate::entry::{Entry, EntryError, EntryResult, MAX_BODY, VERSION};

/// The fields of an entry, within its bytes.
pub(crate) struct EntryView<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) chain: &'a str,
    pub(crate) number: u64,
    pub(crate) time_ms: i64,
    pub(crate) kind: &'a str,
    actor: &'a str,
    actor_role: &'a str,
    required_role: &'a str,
    pub(crate) object: &'a str,
    result: EntryResult,
    reason: &'a str,
    correlation_id: &'a str,
    origin: &'a str,
    details: Vec<(&'a str, &'a str)>,
}

impl<'a> EntryView<'a> {
    /// Reads canonical bytes and no others. Allocates for what is there, never for what a length claims.
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, EntryError> {
        if body.len() > MAX_BODY {
            return Err(EntryError::TooLarge(body.len()));
        }
        let mut rest = Rest(body);
        match rest.take(1, "version")?[0] {
            VERSION => {}
            other => return Err(EntryError::Version(other)),
        }
        let view = Self {
            tenant: rest.text("tenant")?,
            chain: rest.text("chain")?,
            number: u64::from_be_bytes(rest.exact("number")?),
            time_ms: i64::from_be_bytes(rest.exact("time_ms")?),
            kind: rest.text("kind")?,
            actor: rest.text("actor")?,
            actor_role: rest.text("actor_role")?,
            required_role: rest.text("required_role")?,
            object: rest.text("object")?,
            result: match rest.exact::<1>("result")? {
                [1] => EntryResult::Ok,
                [2] => EntryResult::Denied,
                [3] => EntryResult::Failed,
                _ => return Err(EntryError::Field("result")),
            },
            reason: rest.text("reason")?,
            correlation_id: rest.text("correlation_id")?,
            origin: rest.text("origin")?,
            details: rest.details()?,
        };
        match rest.0.len() {
            0 if view.number == 0 => Err(EntryError::Field("number")),
            0 => Ok(view),
            left => Err(EntryError::Long(left)),
        }
    }

    pub(crate) fn detail(&self, key: &str) -> Option<&'a str> {
        let place = self.details.binary_search_by(|(each, _)| each.as_bytes().cmp(key.as_bytes())).ok()?;
        Some(self.details[place].1)
    }

    pub(crate) fn to_entry(&self) -> Entry {
        Entry {
            tenant: self.tenant.to_owned(),
            chain: self.chain.to_owned(),
            number: self.number,
            time_ms: self.time_ms,
            kind: self.kind.to_owned(),
            actor: self.actor.to_owned(),
            actor_role: self.actor_role.to_owned(),
            required_role: self.required_role.to_owned(),
            object: self.object.to_owned(),
            result: self.result,
            reason: self.reason.to_owned(),
            correlation_id: self.correlation_id.to_owned(),
            origin: self.origin.to_owned(),
            details: self.details.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize, name: &'static str) -> Result<&'a [u8], EntryError> {
        let (taken, left) = self.0.split_at_checked(bytes).ok_or(EntryError::Short(name))?;
        self.0 = left;
        Ok(taken)
    }

    fn count(&mut self, name: &'static str) -> Result<usize, EntryError> {
        let bytes = self.take(4, name)?;
        Ok(bytes.iter().fold(0, |count, &byte| (count << 8) | usize::from(byte)))
    }

    fn field(&mut self, name: &'static str) -> Result<&'a [u8], EntryError> {
        let length = self.count(name)?;
        self.take(length, name)
    }

    fn text(&mut self, name: &'static str) -> Result<&'a str, EntryError> {
        std::str::from_utf8(self.field(name)?).map_err(|_| EntryError::Field(name))
    }

    fn exact<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], EntryError> {
        self.field(name)?.try_into().map_err(|_| EntryError::Field(name))
    }

    fn details(&mut self) -> Result<Vec<(&'a str, &'a str)>, EntryError> {
        let count = self.count("details")?;
        // Each takes eight bytes at least, so a count that is a lie is no allocation.
        if count > self.0.len() / 8 {
            return Err(EntryError::Short("details"));
        }
        let mut details: Vec<(&str, &str)> = Vec::with_capacity(count);
        for _ in 0..count {
            let (key, value) = (self.text("details")?, self.text("details")?);
            if details.last().is_some_and(|(last, _)| last.as_bytes() >= key.as_bytes()) {
                return Err(EntryError::Field("details"));
            }
            details.push((key, value));
        }
        Ok(details)
    }
}
