//! Where people's data has gone: which files say so. The people are in the files, as keyed digests; here is which file of
//! an export and a list counts, and which runs have sent something that is in none of them yet.
//!
//! A run is noted in the transaction that adopts its plan, before it can send anything, and stays noted until what it
//! sent is in an adopted file. So whatever was sent is found in the one place or in the other.

mod advance;
mod find;
mod unfolded;

pub use advance::RecipientsAdvance;
pub use find::RecipientsFiles;
pub use unfolded::{SentBatch, Unfolded};

pub(crate) use unfolded::note;

use crate::entity::recipients;
use crate::error::corrupt;
use ferry_domain::{Result, TenantId};

/// One list of one account that one export sends to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientsKey {
    /// The export's uid.
    pub export_uid: String,
    /// The connection's uid.
    pub connection_uid: String,
    /// The connection's generation: another one is another account.
    pub generation: i64,
    /// The list.
    pub list: u32,
}

/// The recipients file that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientsRecord {
    /// Whose.
    pub tenant: TenantId,
    /// Of what.
    pub key: RecipientsKey,
    /// From 1, raised by each run that changes it.
    pub number: u64,
    /// The file's checksum.
    pub digest: [u8; 32],
    /// People in it.
    pub rows: u64,
}

fn to_domain(row: recipients::Model) -> Result<RecipientsRecord> {
    let number = |number: i64| u64::try_from(number).map_err(|error| corrupt("recipients", error));
    Ok(RecipientsRecord {
        tenant: TenantId::parse(&row.tenant).map_err(|error| corrupt("recipients", error))?,
        key: RecipientsKey {
            export_uid: row.export_uid,
            connection_uid: row.connection_uid,
            generation: row.connection_generation,
            list: u32::try_from(row.list).map_err(|error| corrupt("recipients", error))?,
        },
        number: number(row.number)?,
        digest: row.digest.try_into().map_err(|_| corrupt("recipients", "the digest has another length"))?,
        rows: number(row.rows)?,
    })
}
