//! Exports.

use crate::audit::Changed;
use crate::connection_change::StoredSecret;
use crate::entity::{connection, export, run};
use crate::error::{corrupt, database, from_json, to_json};
use crate::request::{self, Write};
use crate::{Store, connection as connections, export_many, facts, run as runs, tenant as tenants, tick};
use ferry_domain::authz::action::{CreateExport, DeleteExport, GetExport, ListExports, UpdateExport, ValidateExport};
use ferry_domain::authz::{Action, ExportTarget, NewExport, Permit, Spent, Visibility};
use ferry_domain::{
    Connection, ConnectionAccess, ConnectionId, ConnectionName, Error, Export, ExportName, ExportSettings,
    FieldMapping, LeavePolicy, Reason, RemovalGuard, Result, Run, RunId, RunState, Schedule, SegmentId, Timestamp,
};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};

/// An export that is to be stored.
pub struct NewExportRow {
    /// Its uid.
    pub uid: String,
    /// For people.
    pub display_name: String,
    /// The segments, in order.
    pub segments: Vec<SegmentId>,
    /// What depends on the destination.
    pub settings: ExportSettings,
    /// Which column fills which field.
    pub field_mappings: Vec<FieldMapping>,
    /// What happens to those who left.
    pub leave_policy: LeavePolicy,
    /// How many of them a run may remove without approval.
    pub removal_guard: RemovalGuard,
    /// When it runs by itself.
    pub schedule: Schedule,
}

/// What is to change; nothing stays as it is.
#[derive(Default)]
pub struct ExportChange {
    /// The version that the caller has seen, if it said so.
    pub seen_version: Option<i64>,
    /// A new display name.
    pub display_name: Option<String>,
    /// Other segments.
    pub segments: Option<Vec<SegmentId>>,
    /// Other settings.
    pub settings: Option<ExportSettings>,
    /// Another mapping.
    pub field_mappings: Option<Vec<FieldMapping>>,
    /// Another leave policy.
    pub leave_policy: Option<LeavePolicy>,
    /// Another guard.
    pub removal_guard: Option<RemovalGuard>,
    /// Another schedule.
    pub schedule: Option<Schedule>,
}

/// An export with what is shown beside it.
#[derive(Debug, Clone)]
pub struct ExportView {
    /// The export.
    pub export: Export,
    /// Its connection, unless detached.
    pub connection: Option<Connection>,
    /// Its newest run.
    pub latest_run: Option<Run>,
    /// When it is due next by its schedule, if it ever is.
    pub next_run: Option<Timestamp>,
}

impl ExportView {
    /// Who may use the connection behind it; a detached export is for administrators.
    #[must_use]
    pub fn access(&self) -> ConnectionAccess {
        self.connection.as_ref().map_or(ConnectionAccess::Administrators, |connection| connection.access)
    }
}

/// What it takes to ask the destination about an export.
pub struct ExportCredentials {
    /// The export.
    pub export: Export,
    /// Its connection.
    pub connection: Connection,
    /// The API key.
    pub secret: StoredSecret,
    /// The tenant's other exports to the same account.
    pub neighbours: Vec<Export>,
}

impl Store {
    /// Who may use a connection that an export is to be made on; one that the caller may not see does not exist.
    pub fn connection_access_of(
        &self,
        permit: Permit<ListExports>,
        connection: ConnectionId,
    ) -> impl Future<Output = Result<ConnectionAccess>> + Send + use<> {
        let Spent { target, visibility, .. } = permit.spend();
        let readers = self.readers.clone();
        async move {
            let name = ConnectionName { tenant: target.tenant, connection };
            let access = connections::access_of(&connections::load(&readers, &name).await?)?;
            let shared = access == ConnectionAccess::AdministratorsAndContributors;
            if visibility == Visibility::All || shared { Ok(access) } else { Err(connections::not_found(&name)) }
        }
    }

    /// Stores an export. Fails as ABORTED if the connection's access changed since the permit was granted.
    pub fn export_create(
        &self,
        permit: Permit<CreateExport>,
        new: NewExportRow,
        write: Write,
    ) -> impl Future<Output = Result<Export>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let (store, by) = (self.clone(), act.subject.clone());
        async move {
            store.change(act, write.now, move |transaction| Box::pin(create(transaction, target, by, new, write))).await
        }
    }

    /// Reads an export.
    pub fn export_get(&self, permit: Permit<GetExport>) -> impl Future<Output = Result<ExportView>> + Send + use<> {
        let name = permit.spend().target;
        let readers = self.readers.clone();
        async move { view(&readers, load(&readers, &name).await?).await }
    }

    /// Changes an export. Fails as ABORTED if it or its connection's access changed since the permit was granted.
    pub fn export_update(
        &self,
        permit: Permit<UpdateExport>,
        change: ExportChange,
        write: Write,
    ) -> impl Future<Output = Result<Export>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let (store, by) = (self.clone(), act.subject.clone());
        async move {
            store
                .change(act, write.now, move |transaction| Box::pin(update(transaction, target, by, change, write)))
                .await
        }
    }

    /// Removes an export from all lists. Its runs can still be read.
    pub fn export_delete(
        &self,
        permit: Permit<DeleteExport>,
        seen: Option<i64>,
        write: Write,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            store
                .change(act, write.now, move |transaction| {
                    Box::pin(async move {
                        let found = unchanged(transaction, &target, seen).await?;
                        if let Some(live) = runs::live_run(transaction, &target.name).await? {
                            let name = runs::to_domain(live)?.name.to_string();
                            let message = format!("`{name}` is going on; cancel it first");
                            return Err(Error::precondition(Reason::RunInProgress, "RUN", name, message));
                        }
                        let mut row = found.clone().into_active_model();
                        row.delete_time = Set(Some(write.now.as_millis()));
                        row.version = Set(found.version + 1);
                        let row = export::Entity::update(row).exec(transaction).await.map_err(database)?;
                        tick::follow_export(transaction, &row, write.now).await?;
                        Ok(Changed::one((), facts::of_export("EXPORT_DELETED", Some(&found), &row)?))
                    })
                })
                .await
        }
    }

    /// Reads what it takes to ask the destination about an export.
    pub fn export_credentials(
        &self,
        permit: Permit<ValidateExport>,
    ) -> impl Future<Output = Result<ExportCredentials>> + Send + use<> {
        let name = permit.spend().target.name;
        let readers = self.readers.clone();
        async move {
            let export = to_domain(load(&readers, &name).await?)?;
            let row = attached(&readers, &export).await?;
            let secret = StoredSecret::of(&row);
            let neighbours = neighbours(&readers, &export, &row.host).await?;
            Ok(ExportCredentials { export, connection: connections::to_domain(row)?, secret, neighbours })
        }
    }
}

/// The tenant's other exports whose connection is for this host.
async fn neighbours(readers: &DatabaseConnection, of: &Export, host: &str) -> Result<Vec<Export>> {
    let connections: Vec<String> = connection::Entity::find()
        .select_only()
        .column(connection::Column::Id)
        .filter(connection::Column::Tenant.eq(of.name.tenant.as_str()))
        .filter(connection::Column::Host.eq(host))
        .into_tuple()
        .all(readers)
        .await
        .map_err(database)?;
    let rows = export::Entity::find()
        .filter(export::Column::Tenant.eq(of.name.tenant.as_str()))
        .filter(export::Column::Id.ne(of.name.export.as_str()))
        .filter(export::Column::Connection.is_in(connections))
        .filter(export::Column::DeleteTime.is_null())
        .order_by_asc(export::Column::Id)
        .all(readers)
        .await
        .map_err(database)?;
    rows.into_iter().map(to_domain).collect()
}

/// The connection of an export that has one.
pub(crate) async fn attached(connection: &impl ConnectionTrait, export: &Export) -> Result<connection::Model> {
    let Some(id) = export.connection.clone() else {
        let message = format!("`{}` is detached; attach it to a connection first", export.name);
        return Err(Error::precondition(Reason::ExportDetached, "CONNECTION", export.name.to_string(), message));
    };
    connections::load(connection, &ConnectionName { tenant: export.name.tenant.clone(), connection: id }).await
}

async fn create(
    transaction: &DatabaseTransaction,
    target: NewExport,
    by: String,
    new: NewExportRow,
    write: Write,
) -> Result<Changed<Export>> {
    let NewExport { name, connection, access } = target;
    let tenant = name.tenant.as_str();
    if let Some(first) = request::earlier(transaction, tenant, CreateExport::METHOD, &write).await? {
        // Its own name, which the server may have made: the repeat brings another.
        let first = ExportName::parse(&first).map_err(|error| corrupt("request_ids", error))?;
        return Ok(Changed::nothing(to_domain(load(transaction, &first).await?)?));
    }
    tenants::must_exist(transaction, &name.tenant).await?;
    let on = ConnectionName { tenant: name.tenant.clone(), connection: connection.clone() };
    if connections::access_of(&connections::load(transaction, &on).await?)? != access {
        return Err(Error::Aborted { name: on.to_string() });
    }
    if find(transaction, &name).await?.is_some() {
        let name = name.to_string();
        return Err(Error::AlreadyExists { reason: Reason::ResourceExists, kind: "export", name });
    }
    let row = export::ActiveModel {
        tenant: Set(tenant.to_owned()),
        id: Set(name.export.as_str().to_owned()),
        uid: Set(new.uid),
        display_name: Set(new.display_name),
        connection: Set(Some(connection.as_str().to_owned())),
        segments: Set(to_json(&new.segments)?),
        settings: Set(to_json(&new.settings)?),
        field_mappings: Set(to_json(&new.field_mappings)?),
        leave_policy: Set(to_json(&new.leave_policy)?),
        removal_guard: Set(Some(to_json(&new.removal_guard)?)),
        schedule: Set(to_json(&new.schedule)?),
        latest_run: Set(None),
        updated_by: Set(by),
        version: Set(1),
        create_time: Set(write.now.as_millis()),
        update_time: Set(write.now.as_millis()),
        delete_time: Set(None),
        schedule_before: Set(None),
    };
    let row = export::Entity::insert(row).exec_with_returning(transaction).await.map_err(database)?;
    tick::follow_export(transaction, &row, write.now).await?;
    request::note(transaction, tenant, CreateExport::METHOD, &write, &name.to_string()).await?;
    let fact = facts::of_export("EXPORT_CREATED", None, &row)?;
    Ok(Changed::one(to_domain(row)?, fact))
}

async fn update(
    transaction: &DatabaseTransaction,
    target: ExportTarget,
    by: String,
    change: ExportChange,
    write: Write,
) -> Result<Changed<Export>> {
    let tenant = target.name.tenant.as_str();
    if request::earlier(transaction, tenant, UpdateExport::METHOD, &write).await?.is_some() {
        return Ok(Changed::nothing(to_domain(load(transaction, &target.name).await?)?));
    }
    tenants::must_exist(transaction, &target.name.tenant).await?;
    let found = unchanged(transaction, &target, change.seen_version).await?;
    let fields = change.fields();
    let mut row = found.clone().into_active_model();
    if let Some(display_name) = change.display_name {
        row.display_name = Set(display_name);
    }
    if let Some(segments) = change.segments {
        row.segments = Set(to_json(&segments)?);
    }
    if let Some(settings) = change.settings {
        row.settings = Set(to_json(&settings)?);
    }
    if let Some(field_mappings) = change.field_mappings {
        row.field_mappings = Set(to_json(&field_mappings)?);
    }
    if let Some(leave_policy) = change.leave_policy {
        row.leave_policy = Set(to_json(&leave_policy)?);
    }
    if let Some(guard) = change.removal_guard {
        row.removal_guard = Set(Some(to_json(&guard)?));
    }
    if let Some(schedule) = change.schedule {
        export_many::set_schedule(&mut row, &found, &schedule)?;
    }
    row.updated_by = Set(by);
    row.version = Set(found.version + 1);
    row.update_time = Set(write.now.as_millis());
    let row = export::Entity::update(row).exec(transaction).await.map_err(database)?;
    // Else what is due stays due.
    if row.schedule != found.schedule {
        tick::follow_export(transaction, &row, write.now).await?;
    }
    request::note(transaction, tenant, UpdateExport::METHOD, &write, &target.name.to_string()).await?;
    let fact = facts::of_export("EXPORT_UPDATED", Some(&found), &row)?.with("fields", fields);
    Ok(Changed::one(to_domain(row)?, fact))
}

impl ExportChange {
    /// The fields that it names, for the record.
    fn fields(&self) -> String {
        facts::named(&[
            ("display_name", self.display_name.is_some()),
            ("segments", self.segments.is_some()),
            ("settings", self.settings.is_some()),
            ("field_mappings", self.field_mappings.is_some()),
            ("leave_policy", self.leave_policy.is_some()),
            ("removal_guard", self.removal_guard.is_some()),
            ("schedule", self.schedule.is_some()),
        ])
    }
}

/// The row, if it and who may use its connection are still what the permit was granted for.
pub(crate) async fn unchanged(
    connection: &impl ConnectionTrait,
    target: &ExportTarget,
    seen: Option<i64>,
) -> Result<export::Model> {
    let row = load(connection, &target.name).await?;
    let access = match &row.connection {
        None => ConnectionAccess::Administrators,
        Some(id) => {
            let connection_id = ConnectionId::parse(id).map_err(|error| corrupt("exports", error))?;
            let on = ConnectionName { tenant: target.name.tenant.clone(), connection: connection_id };
            connections::access_of(&connections::load(connection, &on).await?)?
        }
    };
    let moved = row.version != target.version || access != target.access;
    if moved || seen.is_some_and(|seen| seen != row.version) {
        return Err(Error::Aborted { name: target.name.to_string() });
    }
    Ok(row)
}

pub(crate) async fn view(readers: &DatabaseConnection, row: export::Model) -> Result<ExportView> {
    let export = to_domain(row)?;
    let connection = match &export.connection {
        None => None,
        Some(id) => {
            let name = ConnectionName { tenant: export.name.tenant.clone(), connection: id.clone() };
            connections::find(readers, &name).await?.map(connections::to_domain).transpose()?
        }
    };
    let latest_run = match &export.latest_run {
        None => None,
        Some(id) => {
            let row = run::Entity::find_by_id(id.as_str()).one(readers).await.map_err(database)?;
            row.map(runs::to_domain).transpose()?
        }
    };
    let next_run = match tick::of_export(&export) {
        None => None,
        Some((tenant, id)) => tick::due_time(readers, (tenant, id)).await?.map(Timestamp::from_millis),
    };
    Ok(ExportView { export, connection, latest_run, next_run })
}

/// The row, of a removed export too.
pub(crate) async fn find(connection: &impl ConnectionTrait, name: &ExportName) -> Result<Option<export::Model>> {
    let key = (name.tenant.as_str().to_owned(), name.export.as_str().to_owned());
    export::Entity::find_by_id(key).one(connection).await.map_err(database)
}

pub(crate) async fn load(connection: &impl ConnectionTrait, name: &ExportName) -> Result<export::Model> {
    let found = find(connection, name).await?.filter(|row| row.delete_time.is_none());
    found.ok_or_else(|| Error::NotFound { kind: "export", name: name.to_string() })
}

pub(crate) fn to_domain(row: export::Model) -> Result<Export> {
    let bad_id = |error| corrupt("exports", error);
    let guard = row.removal_guard.as_deref().map(|text| from_json("exports", text)).transpose()?;
    Ok(Export {
        name: connections::export_name(&row.tenant, &row.id)?,
        uid: row.uid,
        display_name: row.display_name,
        connection: row.connection.as_deref().map(ConnectionId::parse).transpose().map_err(bad_id)?,
        segments: from_json("exports", &row.segments)?,
        settings: from_json("exports", &row.settings)?,
        field_mappings: from_json("exports", &row.field_mappings)?,
        leave_policy: from_json("exports", &row.leave_policy)?,
        removal_guard: guard.unwrap_or_default(),
        schedule: from_json("exports", &row.schedule)?,
        latest_run: row.latest_run.as_deref().map(RunId::parse).transpose().map_err(bad_id)?,
        updated_by: row.updated_by,
        version: row.version,
        create_time: Timestamp::from_millis(row.create_time),
        update_time: Timestamp::from_millis(row.update_time),
    })
}

/// States in which a run is not over.
pub(crate) fn live_states() -> [&'static str; 5] {
    [
        RunState::Queued.as_str(),
        RunState::Processing.as_str(),
        RunState::AwaitingApproval.as_str(),
        RunState::Paused.as_str(),
        RunState::Cancelling.as_str(),
    ]
}
