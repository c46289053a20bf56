//! What is known of those who call: the role that their newest token claimed in each tenant, and when they were revoked.
//!
//! It answers two questions: may this token still be believed, and may what runs without its person being there (a
//! queued or scheduled run) still act for them. Who loses the right to run exports on a connection loses it here, in the
//! transaction that notes the loss: the connections that act for them need attention, and their runs send nothing more.

use crate::audit::{self, Changed, Fact, Who};
use crate::entity::{connection, principal, run, tenant};
use crate::error::{corrupt, database};
use crate::facts::Cause;
use crate::request::{self, Write};
use crate::{Store, attention, connection as connections, run as runs, tenant as tenants};
use ferry_domain::authz::action::RevokePrincipal;
use ferry_domain::authz::{Action, Permit, Role, Spent, Standing, Token, may_run};
use ferry_domain::{
    ConnectionAccess, Culprit, Reason, Result, RunError, RunState, Severity, TenantId, TenantName, Timestamp, Trigger,
};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use std::collections::BTreeMap;

impl Store {
    /// Takes in what a verified token says of its holder, and tells what holds today. Writes only for a token that is
    /// newer than what is known.
    pub async fn admit(&self, token: &Token, now: Timestamp) -> Result<Standing> {
        if !token.lists_tenants {
            // An operator's: it has no tenant, and tells of none.
            return Ok(Standing::default());
        }
        let known = of_subject(&self.readers, &token.subject).await?;
        let standing = standing(&self.readers, token, &known).await?;
        let news = news(token, &standing, &known);
        if !news.is_empty() {
            let subject = token.subject.clone();
            let issued = token.issue_time;
            self.run_and_wake(move |transaction| {
                Box::pin(async move {
                    for (tenant, role) in news {
                        note_role(transaction, &tenant, &subject, role, issued, now).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        }
        Ok(standing)
    }

    /// Ends a person's rights in a tenant. Returns when that was; tokens issued by then open nothing there.
    pub fn principal_revoke(
        &self,
        permit: Permit<RevokePrincipal>,
        subject: String,
        write: Write,
    ) -> impl Future<Output = Result<Timestamp>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            store
                .change(act, write.now, move |transaction| Box::pin(revoke(transaction, target.tenant, subject, write)))
                .await
        }
    }
}

async fn standing(
    connection: &impl ConnectionTrait,
    token: &Token,
    known: &BTreeMap<String, principal::Model>,
) -> Result<Standing> {
    let named = token.tenants.keys().map(TenantId::as_str);
    let found = tenant::Entity::find()
        .filter(tenant::Column::Id.is_in(named))
        .filter(tenant::Column::DeleteTime.is_null())
        .all(connection)
        .await
        .map_err(database)?;
    let mut tenants = BTreeMap::new();
    for row in found {
        let revoked = known.get(&row.id).and_then(|principal| principal.revoke_time);
        let id = TenantId::parse(&row.id).map_err(|error| corrupt("tenants", error))?;
        tenants.insert(id, revoked.map(Timestamp::from_millis));
    }
    Ok(Standing { tenants })
}

async fn of_subject(connection: &impl ConnectionTrait, subject: &str) -> Result<BTreeMap<String, principal::Model>> {
    let rows = principal::Entity::find()
        .filter(principal::Column::Subject.eq(subject))
        .all(connection)
        .await
        .map_err(database)?;
    Ok(rows.into_iter().map(|row| (row.tenant.clone(), row)).collect())
}

/// What a token that lists tenants tells and is not known yet. It lists all of its holder's, so one that is missing was
/// lost.
fn news(token: &Token, standing: &Standing, known: &BTreeMap<String, principal::Model>) -> Vec<(String, Option<Role>)> {
    let claimed = token.tenants.iter().filter_map(|(tenant, role)| {
        let revoked = standing.tenants.get(tenant)?;
        let believed = revoked.is_none_or(|revoked| token.issue_time > revoked);
        believed.then(|| (tenant.as_str().to_owned(), Some(*role)))
    });
    let missing = known.keys().filter(|tenant| !token.tenants.keys().any(|named| named.as_str() == tenant.as_str()));
    let told = claimed.chain(missing.map(|tenant| (tenant.clone(), None)));
    told.filter(|(tenant, role)| known.get(tenant).is_none_or(|row| is_newer(row, *role, token.issue_time))).collect()
}

/// Of two tokens of the same second, the one that claims less counts.
fn is_newer(known: &principal::Model, role: Option<Role>, issued: Timestamp) -> bool {
    let less = role < known.role.as_deref().and_then(Role::parse);
    issued.as_millis() > known.issue_time || (issued.as_millis() == known.issue_time && less)
}

async fn note_role(
    transaction: &DatabaseTransaction,
    tenant: &str,
    subject: &str,
    role: Option<Role>,
    issued: Timestamp,
    now: Timestamp,
) -> Result<()> {
    // Asked again: another request may have brought newer news, or a revocation, since.
    let key = (tenant.to_owned(), subject.to_owned());
    let found = principal::Entity::find_by_id(key).one(transaction).await.map_err(database)?;
    let named = TenantId::parse(tenant).map_err(|error| corrupt("principals", error))?;
    let alive = tenants::find(transaction, &named).await?.is_some();
    let stale = found.as_ref().is_some_and(|row| {
        !is_newer(row, role, issued) || row.revoke_time.is_some_and(|revoked| issued.as_millis() <= revoked)
    });
    if stale || !alive {
        return Ok(());
    }
    let before = found.as_ref().and_then(|row| row.role.as_deref()).and_then(Role::parse);
    let known = found.is_some();
    let row = principal::ActiveModel {
        tenant: Set(tenant.to_owned()),
        subject: Set(subject.to_owned()),
        role: Set(role.map(|role| role.as_str().to_owned())),
        revoke_time: Set(found.and_then(|row| row.revoke_time)),
        issue_time: Set(issued.as_millis()),
    };
    put(transaction, row).await?;
    if known && role != before {
        let was = before.map_or("", Role::as_str);
        let fact = Fact::new("PRINCIPAL_ROLE_CHANGED", tenant, TenantName { tenant: named })
            .with("subject", subject)
            .with("role", role.map_or("", Role::as_str))
            .with("role_before", was);
        audit::append(transaction, &Who::ferry(), fact, now).await?;
    }
    if role >= before {
        return Ok(());
    }
    for fact in apply_lost_right(transaction, tenant, subject, role, now).await? {
        audit::append(transaction, &Who::ferry(), fact, now).await?;
    }
    Ok(())
}

async fn put(transaction: &DatabaseTransaction, row: principal::ActiveModel) -> Result<()> {
    use principal::Column::{IssueTime, RevokeTime, Role, Subject, Tenant};
    let replace = OnConflict::columns([Tenant, Subject]).update_columns([Role, RevokeTime, IssueTime]).to_owned();
    let insert = principal::Entity::insert(row).on_conflict(replace);
    insert.exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

async fn revoke(
    transaction: &DatabaseTransaction,
    tenant: TenantId,
    subject: String,
    write: Write,
) -> Result<Changed<Timestamp>> {
    tenants::must_exist(transaction, &tenant).await?;
    let id = tenant.as_str();
    let first = request::earlier(transaction, id, RevokePrincipal::METHOD, &write).await?;
    if let Some(first) = first {
        let first = first.parse().map(Timestamp::from_millis).map_err(|error| corrupt("request_ids", error))?;
        return Ok(Changed::nothing(first));
    }
    let key = (id.to_owned(), subject.clone());
    let seen = principal::Entity::find_by_id(key).one(transaction).await.map_err(database)?;
    let role_before = seen.as_ref().and_then(|row| row.role.clone()).unwrap_or_default();
    // An issuer's clock may be ahead of ours: a token that was seen already is refused all the same.
    let at = seen.map_or(0, |row| row.issue_time).max(write.now.as_millis());
    let row = principal::ActiveModel {
        tenant: Set(id.to_owned()),
        subject: Set(subject.clone()),
        role: Set(None),
        revoke_time: Set(Some(at)),
        issue_time: Set(at),
    };
    put(transaction, row).await?;
    let consequences = apply_lost_right(transaction, id, &subject, None, write.now).await?;
    request::note(transaction, id, RevokePrincipal::METHOD, &write, &at.to_string()).await?;
    let fact = Fact::new("PRINCIPAL_REVOKED", id, TenantName { tenant: tenant.clone() })
        .with("subject", &subject)
        .with("role_before", role_before)
        .with("revoke_time", at);
    Ok(Changed::with(Timestamp::from_millis(at), fact, consequences))
}

/// The role that counts for runs in somebody's name.
pub(crate) async fn role_of(connection: &impl ConnectionTrait, tenant: &str, subject: &str) -> Result<Option<Role>> {
    let key = (tenant.to_owned(), subject.to_owned());
    let row = principal::Entity::find_by_id(key).one(connection).await.map_err(database)?;
    Ok(row.and_then(|row| row.role).as_deref().and_then(Role::parse))
}

/// Whose right a run rests on: who started it, or the export user of its connection. One that takes people off a list is
/// owed to them, so it rests on nobody's.
pub(crate) fn acts_for<'a>(run: &'a run::Model, on: &'a connection::Model) -> Result<Option<&'a str>> {
    Ok(match runs::trigger_of(run)? {
        Trigger::OnDemand => Some(&run.started_by),
        Trigger::Schedule | Trigger::Refresh => Some(&on.run_as),
        Trigger::Retraction | Trigger::Erasure => None,
    })
}

/// Takes the consequences where `subject` may not run exports with this role.
async fn apply_lost_right(
    transaction: &DatabaseTransaction,
    tenant: &str,
    subject: &str,
    role: Option<Role>,
    now: Timestamp,
) -> Result<Vec<Fact>> {
    if may_run(role, ConnectionAccess::Administrators) {
        return Ok(Vec::new());
    }
    let mut facts = Vec::new();
    let rows = connection::Entity::find()
        .filter(connection::Column::Tenant.eq(tenant))
        .all(transaction)
        .await
        .map_err(database)?;
    for row in rows {
        if may_run(role, connections::access_of(&row)?) {
            continue;
        }
        facts.extend(stop_runs_for(transaction, &row, subject, now).await?);
        if row.run_as == subject {
            facts.extend(attention::needs_export_user(transaction, row, now).await?.facts);
        }
    }
    Ok(facts)
}

/// Runs that have begun send nothing more; those still queued are skipped when they are claimed.
async fn stop_runs_for(
    transaction: &DatabaseTransaction,
    on: &connection::Model,
    subject: &str,
    now: Timestamp,
) -> Result<Vec<Fact>> {
    let mut facts = Vec::new();
    let begun = [RunState::Processing, RunState::AwaitingApproval, RunState::Paused];
    for row in runs::on_connection(transaction, (&on.tenant, &on.id), &begun).await? {
        if acts_for(&row, on)? != Some(subject) {
            continue;
        }
        let error = right_lost(runs::trigger_of(&row)?);
        facts.extend(runs::stop(transaction, row, (Cause::RightLost, Some(error)), now).await?.facts);
    }
    Ok(facts)
}

/// Why a run in somebody's name goes no further.
pub(crate) fn right_lost(trigger: Trigger) -> RunError {
    let (reason, message) = match trigger {
        Trigger::OnDemand | Trigger::Retraction | Trigger::Erasure => (
            Reason::RoleTooLow,
            "whoever started this run may no longer run exports on its connection; somebody who may starts it anew",
        ),
        Trigger::Schedule | Trigger::Refresh => (
            Reason::ExportUserLost,
            "the export user of the connection may no longer run exports; an administrator takes their place with \
             BindExportUser",
        ),
    };
    RunError { reason, message: message.to_owned(), severity: Severity::Permanent, culprit: Culprit::User }
}
