//! What a run asks of the destination before it reads a million rows for it.

use super::{RunContext, asked, retry};
use crate::failure::{self, Stop};
use ferry_destinations::activecampaign::{CallError, Fields};
use ferry_domain::export::DestinationField;
use ferry_domain::{Culprit, ExportSettings, LeavePolicy, Reason, Severity};
use ferry_lanes::{Class, Slot};
use std::sync::Arc;
use std::time::Duration;

/// The list and the custom fields must exist before a million rows are read for them.
pub(super) async fn check(context: &Arc<RunContext>) -> Result<(), Stop> {
    let ExportSettings::Activecampaign { list_id, .. } = context.export.settings;
    if ask(context, || context.destination.list(list_id)).await?.is_none() {
        let message = format!("list {list_id} does not exist in the account; choose another with UpdateExport");
        return Err(failure::failed(Reason::ListNotFound, Culprit::User, Severity::Permanent, message));
    }
    if context.takes_off.is_some() {
        return Ok(());
    }
    let mapped = context.export.field_mappings.iter().filter_map(|mapping| custom(mapping.destination_field));
    let membership = match context.export.leave_policy {
        LeavePolicy::SetField { field, .. } => Some(field),
        LeavePolicy::Keep | LeavePolicy::Unsubscribe => None,
    };
    let wanted: Vec<u32> = mapped.chain(membership).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut fields = Fields::default();
    while let Some(next) = fields.next_page() {
        fields.add(ask(context, || context.destination.fields(next)).await?);
    }
    match wanted.iter().find(|number| !fields.have(**number)) {
        None => Ok(()),
        Some(number) => {
            let message = format!("custom field {number} does not exist in the account; map another with UpdateExport");
            Err(failure::failed(Reason::FieldNotFound, Culprit::User, Severity::Permanent, message))
        }
    }
}

/// Whether the list went while the run was going on. Imports for it may be taken all the same, and put nobody on it.
/// That nobody answers is no such sign.
pub(super) async fn list_deleted(context: &Arc<RunContext>) -> Option<Stop> {
    let ExportSettings::Activecampaign { list_id, .. } = context.export.settings;
    let found = ask(context, || context.destination.list(list_id)).await;
    matches!(found, Ok(None)).then(|| failure::list_deleted(list_id))
}

fn custom(field: DestinationField) -> Option<u32> {
    match field {
        DestinationField::Custom(number) => Some(number),
        DestinationField::Email
        | DestinationField::FirstName
        | DestinationField::LastName
        | DestinationField::Phone => None,
    }
}

/// Asks the destination something, by a slot of its lane, and again where that may help.
async fn ask<T, F>(context: &Arc<RunContext>, question: impl Fn() -> F) -> Result<T, Stop>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut attempt = 0;
    loop {
        let slot = slot(context).await?;
        // A run that was stopped meanwhile asks nothing more.
        if let Err(stop) = asked::may_begin(context).await {
            slot.unused();
            return Err(stop);
        }
        // The look took its time; the destination may have asked for a wait meanwhile.
        if slot.is_held() {
            slot.unused();
            continue;
        }
        attempt += 1;
        let exchange = context.exchange(Class::Other, &slot, attempt, None);
        let answer = exchange.around(question()).await;
        drop(exchange);
        let wait = retry::backoff(attempt - 1, retry::random());
        let rate_limited = matches!(answer, Err(CallError::RateLimited { .. })) && attempt < retry::ATTEMPTS;
        if let (true, Err(CallError::RateLimited { retry_after })) = (rate_limited, &answer) {
            // Before the slot is given back, so that nobody is let through in between.
            let held = context.keep_away(retry_after.unwrap_or(wait)).await;
            slot.answered();
            held?;
            continue;
        }
        slot.answered();
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let keys_left =
            matches!(error, CallError::CredentialsRefused | CallError::Forbidden) && attempt < retry::REFUSED_KEYS;
        if !keys_left && (!error.is_retryable() || attempt >= retry::ATTEMPTS) {
            return Err(failure::from_call(&error));
        }
        tokio::select! {
            () = context.stop_sending.cancelled() => return Err(Stop::Shutdown),
            () = tokio::time::sleep(context.shared.scale.real(wait)) => {}
        }
    }
}

/// Waits for a slot, which may take as long as the destination wants to be left alone; a cancelled run waits no more.
async fn slot(context: &Arc<RunContext>) -> Result<Slot, Stop> {
    let slot = context.lane.slot(Class::Other);
    tokio::pin!(slot);
    loop {
        tokio::select! {
            () = context.stop_sending.cancelled() => return Err(Stop::Shutdown),
            slot = &mut slot => return slot.ok_or(Stop::Shutdown),
            () = tokio::time::sleep(Duration::from_millis(250)) => {
                super::work::stop_asked(context).await?.map_or(Ok(()), Err)?;
            }
        }
    }
}
