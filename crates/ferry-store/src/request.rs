//! Request ids: a repeated write does nothing a second time.
//!
//! The record is written in the transaction of the change it stands for, so it exists exactly if the change does.

use crate::entity::request_id;
use crate::error::database;
use ferry_domain::violation::Violation;
use ferry_domain::{Error, Reason, Result, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{DatabaseTransaction, EntityTrait};

/// What each write of the control plane carries.
#[derive(Debug, Clone)]
pub struct Write {
    /// The time that is stored with the change.
    pub now: Timestamp,
    /// The caller's request id, if it gave one.
    pub request: Option<RequestKey>,
}

/// A request id and what it was first used for.
#[derive(Debug, Clone)]
pub struct RequestKey {
    /// The caller's UUID.
    pub id: String,
    /// A keyed digest of the request.
    pub fingerprint: [u8; 32],
}

/// The name of what an earlier request with this id made; nothing for a new one.
pub(crate) async fn earlier(
    transaction: &DatabaseTransaction,
    tenant: &str,
    method: &str,
    write: &Write,
) -> Result<Option<String>> {
    let Some(request) = &write.request else { return Ok(None) };
    let key = (tenant.to_owned(), method.to_owned(), request.id.clone());
    let found = request_id::Entity::find_by_id(key).one(transaction).await.map_err(database)?;
    match found {
        None => Ok(None),
        Some(row) if row.fingerprint == request.fingerprint => Ok(Some(row.resource)),
        Some(_) => Err(Error::InvalidArgument(vec![Violation {
            field: "request_id".to_owned(),
            description: "was used before for another request; take a new one".to_owned(),
            reason: Reason::RequestIdReused,
        }])),
    }
}

/// Notes what this request made.
pub(crate) async fn note(
    transaction: &DatabaseTransaction,
    tenant: &str,
    method: &str,
    write: &Write,
    resource: &str,
) -> Result<()> {
    let Some(request) = &write.request else { return Ok(()) };
    let row = request_id::ActiveModel {
        tenant: Set(tenant.to_owned()),
        method: Set(method.to_owned()),
        id: Set(request.id.clone()),
        fingerprint: Set(request.fingerprint.to_vec()),
        resource: Set(resource.to_owned()),
        create_time: Set(write.now.as_millis()),
    };
    request_id::Entity::insert(row).exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}
