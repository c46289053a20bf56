//! Why a connection cannot carry runs until somebody acts.
//!
//! Two things are kept apart, so that mending one does not hide the other: what the destination said of the credentials
//! (`state`, `attention`), and whether somebody is there in whose name unattended runs may act
//! (`export_user_lost_time`).

use crate::audit::Fact;
use crate::connection::{read_state, state_word, to_domain};
use crate::entity::{connection, run};
use crate::error::{database, from_json, to_json};
use crate::facts::{self, Told};
use crate::notification;
use ferry_domain::{ConnectionState, Error, Reason, Result, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{DatabaseTransaction, EntityTrait, IntoActiveModel};

/// What the destination said of a connection's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It took them.
    Taken,
    /// It refused them, or the secret could not be had; somebody must act.
    Refused(Reason),
    /// Nothing, for example because it could not be reached.
    Nothing,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Refused(_) => "refused",
            Self::Nothing => "nothing",
        }
    }

    /// Notes it, if it is about the secret in force: a run may have begun with an older one. Tells whether it was.
    pub(crate) fn note(
        self,
        of_version: u32,
        row: &mut connection::ActiveModel,
        found: &connection::Model,
    ) -> Result<bool> {
        if found.secret_version != i64::from(of_version) {
            return Ok(false);
        }
        match self {
            Self::Nothing => {}
            Self::Taken => {
                row.state = Set(state_word(ConnectionState::Ready));
                row.attention = Set(None);
            }
            Self::Refused(reason) => {
                row.state = Set(state_word(ConnectionState::NeedsAttention));
                row.attention = Set(Some(to_json(&reason)?));
            }
        }
        Ok(true)
    }
}

/// The state that callers see, and why it needs attention. A lost export user comes first.
pub(crate) fn seen(row: &connection::Model) -> Result<(ConnectionState, Option<Reason>)> {
    if row.export_user_lost_time.is_some() {
        return Ok((ConnectionState::NeedsAttention, Some(Reason::ExportUserLost)));
    }
    let reason = of_destination(row)?;
    Ok((if reason.is_some() { ConnectionState::NeedsAttention } else { read_state(&row.state)? }, reason))
}

/// What the destination has against it, whoever may be there to run on it.
pub(crate) fn of_destination(row: &connection::Model) -> Result<Option<Reason>> {
    let state = read_state(&row.state)?;
    let attention = row.attention.as_deref().map(|text| from_json("connections", text)).transpose()?;
    // A row from before the reason was kept says no more than that the destination refused.
    Ok((state == ConnectionState::NeedsAttention).then(|| attention.unwrap_or(Reason::CredentialsRefused)))
}

/// Nobody is there any more in whose name its unattended runs may act.
pub(crate) async fn needs_export_user(
    transaction: &DatabaseTransaction,
    found: connection::Model,
    now: Timestamp,
) -> Result<Told<connection::Model>> {
    if found.export_user_lost_time.is_some() {
        return Ok(Told { row: found, facts: Vec::new() });
    }
    let mut row = found.clone().into_active_model();
    row.export_user_lost_time = Set(Some(now.as_millis()));
    let row = put(transaction, row, &found, now).await?;
    let fact = facts::needs_attention(&found, &row, Reason::ExportUserLost)?;
    Ok(Told { row, facts: vec![fact] })
}

/// Refuses to run on a connection that needs attention.
pub(crate) fn must_be_ready(row: &connection::Model) -> Result<()> {
    let connection = to_domain(row.clone())?;
    let Some(attention) = connection.attention else { return Ok(()) };
    let what = match attention {
        Reason::ExportUserLost => {
            "its export user lost their right; an administrator takes their place with BindExportUser"
        }
        Reason::SecretUnavailable => {
            "the secret that it names cannot be read; an administrator mends it, then calls VerifyConnection"
        }
        _ => "an administrator sets a valid key with UpdateConnection, or calls VerifyConnection once it is mended",
    };
    let message = format!("the connection of this export needs attention ({}): {what}", attention.as_str());
    Err(Error::precondition(
        Reason::ConnectionNotReady,
        attention_kind(attention),
        connection.name.to_string(),
        message,
    ))
}

fn attention_kind(attention: Reason) -> &'static str {
    match attention {
        Reason::ExportUserLost => "EXPORT_USER",
        _ => "CREDENTIALS",
    }
}

/// Notes what the destination said of the connection of a run. Nothing if that was about an older secret, or the
/// connection is gone.
pub(crate) async fn refused(
    transaction: &DatabaseTransaction,
    run: &run::Model,
    reason: Reason,
    of_version: u32,
    now: Timestamp,
) -> Result<Option<Fact>> {
    let key = (run.tenant.clone(), run.connection.clone());
    let Some(found) = connection::Entity::find_by_id(key).one(transaction).await.map_err(database)? else {
        return Ok(None);
    };
    let mut row = found.clone().into_active_model();
    if !Verdict::Refused(reason).note(of_version, &mut row, &found)? {
        return Ok(None);
    }
    let row = put(transaction, row, &found, now).await?;
    facts::needs_attention(&found, &row, reason).map(Some)
}

/// Writes a connection that may come to need attention by it: then a person must know, once.
pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    mut row: connection::ActiveModel,
    found: &connection::Model,
    now: Timestamp,
) -> Result<connection::Model> {
    row.version = Set(found.version + 1);
    row.update_time = Set(now.as_millis());
    let row = connection::Entity::update(row).exec(transaction).await.map_err(database)?;
    notification::of_connection(transaction, found, &row, now).await?;
    Ok(row)
}
