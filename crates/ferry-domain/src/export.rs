//! An export: which segments go to which list of which connection, and how.

use crate::{ConnectionId, ExportName, RunId, SegmentId, Timestamp};
use serde::{Deserialize, Serialize};

/// Settings that depend on the destination's type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportSettings {
    /// ActiveCampaign.
    Activecampaign {
        /// The list that members are subscribed to.
        list_id: u32,
        /// True keeps the account's automations from starting for imported contacts.
        exclude_automations: bool,
    },
}

/// A field of the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationField {
    /// The identity; always mapped.
    Email,
    /// First name.
    FirstName,
    /// Last name.
    LastName,
    /// Phone number, sent as it is.
    Phone,
    /// A custom field by its number at the destination.
    Custom(u32),
}

impl DestinationField {
    /// Reads `email`, `first_name`, `last_name`, `phone`, or the number of a custom field.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "email" => Some(Self::Email),
            "first_name" => Some(Self::FirstName),
            "last_name" => Some(Self::LastName),
            "phone" => Some(Self::Phone),
            number => number.parse().ok().filter(|n| *n > 0).map(Self::Custom),
        }
    }
}

impl std::fmt::Display for DestinationField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Email => f.write_str("email"),
            Self::FirstName => f.write_str("first_name"),
            Self::LastName => f.write_str("last_name"),
            Self::Phone => f.write_str("phone"),
            Self::Custom(number) => write!(f, "{number}"),
        }
    }
}

/// One column of the segments that fills one field of the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldMapping {
    /// Where it goes.
    pub destination_field: DestinationField,
    /// Where it comes from; the column has the same name in each segment.
    pub profile_column: String,
}

/// What happens at the destination to those who left the segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeavePolicy {
    /// Nothing. The default.
    Keep,
    /// A custom field says who is a member; reversible.
    SetField {
        /// The custom field's number.
        field: u32,
        /// Its value for members.
        member_value: String,
        /// Its value for those who left.
        left_value: String,
    },
    /// They are unsubscribed from the list, for good.
    Unsubscribe,
}

/// When an export runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// With every scheduled refresh of the tenant. The default.
    WithRefresh,
    /// On its own recurrence.
    Own {
        /// A cron expression of five fields.
        cron: String,
        /// An IANA time zone.
        time_zone: String,
    },
    /// Only on demand.
    Off,
}

/// An export as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: ExportName,
    /// Never used again, even if the id is.
    pub uid: String,
    /// For people.
    pub display_name: String,
    /// The connection; nothing when detached.
    pub connection: Option<ConnectionId>,
    /// The segments, in the order in which they are read.
    pub segments: Vec<SegmentId>,
    /// What depends on the destination's type.
    pub settings: ExportSettings,
    /// Which column fills which field.
    pub field_mappings: Vec<FieldMapping>,
    /// What happens to those who left.
    pub leave_policy: LeavePolicy,
    /// When it runs by itself.
    pub schedule: Schedule,
    /// Its newest run that was not a dry run.
    pub latest_run: Option<RunId>,
    /// The subject of the token that changed it last.
    pub updated_by: String,
    /// Raised by each change; the etag.
    pub version: i64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
}
