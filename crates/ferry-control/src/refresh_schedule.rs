//! The refresh schedule of a tenant, and the time zones that there are.

use crate::connection::mask;
use crate::tenant::parse_tenant;
use crate::{Control, etag};
use ferry_domain::authz::action::{GetRefreshSchedule, ListTimeZones, UpdateRefreshSchedule};
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{Cadence, Error, RefreshSchedule, Result, TenantKind, TenantName, Violations};
use ferry_schedule::{Days, TIMES_MAX, TimeOfDay, Zone};
use ferry_store::RefreshScheduleChange;
use serde::Serialize;

/// A time zone as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZoneNow {
    /// Its name.
    pub name: String,
    /// Its offset from UTC now, in seconds.
    pub offset_seconds: i32,
}

/// A cadence as a caller wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum CadenceInput {
    /// Not set.
    #[default]
    Unset,
    /// One that there is.
    Known(Cadence),
    /// One that there is not.
    Unknown,
}

/// A refresh schedule as a caller wrote it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RefreshScheduleInput {
    /// On or off.
    pub active: bool,
    /// How often.
    pub cadence: CadenceInput,
    /// Days of the week, 1 for Monday.
    pub days: Vec<i32>,
    /// Times of a day.
    pub times: Vec<String>,
    /// A time zone.
    pub time_zone: String,
}

/// Changes a refresh schedule.
#[derive(Serialize)]
pub struct UpdateRefreshScheduleCommand {
    /// Which.
    pub name: String,
    /// The new values.
    pub schedule: RefreshScheduleInput,
    /// The etag that was seen, if any.
    pub etag: String,
    /// Which values change; empty for those that are set.
    pub update_mask: Vec<String>,
    /// The caller's request id.
    pub request_id: String,
}

const PATHS: [&str; 5] = ["active", "cadence", "days", "times", "time_zone"];

impl Control {
    /// Reads the time zones, by name.
    pub fn list_time_zones(&self, actor: &Actor, parent: &str) -> Result<Vec<TimeZoneNow>> {
        permit::<ListTimeZones>(actor, parse_tenant("parent", parent)?)?.spend();
        let now = self.now().as_millis();
        let shown = |zone: Zone| TimeZoneNow { name: zone.name().to_owned(), offset_seconds: zone.offset_seconds(now) };
        Ok(Zone::all().into_iter().map(shown).collect())
    }

    /// Reads the schedule.
    pub async fn get_refresh_schedule(&self, actor: &Actor, name: &str) -> Result<RefreshSchedule> {
        let tenant = parse("name", name)?;
        Ok(self.refresh_schedule(actor, tenant).await?.0)
    }

    /// Changes the schedule. Starts nothing by itself.
    pub async fn update_refresh_schedule(
        &self,
        actor: &Actor,
        command: UpdateRefreshScheduleCommand,
    ) -> Result<RefreshSchedule> {
        let tenant = parse("refresh_schedule.name", &command.name)?;
        permit::<UpdateRefreshSchedule>(actor, tenant.clone())?.spend();
        let (found, kind) = self.refresh_schedule(actor, tenant.clone()).await?;
        let mut violations = Violations::new();
        let seen_version = etag::parse("refresh_schedule.etag", &command.etag, &mut violations);
        let paths = populated(&command, &mut violations);
        let has = |path: &str| paths.contains(&path);
        let input = &command.schedule;
        let change = RefreshScheduleChange {
            seen_version,
            version: found.version,
            active: has(PATHS[0]).then_some(input.active),
            cadence: has(PATHS[1]).then(|| cadence(input.cadence, &mut violations)),
            days: has(PATHS[2]).then(|| days(&input.days, &mut violations)),
            times: has(PATHS[3]).then(|| times(&input.times, &mut violations)),
            time_zone: has(PATHS[4]).then(|| zone(&input.time_zone, &mut violations)),
        };
        check_whole(&found, &change, kind, &mut violations);
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        self.granted(|store| {
            Ok(store.refresh_schedule_update(permit::<UpdateRefreshSchedule>(actor, tenant)?, change, write))
        })?
        .await
    }

    async fn refresh_schedule(&self, actor: &Actor, tenant: TenantName) -> Result<(RefreshSchedule, TenantKind)> {
        self.granted(|store| Ok(store.refresh_schedule_get(permit::<GetRefreshSchedule>(actor, tenant)?)))?.await
    }
}

/// `tenants/{tenant}/refreshSchedule`.
fn parse(field: &str, name: &str) -> Result<TenantName> {
    let Some(tenant) = name.strip_suffix("/refreshSchedule") else {
        return Err(Error::invalid(field, "must have the form `tenants/{tenant}/refreshSchedule`"));
    };
    parse_tenant(field, tenant)
}

fn populated(command: &UpdateRefreshScheduleCommand, violations: &mut Violations) -> Vec<&'static str> {
    let input = &command.schedule;
    if !command.update_mask.is_empty() {
        return mask(&command.update_mask, &PATHS, violations);
    }
    let set = [
        input.active,
        input.cadence != CadenceInput::Unset,
        !input.days.is_empty(),
        !input.times.is_empty(),
        !input.time_zone.is_empty(),
    ];
    PATHS.into_iter().zip(set).filter(|(_, set)| *set).map(|(path, _)| path).collect()
}

fn cadence(input: CadenceInput, violations: &mut Violations) -> Cadence {
    match input {
        CadenceInput::Unset => Cadence::default(),
        CadenceInput::Known(cadence) => cadence,
        CadenceInput::Unknown => {
            violations.add("refresh_schedule.cadence", "must be CADENCE_WEEKLY or CADENCE_DAILY");
            Cadence::default()
        }
    }
}

fn days(input: &[i32], violations: &mut Violations) -> Vec<u8> {
    let mut all = Days::default();
    for (position, day) in input.iter().enumerate() {
        match u8::try_from(*day).ok().and_then(|day| all.and(day)) {
            Some(more) => all = more,
            None => {
                let text = "must be a day from DAY_MONDAY to DAY_SUNDAY that does not stand twice";
                violations.add(format!("refresh_schedule.days[{position}]"), text);
            }
        }
    }
    all.list()
}

fn times(input: &[String], violations: &mut Violations) -> Vec<String> {
    if input.len() > TIMES_MAX {
        violations.add("refresh_schedule.times", format!("must have at most {TIMES_MAX} entries"));
    }
    let mut all: Vec<TimeOfDay> = Vec::with_capacity(input.len());
    for (position, text) in input.iter().enumerate() {
        let field = format!("refresh_schedule.times[{position}]");
        match violations.check(&field, TimeOfDay::parse(text)) {
            Some(time) if all.contains(&time) => violations.add(field, "stands twice"),
            Some(time) => all.push(time),
            None => {}
        }
    }
    all.sort_unstable();
    all.iter().map(TimeOfDay::to_string).collect()
}

fn zone(input: &str, violations: &mut Violations) -> String {
    if input.is_empty() {
        return "UTC".to_owned();
    }
    let zone = violations.check("refresh_schedule.time_zone", Zone::parse(input));
    zone.map(|zone| zone.name().to_owned()).unwrap_or_default()
}

/// What the schedule would be: one that is on must say when.
fn check_whole(found: &RefreshSchedule, change: &RefreshScheduleChange, kind: TenantKind, violations: &mut Violations) {
    let cadence = change.cadence.unwrap_or(found.cadence);
    let days = change.days.as_ref().unwrap_or(&found.days);
    let times = change.times.as_ref().unwrap_or(&found.times);
    if cadence == Cadence::Daily && !days.is_empty() {
        violations
            .add("refresh_schedule.days", "must be empty with CADENCE_DAILY; name `days` in the mask to clear them");
    }
    if !change.active.unwrap_or(found.active) {
        return;
    }
    if kind == TenantKind::Sandbox {
        violations.add("refresh_schedule.active", "must be false: a sandbox tenant has no scheduled refresh");
    }
    if cadence == Cadence::Weekly && days.is_empty() {
        violations.add("refresh_schedule.days", "must name at least one day while the schedule is active");
    }
    if times.is_empty() {
        violations.add("refresh_schedule.times", "must have at least one time while the schedule is active");
    }
}
