//! A connection: a destination account, the consent to send data there, and who may use it.

use crate::{ConnectionName, Reason, Timestamp};
use serde::{Deserialize, Serialize};

/// Who may use a connection in exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionAccess {
    /// The default.
    Administrators,
    /// Shared: contributors see its name, display name and type, and manage exports on it.
    AdministratorsAndContributors,
}

/// Whether the connection can carry a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Its credentials were never tried.
    Unverified,
    /// The destination took its credentials.
    Ready,
    /// Somebody has to do something: the key was refused, the account lapsed.
    NeedsAttention,
}

/// Who agreed to what, when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The version of the text that was agreed to.
    pub text_version: String,
    /// When.
    pub accept_time: Timestamp,
    /// The subject of the administrator's token.
    pub accepted_by: String,
}

/// A connection as stored, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its name.
    pub name: ConnectionName,
    /// Never used again, even if the id is. Keys of the vault are bound to it.
    pub uid: String,
    /// For people.
    pub display_name: String,
    /// `activecampaign`.
    pub destination_type: String,
    /// The REST end point's host name, without a scheme.
    pub host: String,
    /// Names the secret in an external store; without it the secret is sealed here.
    pub secret_reference: Option<String>,
    /// Which version of the secret is in force; each new key has a new one.
    pub secret_version: u32,
    /// Since when.
    pub secret_set_time: Timestamp,
    /// Who may use it.
    pub access: ConnectionAccess,
    /// Who agreed to the transfer.
    pub consent: Consent,
    /// The identity that unattended runs act for.
    pub run_as: String,
    /// Whether it can carry a run.
    pub state: ConnectionState,
    /// Why it needs attention, exactly if it does.
    pub attention: Option<Reason>,
    /// Raised by a change of host, list or key that makes earlier plans void.
    pub generation: i64,
    /// Raised by each change; the etag.
    pub version: i64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
}
