//! Segments, from the tenant's catalogue.

use crate::Control;
use crate::page::{PageRequest, Query};
use crate::tenant::parse_tenant;
use ferry_domain::authz::action::{GetSegment, ListSegments, PreviewSegment};
use ferry_domain::authz::{Actor, permit};
use ferry_domain::segment::{Column, Segment, SegmentKind, SegmentState};
use ferry_domain::{Error, Reason, Result, SegmentId, SegmentName, TenantId, Timestamp, limits};
use ferry_segments::{Catalogue, Format, Preview, SegmentEntry};
use ferry_store::{Listed, SegmentCount};

const PREVIEW_DEFAULT: u32 = 20;

impl Control {
    /// Reads a tenant's segments, with the token of the next page.
    pub async fn list_segments(
        &self,
        actor: &Actor,
        parent: &str,
        page: &PageRequest,
    ) -> Result<(Listed<Segment>, String)> {
        let name = parse_tenant("parent", parent)?;
        permit::<ListSegments>(actor, name.clone())?.spend();
        let query = Query { method: "ListSegments", parent, arguments: &[] };
        let page = self.page(&query, page)?;
        let catalogue = self.catalogue(&name.tenant).await?;
        let all = catalogue.segments();
        let from = match &page.after {
            None => 0,
            Some(last) => all.iter().position(|segment| segment.id() == last).map_or(all.len(), |at| at + 1),
        };
        let size = page.size as usize;
        let shown: Vec<&SegmentEntry> = all.iter().skip(from).take(size).collect();
        let more = from + shown.len() < all.len();
        let next = shown.last().filter(|_| more).map(|last| last.id().to_owned());
        let tenant = name.tenant.clone();
        let counts = self.granted(|store| Ok(store.segment_counts(permit::<ListSegments>(actor, name)?)))?.await?;
        let of = |entry: &SegmentEntry| to_segment(&tenant, entry, Vec::new(), counts.get(entry.id()));
        let items = shown.into_iter().map(of).collect::<Result<_>>()?;
        let listed = Listed { items, next };
        let token = self.next_token(&query, &listed)?;
        Ok((listed, token))
    }

    /// Reads a segment with its columns.
    pub async fn get_segment(&self, actor: &Actor, name: &str) -> Result<Segment> {
        let name = parse("name", name)?;
        permit::<GetSegment>(actor, name.clone())?.spend();
        let entry = self.entry(&name).await?;
        let columns = blocking(move || (entry.columns().unwrap_or_default(), entry)).await?;
        let tenant = name.tenant.clone();
        let count = self.granted(|store| Ok(store.segment_count(permit::<GetSegment>(actor, name)?)))?.await?;
        to_segment(&tenant, &columns.1, columns.0, count.as_ref())
    }

    /// Reads the first rows of a segment.
    pub async fn preview_segment(&self, actor: &Actor, name: &str, rows: i32) -> Result<Preview> {
        let name = parse("name", name)?;
        permit::<PreviewSegment>(actor, name.clone())?.spend();
        let rows = match u32::try_from(rows) {
            Ok(0) => PREVIEW_DEFAULT,
            Ok(rows) if rows <= limits::PREVIEW_ROWS => rows,
            _ => return Err(Error::invalid("row_count", format!("must be 0 to {}", limits::PREVIEW_ROWS))),
        };
        let entry = self.entry(&name).await?;
        let preview = blocking(move || ferry_segments::preview(&entry, rows as usize)).await?;
        preview.map_err(|error| {
            let message = format!("`{name}`: {error}");
            Error::precondition(Reason::SegmentUnreadable, "SEGMENT", name.to_string(), message)
        })
    }

    pub(crate) async fn catalogue(&self, tenant: &TenantId) -> Result<Catalogue> {
        let (root, tenant) = (self.parts.segments_root.clone(), tenant.as_str().to_owned());
        let name = format!("tenants/{tenant}");
        blocking(move || Catalogue::load(&root, &tenant))
            .await?
            .map_err(|error| Error::precondition(Reason::SegmentUnreadable, "CATALOGUE", name, error.to_string()))
    }

    async fn entry(&self, name: &SegmentName) -> Result<SegmentEntry> {
        let catalogue = self.catalogue(&name.tenant).await?;
        let found = catalogue.segment(name.segment.as_str()).cloned();
        found.ok_or_else(|| Error::NotFound { kind: "segment", name: name.to_string() })
    }
}

fn parse(field: &str, text: &str) -> Result<SegmentName> {
    SegmentName::parse(text).map_err(|error| Error::invalid(field, error.to_string()))
}

/// File work, off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("file work failed", error))
}

/// What the catalogue says, and what a refresh has counted since.
fn to_segment(
    tenant: &TenantId,
    entry: &SegmentEntry,
    columns: Vec<ferry_segments::Column>,
    count: Option<&SegmentCount>,
) -> Result<Segment> {
    let told = entry.member_count().filter(|_| entry.last_refresh_millis().is_some());
    let newer = |count: &&SegmentCount| told.is_none() || Some(count.time.as_millis()) >= entry.last_refresh_millis();
    let segment = SegmentId::parse(entry.id()).map_err(|error| Error::internal("a segment's id", error))?;
    let source = match entry.format() {
        Format::Csv => "csv file",
        Format::Parquet => "parquet file",
        Format::Jsonl => "json lines file",
    };
    Ok(Segment {
        name: SegmentName { tenant: tenant.clone(), segment },
        display_name: entry.display_name().to_owned(),
        kind: match entry.kind() {
            ferry_segments::SegmentKind::Profile => SegmentKind::Profile,
            ferry_segments::SegmentKind::Account => SegmentKind::Account,
        },
        state: match entry.state() {
            ferry_segments::SegmentState::Active => SegmentState::Active,
            ferry_segments::SegmentState::Inactive => SegmentState::Inactive,
            ferry_segments::SegmentState::Failed => SegmentState::Failed,
        },
        source: source.to_owned(),
        columns: columns.into_iter().map(column).collect(),
        member_count: count.filter(newer).map(|count| count.members).or(entry.member_count()),
        last_refresh_time: entry.last_refresh_millis().map(Timestamp::from_millis),
    })
}

/// A column in the domain's terms.
#[must_use]
pub fn column(column: ferry_segments::Column) -> Column {
    Column { name: column.name, data_type: column.data_type, mappable: column.mappable }
}
