//! Refresh schedules and time zones.

use super::time;
use ferry_control::etag;
use ferry_control::refresh_schedule::{CadenceInput, RefreshScheduleInput, TimeZoneNow};
use ferry_domain::{Cadence, RefreshSchedule};
use ferry_proto::v1 as pb;
use pb::refresh_schedule::Cadence as PbCadence;

/// A schedule.
pub(crate) fn refresh_schedule(schedule: RefreshSchedule) -> pb::RefreshSchedule {
    let cadence = match schedule.cadence {
        Cadence::Weekly => PbCadence::Weekly,
        Cadence::Daily => PbCadence::Daily,
    };
    pb::RefreshSchedule {
        name: format!("tenants/{}/refreshSchedule", schedule.tenant),
        active: schedule.active,
        cadence: cadence.into(),
        days: schedule.days.into_iter().map(i32::from).collect(),
        times: schedule.times,
        time_zone: schedule.time_zone,
        next_time: schedule.next_time.map(time),
        updated_by: schedule.updated_by,
        etag: etag::of(schedule.version),
        update_time: schedule.update_time.map(time),
    }
}

/// A schedule as the caller wrote it. The numbers of the days are those of the week, from Monday on.
pub(crate) fn refresh_schedule_input(written: pb::RefreshSchedule) -> RefreshScheduleInput {
    let cadence = match PbCadence::try_from(written.cadence) {
        Ok(PbCadence::Unspecified) => CadenceInput::Unset,
        Ok(PbCadence::Weekly) => CadenceInput::Known(Cadence::Weekly),
        Ok(PbCadence::Daily) => CadenceInput::Known(Cadence::Daily),
        Err(_) => CadenceInput::Unknown,
    };
    RefreshScheduleInput {
        active: written.active,
        cadence,
        days: written.days,
        times: written.times,
        time_zone: written.time_zone,
    }
}

/// A time zone.
pub(crate) fn time_zone(zone: TimeZoneNow) -> pb::TimeZone {
    let offset = prost_types::Duration { seconds: zone.offset_seconds.into(), nanos: 0 };
    pb::TimeZone { name: zone.name, utc_offset: Some(offset) }
}
