//! Refreshes of a tenant's segments: asked for by the data platform, or due by the tenant's schedule.
//!
//! Each is opened in the store, then its segments are counted here, and then the store runs the exports that go with it.
//! A crash in between leaves it open; the scheduler takes it up.

use crate::Control;
use crate::export_run::new_run_id;
use crate::segment::blocking;
use crate::tenant::parse_tenant;
use ferry_domain::authz::action::StartRefresh;
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{Reason, Result, SegmentId, SegmentName, TenantId, Violations, limits};
use ferry_segments::{Catalogue, SegmentState, count_members};
use ferry_store::{Counted, NewRefresh, OpenRefresh, QueuedRuns, Refreshed};
use serde::Serialize;
use std::path::Path;

/// Says that segments were refreshed, or failed.
#[derive(Serialize)]
pub struct StartRefreshCommand {
    /// `tenants/{tenant}`.
    pub parent: String,
    /// Those that were refreshed; empty for all that have not failed.
    pub segments: Vec<String>,
    /// Those that failed, with the cause.
    pub failed_segments: Vec<(String, String)>,
    /// The caller's request id.
    pub request_id: String,
}

impl Control {
    /// Runs the exports that go with the refresh of these segments, and skips those of failed ones.
    pub async fn start_refresh(&self, actor: &Actor, command: StartRefreshCommand) -> Result<QueuedRuns> {
        let parent = parse_tenant("parent", &command.parent)?;
        permit::<StartRefresh>(actor, parent.clone())?.spend();
        let catalogue = self.catalogue(&parent.tenant).await?;
        let mut violations = Violations::new();
        let segments = named(&command.segments, "segments", (&parent.tenant, &catalogue), &mut violations);
        let failed_names: Vec<String> = command.failed_segments.iter().map(|(name, _)| name.clone()).collect();
        let failed = named(&failed_names, "failed_segments", (&parent.tenant, &catalogue), &mut violations);
        for (position, (_, cause)) in command.failed_segments.iter().enumerate() {
            if cause.chars().count() > limits::CAUSE_CHARS || cause.chars().any(char::is_control) {
                let text =
                    format!("must have at most {} characters, none of them control characters", limits::CAUSE_CHARS);
                violations.add(format!("failed_segments[{position}].cause"), text);
            }
        }
        if let Some(both) = segments.iter().find(|id| failed.contains(id)) {
            violations.add("failed_segments", format!("`{both}` is named as refreshed and as failed"));
        }
        violations.into_result()?;
        let causes = command.failed_segments.iter().map(|(_, cause)| cause.clone());
        let new = NewRefresh {
            id: uuid::Uuid::now_v7().to_string(),
            segments: (!segments.is_empty()).then_some(segments),
            failed: failed.into_iter().zip(causes).collect(),
        };
        let write = self.write(&command.request_id, &command)?;
        let open =
            self.granted(|store| Ok(store.refresh_start(permit::<StartRefresh>(actor, parent)?, new, write)))?.await?;
        let control = self.clone();
        self.to_its_end(async move { control.carry_refresh(&open).await }).await
    }

    /// Counts the segments of a refresh and runs the exports that go with it.
    pub(crate) async fn carry_refresh(&self, open: &OpenRefresh) -> Result<QueuedRuns> {
        ferry_domain::failpoint!("refresh-opened");
        if open.has_ended {
            return self.store().refresh_finish(open, Counted::default(), new_run_id, self.now()).await;
        }
        let (root, asked) = (self.parts.segments_root.clone(), open.clone());
        let counted = blocking(move || count(&root, &asked)).await?;
        ferry_domain::failpoint!("refresh-counted");
        self.store().refresh_finish(open, counted, new_run_id, self.now()).await
    }
}

/// Names of segments of the tenant, each once.
fn named(
    names: &[String],
    field: &str,
    (tenant, catalogue): (&TenantId, &Catalogue),
    violations: &mut Violations,
) -> Vec<SegmentId> {
    if names.len() > limits::SEGMENTS_PER_REFRESH {
        violations.add(field, format!("must have at most {} entries", limits::SEGMENTS_PER_REFRESH));
        return Vec::new();
    }
    let mut ids: Vec<SegmentId> = Vec::with_capacity(names.len());
    for (position, text) in names.iter().enumerate() {
        let field = format!("{field}[{position}]");
        let Some(name) = violations.check(&field, SegmentName::parse(text)) else { continue };
        if name.tenant != *tenant || catalogue.segment(name.segment.as_str()).is_none() {
            violations.add_because(Reason::SegmentNotFound, field, "is no segment of this tenant");
        } else if ids.contains(&name.segment) {
            violations.add(field, "is named twice");
        } else {
            ids.push(name.segment);
        }
    }
    ids
}

/// What the segments of a refresh hold now. A catalogue that cannot be read has failed as a whole.
fn count(root: &Path, open: &OpenRefresh) -> Counted {
    let mut counted = Counted::default();
    let catalogue = match Catalogue::load(root, open.tenant.as_str()) {
        Ok(catalogue) => catalogue,
        Err(error) => {
            let failed = |_| Refreshed::Failed(error.to_string());
            counted.of.extend(open.segments.iter().flatten().map(|id| (id.clone(), failed(()))));
            counted.all_else = open.segments.is_none().then(|| failed(()));
            Catalogue::default()
        }
    };
    for entry in catalogue.segments() {
        let Ok(id) = SegmentId::parse(entry.id()) else { continue };
        if open.segments.as_ref().is_some_and(|named| !named.contains(&id)) {
            continue;
        }
        let came = match entry.state() {
            SegmentState::Inactive => Refreshed::Inactive,
            SegmentState::Failed => Refreshed::Failed(String::new()),
            SegmentState::Active => match count_members(entry) {
                Ok(members) => Refreshed::Counted(members),
                Err(error) => Refreshed::Failed(format!("it cannot be counted: {error}")),
            },
        };
        counted.of.insert(id, came);
    }
    // Of a segment that is no longer there nobody is told by leaving its exports out: they run, and say so.
    if open.segments.is_none() && counted.all_else.is_none() {
        counted.all_else = Some(Refreshed::Counted(0));
    }
    for (id, cause) in &open.failed {
        counted.of.insert(id.clone(), Refreshed::Failed(cause.clone()));
    }
    counted
}
