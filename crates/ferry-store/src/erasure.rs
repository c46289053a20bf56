//! The erasure of a person: what it stands on, the transaction that begins it, and what became of it at each recipient.
//!
//! The suppression comes first, in the transaction of all that follows from it: no plan is adopted after it without
//! having seen it, and the live runs whose adopted plan still holds the person stop in it. What a run then does at a
//! recipient is noted here once, with its entry. No entry says who the person is.

use crate::audit::{self, Changed, Fact, Who};
use crate::entity::{connection, erasure, erasure_recipient, export, suppression};
use crate::erasure_ground::{self, Marks};
use crate::error::{corrupt, database, from_json, to_json};
use crate::facts::Cause;
use crate::request::{self, Write};
use crate::run::{NewTakingOff, queue_taking_off};
use crate::{Store, run as runs, tenant as tenants};
use ferry_domain::authz::action::ErasePerson;
use ferry_domain::authz::{Action, Permit, Spent};
use ferry_domain::{
    Culprit, Reason, Result, RunError, RunId, RunName, Severity, TenantId, TenantName, Timestamp, Trigger,
};
use ferry_ledger::EntryResult;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};

/// Where a person's data is, or may be: who was sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasurePlace {
    /// The export that sent it.
    pub export_uid: String,
    /// Its connection then.
    pub connection_uid: String,
    /// The connection's generation: another one is another account.
    pub connection_generation: i64,
    /// The list.
    pub list: u32,
    /// For the receipt.
    pub recipient: ErasureRecipient,
    /// False for somebody of whom the destination has confirmed that they were taken off.
    pub may_be_there: bool,
    /// The id of a run, if one is to be queued.
    pub run: RunId,
}

/// A recipient, as the receipt shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureRecipient {
    /// The connection's name, even if it was removed since.
    pub connection: String,
    /// The account's host.
    pub host: String,
    /// Which fields were sent.
    pub fields: Vec<String>,
    /// What for.
    pub purpose: String,
    /// When it was first sent, as far as that is known.
    pub first_time: Option<Timestamp>,
    /// When it was last sent, as far as that is known.
    pub last_time: Option<Timestamp>,
}

/// What is to be erased.
#[derive(Debug, Clone)]
pub struct NewErasure {
    /// The id of the erasure, should it be a new one.
    pub id: String,
    /// The keyed digest of the person's identity.
    pub person: [u8; 16],
    /// Where they are.
    pub places: Vec<ErasurePlace>,
    /// Live runs that may still send them.
    pub stop: Vec<String>,
    /// What both were found by. If it has moved, nothing is done.
    pub seen: Marks,
}

/// What an erasure came to at a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasureOutcome {
    /// A run is on its way.
    Pending,
    /// The destination confirmed it.
    Done,
    /// Its run ended without that. The next request for this person tries again.
    Failed,
    /// Ferry cannot do it.
    Impossible,
}

/// What an erasure came to at one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureReceipt {
    /// The recipient.
    pub recipient: ErasureRecipient,
    /// The list.
    pub list: u32,
    /// What came of it so far.
    pub outcome: ErasureOutcome,
    /// Why it did not work, and what to do instead.
    pub message: String,
    /// The number of the entry that records it; 0 while there is none.
    pub entry: u64,
    /// The run that takes the person off.
    pub run: Option<RunName>,
}

const KEY_GONE: &str = "the key of this account was destroyed with its connection, so Ferry can ask nothing of it any \
                        more; ask the owner of the account to erase the person";
const MOVED: &str = "the connection is for another account by now, so Ferry can ask nothing of this one any more; ask \
                     the owner of the account to erase the person";

impl Store {
    /// Begins an erasure, or tries again what failed in the one that was begun before. Nothing, if what it was looked up by
    /// has moved: then it is to be looked up again.
    pub fn person_erase(
        &self,
        permit: Permit<ErasePerson>,
        new: NewErasure,
        write: Write,
    ) -> impl Future<Output = Result<Option<Vec<ErasureReceipt>>>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            let who = Who::from(&act);
            store
                .change(act, write.now, move |transaction| {
                    Box::pin(async move {
                        let by = Begun { tenant: target.tenant, who, write };
                        Ok(Changed::nothing(begin(transaction, by, new).await?))
                    })
                })
                .await
        }
    }
}

struct Begun {
    tenant: TenantId,
    who: Who,
    write: Write,
}

async fn begin(transaction: &DatabaseTransaction, by: Begun, new: NewErasure) -> Result<Option<Vec<ErasureReceipt>>> {
    let tenant = by.tenant.as_str();
    tenants::must_exist(transaction, &by.tenant).await?;
    let repeated = request::earlier(transaction, tenant, ErasePerson::METHOD, &by.write).await?.is_some();
    if erasure_ground::marks(transaction, tenant).await? != new.seen {
        return Ok(None);
    }
    let key = (tenant.to_owned(), new.person.to_vec());
    let id = match suppression::Entity::find_by_id(key).one(transaction).await.map_err(database)? {
        Some(found) => found.erasure,
        None => suppress(transaction, &by, &new).await?,
    };
    for run in &new.stop {
        stop(transaction, &by, run).await?;
    }
    for place in new.places {
        ask(transaction, &by, &id, place).await?;
    }
    if !repeated {
        request::note(transaction, tenant, ErasePerson::METHOD, &by.write, &id).await?;
    }
    receipts(transaction, &id).await.map(Some)
}

/// From the commit of this on no plan that holds the person is adopted.
async fn suppress(transaction: &DatabaseTransaction, by: &Begun, new: &NewErasure) -> Result<String> {
    let (tenant, now) = (by.tenant.as_str().to_owned(), by.write.now);
    let row = erasure::ActiveModel {
        id: Set(new.id.clone()),
        tenant: Set(tenant.clone()),
        person: Set(Some(new.person.to_vec())),
        actor: Set(by.who.actor.clone()),
        create_time: Set(now.as_millis()),
        end_time: Set(None),
    };
    erasure::Entity::insert(row).exec_without_returning(transaction).await.map_err(database)?;
    let row = suppression::ActiveModel {
        tenant: Set(tenant),
        person: Set(new.person.to_vec()),
        time: Set(now.as_millis()),
        erasure: Set(new.id.clone()),
    };
    suppression::Entity::insert(row).exec_without_returning(transaction).await.map_err(database)?;
    let fact = fact("PERSON_ERASURE_REQUESTED", &by.tenant, &new.id).with("recipients", new.places.len());
    audit::append(transaction, &by.who, fact, now).await?;
    Ok(new.id.clone())
}

/// The object is the tenant: who the person is stands nowhere, and the erasure's id tells its entries together.
pub(crate) fn fact(kind: &'static str, tenant: &TenantId, erasure: &str) -> Fact {
    Fact::new(kind, tenant.as_str(), TenantName { tenant: tenant.clone() }).with("erasure", erasure)
}

/// A run whose plan holds the person sends nothing more; the next one leaves them out.
async fn stop(transaction: &DatabaseTransaction, by: &Begun, run: &str) -> Result<()> {
    let found = crate::entity::run::Entity::find_by_id(run).one(transaction).await.map_err(database)?;
    let Some(found) = found else { return Ok(()) };
    let state = runs::read_state(&found)?;
    if state.is_terminal() || state == ferry_domain::RunState::Cancelling {
        return Ok(());
    }
    let error = RunError {
        reason: Reason::PlanExpired,
        message: "a person of this run was erased, so it sends nothing more; run it again for the others".to_owned(),
        severity: Severity::Temporary,
        culprit: Culprit::User,
    };
    let told = runs::stop(transaction, found, (Cause::PersonErased, Some(error)), by.write.now).await?;
    for fact in told.facts {
        audit::append(transaction, &by.who, fact, by.write.now).await?;
    }
    Ok(())
}

/// Asks one recipient, unless it was asked before with success or is being asked.
async fn ask(transaction: &DatabaseTransaction, by: &Begun, erasure: &str, place: ErasurePlace) -> Result<()> {
    let key = (
        erasure.to_owned(),
        place.export_uid.clone(),
        place.connection_uid.clone(),
        place.connection_generation,
        i64::from(place.list),
    );
    let found = erasure_recipient::Entity::find_by_id(key).one(transaction).await.map_err(database)?;
    let again = match &found {
        None => true,
        Some(row) => outcome_of(row)? == ErasureOutcome::Failed,
    };
    if !again {
        return Ok(());
    }
    let row = erasure_recipient::ActiveModel {
        erasure: Set(erasure.to_owned()),
        export_uid: Set(place.export_uid.clone()),
        connection_uid: Set(place.connection_uid.clone()),
        connection_generation: Set(place.connection_generation),
        list: Set(i64::from(place.list)),
        recipient: Set(to_json(&place.recipient)?),
        run: Set(None),
        outcome: Set(to_json(&ErasureOutcome::Pending)?),
        message: Set(String::new()),
        entry: Set(0),
    };
    let row = match found {
        None => erasure_recipient::Entity::insert(row).exec_with_returning(transaction).await.map_err(database)?,
        Some(found) => found,
    };
    let tenant = by.tenant.as_str();
    if !place.may_be_there {
        return settle(transaction, &by.tenant, row, (ErasureOutcome::Done, ""), by.write.now).await;
    }
    let gone = |why| settle(transaction, &by.tenant, row.clone(), (ErasureOutcome::Impossible, why), by.write.now);
    let Some(on) = living(transaction, tenant, &place.connection_uid).await? else { return gone(KEY_GONE).await };
    if on.generation != place.connection_generation {
        return gone(MOVED).await;
    }
    let Some(export) = export_of(transaction, tenant, &place.export_uid).await? else { return gone(KEY_GONE).await };
    let new =
        NewTakingOff { id: place.run, trigger: Trigger::Erasure, list: place.list, erasure: Some(erasure.to_owned()) };
    let told = queue_taking_off(transaction, (&export, &on), new, by.who.actor.clone(), by.write.now).await?;
    let mut row = row.into_active_model();
    row.run = Set(Some(told.row.id));
    row.outcome = Set(to_json(&ErasureOutcome::Pending)?);
    row.message = Set(String::new());
    row.entry = Set(0);
    erasure_recipient::Entity::update(row).exec(transaction).await.map_err(database)?;
    for fact in told.facts {
        audit::append(transaction, &by.who, fact, by.write.now).await?;
    }
    Ok(())
}

/// The connection with this uid, if it was not removed.
pub(crate) async fn living(
    connection: &impl ConnectionTrait,
    tenant: &str,
    uid: &str,
) -> Result<Option<connection::Model>> {
    connection::Entity::find()
        .filter(connection::Column::Tenant.eq(tenant))
        .filter(connection::Column::Uid.eq(uid))
        .one(connection)
        .await
        .map_err(database)
}

/// The export with this uid, removed or not.
pub(crate) async fn export_of(
    connection: &impl ConnectionTrait,
    tenant: &str,
    uid: &str,
) -> Result<Option<export::Model>> {
    export::Entity::find()
        .filter(export::Column::Tenant.eq(tenant))
        .filter(export::Column::Uid.eq(uid))
        .one(connection)
        .await
        .map_err(database)
}

/// Notes an outcome and puts it on record, in one transaction: exactly once.
pub(crate) async fn settle(
    transaction: &DatabaseTransaction,
    tenant: &TenantId,
    found: erasure_recipient::Model,
    (outcome, message): (ErasureOutcome, &str),
    now: Timestamp,
) -> Result<()> {
    let recipient: ErasureRecipient = from_json("erasure_recipients", &found.recipient)?;
    let word = to_json(&outcome)?;
    let fact = fact("PERSON_ERASURE_OUTCOME", tenant, &found.erasure)
        .with("outcome", word.trim_matches('"'))
        .with("connection", &recipient.connection)
        .with("host", &recipient.host)
        .with("list", found.list);
    let fact = match &found.run {
        Some(run) => fact.with("run", run),
        None => fact,
    };
    let fact = match outcome {
        ErasureOutcome::Done | ErasureOutcome::Pending => fact,
        ErasureOutcome::Failed => fact.because(EntryResult::Failed, Reason::DestinationFailed),
        ErasureOutcome::Impossible => fact.because(EntryResult::Failed, Reason::ResourceNotFound),
    };
    let number = audit::append(transaction, &Who::ferry(), fact, now).await?;
    let mut row = found.into_active_model();
    row.outcome = Set(word);
    row.message = Set(message.to_owned());
    row.entry = Set(i64::try_from(number).map_err(|error| corrupt("erasure_recipients", error))?);
    erasure_recipient::Entity::update(row).exec(transaction).await.map_err(database)?;
    Ok(())
}

/// Where a connection that an erasure still needs is gone.
pub(crate) fn gone() -> &'static str {
    KEY_GONE
}

pub(crate) fn outcome_of(row: &erasure_recipient::Model) -> Result<ErasureOutcome> {
    from_json("erasure_recipients", &row.outcome)
}

/// What came of an erasure so far.
pub(crate) async fn receipts(connection: &impl ConnectionTrait, erasure: &str) -> Result<Vec<ErasureReceipt>> {
    let rows = erasure_recipient::Entity::find()
        .filter(erasure_recipient::Column::Erasure.eq(erasure))
        .order_by_asc(erasure_recipient::Column::ConnectionUid)
        .order_by_asc(erasure_recipient::Column::ExportUid)
        .order_by_asc(erasure_recipient::Column::List)
        .all(connection)
        .await
        .map_err(database)?;
    let mut receipts = Vec::with_capacity(rows.len());
    for row in rows {
        let run = match &row.run {
            None => None,
            Some(id) => crate::entity::run::Entity::find_by_id(id.as_str()).one(connection).await.map_err(database)?,
        };
        receipts.push(ErasureReceipt {
            recipient: from_json("erasure_recipients", &row.recipient)?,
            list: u32::try_from(row.list).map_err(|error| corrupt("erasure_recipients", error))?,
            outcome: outcome_of(&row)?,
            message: row.message,
            entry: u64::try_from(row.entry).map_err(|error| corrupt("erasure_recipients", error))?,
            run: run.map(runs::to_domain).transpose()?.map(|run| run.name),
        });
    }
    Ok(receipts)
}
