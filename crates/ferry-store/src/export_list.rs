//! Lists of exports: in the order in which they were made, page by page from the database; or by any of their columns,
//! or only those that a text is found in, which takes a look at all of a tenant's.

use crate::entity::{connection, export, run};
use crate::error::database;
use crate::export::{ExportView, to_domain};
use crate::page::{Cursor, Listed, Page};
use crate::{Store, connection as connections, run as runs, tick, tick_look};
use ferry_domain::authz::action::ListExports;
use ferry_domain::authz::{Permit, Spent, Visibility};
use ferry_domain::{
    Connection, ConnectionAccess, ConnectionId, Error, ExportSettings, Result, Run, Schedule, SegmentId, Timestamp,
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use std::collections::HashMap;

/// Runs that are looked up in one query.
const RUNS_AT_ONCE: usize = 500;

/// Which exports a list shows.
#[derive(Debug, Clone, Default)]
pub struct ExportFilter {
    /// Those on this connection.
    pub connection: Option<ConnectionId>,
    /// Those with this segment.
    pub segment: Option<SegmentId>,
    /// Those without this segment.
    pub without_segment: Option<SegmentId>,
    /// Those whose display name, or the display name or type of whose connection, holds this text in any case. The name
    /// of a connection that the caller may not see is not looked at.
    pub search: Option<String>,
}

/// A column to order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportColumn {
    /// When it was made.
    #[default]
    CreateTime,
    /// Its display name, in any case.
    DisplayName,
    /// The type of its destination.
    Type,
    /// Where its newest run stands; those that have none come first.
    State,
    /// When its newest run ended; those that have none come first.
    Refreshed,
    /// Its schedule: off, with the refresh, its own by its expression.
    Schedule,
    /// The id of its connection; detached ones come first.
    Connection,
    /// When it was last changed.
    UpdateTime,
    /// Who changed it last.
    UpdatedBy,
}

/// The order of a list. Exports that are equal in it are ordered by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportOrder {
    /// By what.
    pub by: ExportColumn,
    /// The greatest first.
    pub descending: bool,
}

impl Store {
    /// Reads a tenant's exports.
    pub fn export_list(
        &self,
        permit: Permit<ListExports>,
        filter: ExportFilter,
        order: ExportOrder,
        page: Page,
    ) -> impl Future<Output = Result<Listed<ExportView>>> + Send + use<> {
        let Spent { target, visibility, .. } = permit.spend();
        let readers = self.readers.clone();
        async move {
            let query = chosen(target.tenant.as_str(), &filter);
            if order == ExportOrder::default() && filter.search.is_none() {
                return in_order(&readers, query, page).await;
            }
            sorted(&readers, query, (filter.search, visibility), order, page).await
        }
    }
}

fn chosen(tenant: &str, filter: &ExportFilter) -> Select<export::Entity> {
    // Ids hold no wildcard.
    let quoted = |segment: &SegmentId| format!("%\"{segment}\"%");
    let mut query =
        export::Entity::find().filter(export::Column::Tenant.eq(tenant)).filter(export::Column::DeleteTime.is_null());
    if let Some(connection) = &filter.connection {
        query = query.filter(export::Column::Connection.eq(connection.as_str()));
    }
    if let Some(segment) = &filter.segment {
        query = query.filter(export::Column::Segments.like(quoted(segment)));
    }
    if let Some(segment) = &filter.without_segment {
        query = query.filter(export::Column::Segments.not_like(quoted(segment)));
    }
    query
}

async fn in_order(
    readers: &DatabaseConnection,
    mut query: Select<export::Entity>,
    page: Page,
) -> Result<Listed<ExportView>> {
    if let Some(after) = page.cursor()? {
        query = query.filter(after.after(export::Column::CreateTime, export::Column::Id));
    }
    let query = query.order_by_asc(export::Column::CreateTime).order_by_asc(export::Column::Id);
    let rows = query.limit(page.limit()).all(readers).await.map_err(database)?;
    let items = views(readers, rows).await?;
    let key = |v: &ExportView| Cursor { time: v.export.create_time, id: v.export.name.export.as_str().to_owned() };
    Ok(page.cut(items, key))
}

async fn sorted(
    readers: &DatabaseConnection,
    query: Select<export::Entity>,
    (search, visibility): (Option<String>, Visibility),
    order: ExportOrder,
    page: Page,
) -> Result<Listed<ExportView>> {
    let rows = query.all(readers).await.map_err(database)?;
    let search = search.map(|text| text.to_lowercase());
    let mut keyed: Vec<((String, String), ExportView)> = Vec::with_capacity(rows.len());
    for view in views(readers, rows).await? {
        if search.as_ref().is_none_or(|text| holds(&view, text, visibility)) {
            keyed.push(((key(&view, order.by), view.export.name.export.as_str().to_owned()), view));
        }
    }
    keyed.sort_by(|one, other| one.0.cmp(&other.0));
    if order.descending {
        keyed.reverse();
    }
    let from = match &page.after {
        None => 0,
        Some(after) => {
            let (key, id) = after.split_once('\n').ok_or_else(|| Error::invalid("page_token", "is no such token"))?;
            let after = (key.to_owned(), id.to_owned());
            let passed = |at: &(String, String)| if order.descending { *at >= after } else { *at <= after };
            keyed.iter().position(|(at, _)| !passed(at)).unwrap_or(keyed.len())
        }
    };
    let size = page.size as usize;
    let more = keyed.len() > from + size;
    let mut shown: Vec<((String, String), ExportView)> = keyed.drain(from..).take(size).collect();
    let next = shown.last().filter(|_| more).map(|((key, id), _)| format!("{key}\n{id}"));
    Ok(Listed { items: shown.drain(..).map(|(_, view)| view).collect(), next })
}

/// What stands beside each export, by a few queries for all of them.
async fn views(readers: &DatabaseConnection, rows: Vec<export::Model>) -> Result<Vec<ExportView>> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let of_tenant = connection::Entity::find().filter(connection::Column::Tenant.eq(first.tenant.as_str()));
    let mut known: HashMap<String, Connection> = HashMap::new();
    for row in of_tenant.all(readers).await.map_err(database)? {
        known.insert(row.id.clone(), connections::to_domain(row)?);
    }
    let ids: Vec<&str> = rows.iter().filter_map(|row| row.latest_run.as_deref()).collect();
    let mut latest: HashMap<String, Run> = HashMap::new();
    for some in ids.chunks(RUNS_AT_ONCE) {
        let query = run::Entity::find().filter(run::Column::Id.is_in(some.iter().copied()));
        for row in query.all(readers).await.map_err(database)? {
            latest.insert(row.id.clone(), runs::to_domain(row)?);
        }
    }
    let due = tick_look::due_times(readers, &first.tenant).await?;
    let view = |row: export::Model| {
        let connection = row.connection.as_ref().and_then(|id| known.get(id).cloned());
        let latest_run = row.latest_run.as_ref().and_then(|id| latest.get(id).cloned());
        let export = to_domain(row)?;
        let next_run = tick::of_export(&export).and_then(|(_, id)| due.get(id).copied());
        Ok(ExportView { export, connection, latest_run, next_run })
    };
    rows.into_iter().map(view).collect()
}

fn type_of(settings: &ExportSettings) -> &'static str {
    match settings {
        ExportSettings::Activecampaign { .. } => "activecampaign",
    }
}

fn holds(view: &ExportView, text: &str, visibility: Visibility) -> bool {
    let sees = |connection: &&Connection| match visibility {
        Visibility::All => true,
        Visibility::SharedOnly => connection.access == ConnectionAccess::AdministratorsAndContributors,
        Visibility::None => false,
    };
    let connection = view.connection.as_ref().filter(sees);
    view.export.display_name.to_lowercase().contains(text)
        || type_of(&view.export.settings).contains(text)
        || connection.is_some_and(|connection| connection.display_name.to_lowercase().contains(text))
}

/// A text that orders as the column does. No column holds a line break.
fn key(view: &ExportView, by: ExportColumn) -> String {
    let time = |time: Option<Timestamp>| time.map_or_else(String::new, |time| format!("{:020}", time.as_millis()));
    let export = &view.export;
    match by {
        ExportColumn::CreateTime => time(Some(export.create_time)),
        ExportColumn::DisplayName => export.display_name.to_lowercase(),
        ExportColumn::Type => type_of(&export.settings).to_owned(),
        ExportColumn::State => view.latest_run.as_ref().map_or("", |run| run.state.as_str()).to_owned(),
        ExportColumn::Refreshed => time(view.latest_run.as_ref().and_then(|run| run.end_time)),
        ExportColumn::Schedule => match &export.schedule {
            Schedule::Off => "0".to_owned(),
            Schedule::WithRefresh => "1".to_owned(),
            Schedule::Own { cron, .. } => format!("2{}", cron.split_whitespace().collect::<Vec<_>>().join(" ")),
        },
        ExportColumn::Connection => export.connection.as_ref().map_or("", ConnectionId::as_str).to_owned(),
        ExportColumn::UpdateTime => time(Some(export.update_time)),
        ExportColumn::UpdatedBy => export.updated_by.replace('\n', " "),
    }
}
