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

/// How many a run may remove before another administrator has to let it go on. Above either bound it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalGuard {
    /// Of those who are known as members at the destination, in percent.
    pub max_percent: u32,
    /// People.
    pub max_number: u64,
}

impl Default for RemovalGuard {
    fn default() -> Self {
        Self { max_percent: 10, max_number: 10_000 }
    }
}

impl RemovalGuard {
    /// Why a run that removes this many of the known members has to wait; empty if it need not.
    #[must_use]
    pub fn held(&self, removals: u64, members: u64) -> Vec<String> {
        let mut reasons = Vec::new();
        if u128::from(removals) * 100 > u128::from(self.max_percent) * u128::from(members) {
            reasons.push(format!(
                "it removes {removals} of the {members} people who are known as members at the destination; more than \
                 {} percent need an approval",
                self.max_percent
            ));
        }
        if removals > self.max_number {
            let most = self.max_number;
            reasons.push(format!("it removes {removals} people; more than {most} need an approval"));
        }
        reasons
    }
}

/// When an export runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// With every scheduled refresh of the tenant. The default.
    #[default]
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
    /// How many of them a run may remove without approval.
    pub removal_guard: RemovalGuard,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_holds_above_its_bounds_and_not_at_them() {
        let guard = RemovalGuard::default();
        assert!(
            guard.held(0, 0).is_empty() && guard.held(10, 100).is_empty() && guard.held(10_000, 100_000).is_empty()
        );
        assert_eq!(guard.held(11, 100).len(), 1);
        assert_eq!(guard.held(10_001, 1_000_000).len(), 1);
        assert_eq!(guard.held(20_000, 100_000).len(), 2);
        assert_eq!(guard.held(1, 0).len(), 1, "nobody is known, and somebody would be removed");
        let none = RemovalGuard { max_percent: 0, max_number: 0 };
        assert!(none.held(0, 5).is_empty());
        assert_eq!(none.held(1, 5).len(), 2);
        let all = RemovalGuard { max_percent: 100, max_number: u64::MAX };
        assert!(all.held(u64::MAX, u64::MAX).is_empty());
    }
}
