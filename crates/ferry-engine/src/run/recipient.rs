//! To whom a run sends, and what for: what each intent says of that on record.

use super::RunContext;
use ferry_domain::export::DestinationField;
use ferry_domain::{Export, LeavePolicy};
use ferry_store::{PlanRecord, Recipient, Sends};
use std::sync::Arc;

/// Characters of a purpose, at most.
const PURPOSE: usize = 200;

/// The recipient of those who are members, and of those who left: other fields of theirs are filled.
#[derive(Clone)]
pub(super) struct Recipients {
    members: Arc<Recipient>,
    left: Arc<Recipient>,
}

impl Recipients {
    /// As planned: a run that is taken up after a crash says the same, whatever the export says by now.
    pub(super) fn of(context: &RunContext, plan: &PlanRecord) -> Self {
        let export = &context.export;
        let fields = plan.fields.clone().unwrap_or_else(|| fields(export));
        // A plan from before the host was kept is for the connection that it was made for, which has not changed.
        let host = if plan.host.is_empty() { context.connection.host.clone() } else { plan.host.clone() };
        let purpose = plan.purpose.clone().unwrap_or_else(|| purpose(export));
        let members = Recipient { host, list: plan.list, purpose, fields };
        let left = Recipient { fields: fields_of_who_left(export), ..members.clone() };
        Self { members: Arc::new(members), left: Arc::new(left) }
    }

    /// Of one batch, which has only the one kind or the other.
    pub(super) fn of_batch(&self, removal: bool) -> (Arc<Recipient>, Sends) {
        if removal { (Arc::clone(&self.left), Sends::TakeOff) } else { (Arc::clone(&self.members), Sends::Put) }
    }
}

/// What the data of an export is for: its name, which people gave it, and which holds no personal data.
pub(super) fn purpose(export: &Export) -> String {
    export.display_name.chars().take(PURPOSE).collect()
}

/// The destination fields that an export fills for members.
pub(super) fn fields(export: &Export) -> String {
    let mapped = export.field_mappings.iter().map(|mapping| mapping.destination_field);
    let set = match export.leave_policy {
        LeavePolicy::SetField { field, .. } => Some(DestinationField::Custom(field)),
        LeavePolicy::Keep | LeavePolicy::Unsubscribe => None,
    };
    joined(mapped.chain(set))
}

fn fields_of_who_left(export: &Export) -> String {
    let set = match export.leave_policy {
        LeavePolicy::SetField { field, .. } => Some(DestinationField::Custom(field)),
        LeavePolicy::Keep | LeavePolicy::Unsubscribe => None,
    };
    joined([DestinationField::Email].into_iter().chain(set))
}

fn joined(fields: impl Iterator<Item = DestinationField>) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in fields.map(|field| field.to_string()) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(",")
}
