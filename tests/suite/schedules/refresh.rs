//! The tenant's refresh.

use super::{SOON, acme, fields, get, make, mask, off, own, reason, runs, stage, start_refresh, with_refresh};
use ferry_proto::v1 as pb;
use ferry_proto::v1::refresh_schedule::{Cadence, Day};
use ferry_proto::v1::run::{State, Trigger};
use ferry_testkit::canary::people;
use ferry_testkit::{Client, Stage, TENANT};
use tonic::{Code, Status};

async fn schedule(client: &mut Client, tenant: &str) -> pb::RefreshSchedule {
    let request = pb::GetRefreshScheduleRequest { name: format!("tenants/{tenant}/refreshSchedule") };
    client.refresh.get_refresh_schedule(request).await.unwrap().into_inner().refresh_schedule.unwrap()
}

async fn update(
    client: &mut Client,
    schedule: pb::RefreshSchedule,
    paths: &[&str],
) -> Result<pb::RefreshSchedule, Status> {
    let name = if schedule.name.is_empty() { format!("{}/refreshSchedule", acme()) } else { schedule.name.clone() };
    let request = pb::UpdateRefreshScheduleRequest {
        refresh_schedule: Some(pb::RefreshSchedule { name, ..schedule }),
        update_mask: if paths.is_empty() { None } else { mask(paths) },
        ..Default::default()
    };
    let answer = client.refresh.update_refresh_schedule(request).await?;
    Ok(answer.into_inner().refresh_schedule.unwrap())
}

fn tuesday_and_friday() -> pb::RefreshSchedule {
    pb::RefreshSchedule {
        active: true,
        days: vec![Day::Tuesday.into(), Day::Friday.into()],
        times: vec!["08:30".to_owned()],
        time_zone: "Europe/Berlin".to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn s01_the_schedule_of_a_new_tenant_is_off_and_every_role_reads_it() {
    let stage = Stage::new().await;
    for role in ["viewer", "contributor", "administrator"] {
        let found = schedule(&mut stage.client(role).await, TENANT).await;
        assert!(!found.active && found.next_time.is_none() && found.update_time.is_none(), "{found:?}");
        assert_eq!((found.cadence(), found.time_zone.as_str(), found.etag.as_str()), (Cadence::Weekly, "UTC", "\"0\""));
        assert!(found.days.is_empty() && found.times.is_empty() && found.updated_by.is_empty());
    }
    let denied = update(&mut stage.client("contributor").await, tuesday_and_friday(), &[]).await.unwrap_err();
    assert_eq!(reason(&denied), (Code::PermissionDenied, "ROLE_TOO_LOW".to_owned()));
}

#[tokio::test]
async fn s02_a_weekly_schedule_says_when_it_takes_place_next() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let stored = update(&mut client, tuesday_and_friday(), &[]).await.unwrap();
    assert_eq!((stored.cadence(), stored.updated_by.as_str()), (Cadence::Weekly, "administrator"));
    let next = stored.next_time.unwrap().seconds;
    let now = stored.update_time.unwrap().seconds;
    // 08:30 in Berlin is 06:30 or 07:30 in UTC, and 1970 began on a Thursday.
    let (day, second) = (next.div_euclid(86_400), next.rem_euclid(86_400));
    assert!([6 * 3_600 + 1_800, 7 * 3_600 + 1_800].contains(&second), "{next}");
    assert!([1, 4].contains(&((day + 3) % 7)), "a Tuesday or a Friday: {next}");
    assert!(next > now && next - now <= 4 * 86_400);
    assert_eq!(schedule(&mut client, TENANT).await, stored);
    // Daily takes no days.
    let daily = pb::RefreshSchedule { cadence: Cadence::Daily.into(), etag: stored.etag.clone(), ..Default::default() };
    let kept = update(&mut client, daily.clone(), &["cadence"]).await.unwrap_err();
    assert_eq!(fields(&kept), ["refresh_schedule.days"]);
    let daily = update(&mut client, daily, &["cadence", "days"]).await.unwrap();
    assert_eq!((daily.cadence(), daily.days.len(), daily.times.clone()), (Cadence::Daily, 0, stored.times.clone()));
    assert!(daily.next_time.unwrap().seconds - now <= 86_400);
    let stale = pb::RefreshSchedule { etag: stored.etag, ..Default::default() };
    let stale = update(&mut client, stale, &["active"]).await.unwrap_err();
    assert_eq!(reason(&stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let off = update(&mut client, pb::RefreshSchedule::default(), &["active"]).await.unwrap();
    assert!(!off.active && off.next_time.is_none() && off.times == daily.times);
}

#[tokio::test]
async fn s03_a_fifth_time_is_refused_and_so_is_whatever_says_no_instant() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let times = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let four = times(&["23:59", "00:00", "08:30", "12:00"]);
    let with = |times: Vec<String>| pb::RefreshSchedule { times, ..tuesday_and_friday() };
    let stored = update(&mut client, with(four.clone()), &[]).await.unwrap();
    assert_eq!(stored.times, ["00:00", "08:30", "12:00", "23:59"]);
    let five = [four, times(&["13:00"])].concat();
    assert_eq!(fields(&update(&mut client, with(five), &[]).await.unwrap_err()), ["refresh_schedule.times"]);
    for bad in ["24:00", "8:30", "08:60", "noon", ""] {
        let refused = update(&mut client, with(times(&[bad])), &["times"]).await.unwrap_err();
        assert_eq!(fields(&refused)[0], "refresh_schedule.times[0]", "{bad}");
    }
    let twice = update(&mut client, with(times(&["08:30", "08:30"])), &[]).await.unwrap_err();
    assert_eq!(fields(&twice), ["refresh_schedule.times[1]"]);
    for (days, field) in [(vec![0], "days[0]"), (vec![8], "days[0]"), (vec![2, 2], "days[1]"), (vec![], "days")] {
        let bad = pb::RefreshSchedule { days, ..tuesday_and_friday() };
        let refused = update(&mut client, bad, &["days"]).await.unwrap_err();
        assert!(fields(&refused).contains(&format!("refresh_schedule.{field}")), "{refused:?}");
    }
    assert_eq!(schedule(&mut client, TENANT).await, stored, "nothing of it was stored");
}

#[tokio::test]
async fn s10_time_zones_are_listed_and_an_unknown_one_is_refused() {
    let stage = Stage::new().await;
    let request = pb::ListTimeZonesRequest { parent: acme() };
    let zones = stage.client("viewer").await.refresh.list_time_zones(request).await.unwrap().into_inner().time_zones;
    assert!(zones.len() > 400 && zones.windows(2).all(|pair| pair[0].name < pair[1].name));
    let offset = |name: &str| zones.iter().find(|zone| zone.name == name).unwrap().utc_offset.unwrap().seconds;
    assert_eq!((offset("UTC"), offset("America/Sao_Paulo"), offset("Asia/Kathmandu")), (0, -3 * 3_600, 20_700));
    assert!([3_600, 7_200].contains(&offset("Europe/Berlin")));
    let mut client = stage.client("administrator").await;
    for unknown in ["Europe/Atlantis", "europe/berlin", "+02:00"] {
        let bad = pb::RefreshSchedule { time_zone: unknown.to_owned(), ..tuesday_and_friday() };
        assert_eq!(fields(&update(&mut client, bad, &[]).await.unwrap_err()), ["refresh_schedule.time_zone"]);
    }
}

#[tokio::test]
async fn s11_a_sandbox_has_no_scheduled_refresh() {
    let stage = Stage::new().await;
    let tenant =
        pb::Tenant { display_name: "Trials".to_owned(), kind: pb::tenant::Kind::Sandbox.into(), ..Default::default() };
    let request =
        pb::CreateTenantRequest { tenant_id: "trials".to_owned(), tenant: Some(tenant), ..Default::default() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    let mut client = Client::connect(stage.addr(), &stage.token_in("trials", "administrator")).await;
    let wanted = pb::RefreshSchedule { name: "tenants/trials/refreshSchedule".to_owned(), ..tuesday_and_friday() };
    let refused = update(&mut client, wanted.clone(), &[]).await.unwrap_err();
    assert_eq!(fields(&refused), ["refresh_schedule.active"]);
    // What it would be may be written down.
    let stored = update(&mut client, wanted, &["days", "times", "time_zone"]).await.unwrap();
    assert!(!stored.active && stored.next_time.is_none() && stored.times.len() == 1);
}

#[tokio::test]
async fn s04_a_new_export_runs_once_with_a_refresh_and_s05_no_other_does() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let by_default = make(&stage, "by-default", None).await;
    assert_eq!(by_default.schedule, with_refresh());
    for (id, schedule) in [("custom", own("0 0 1 1 *", "UTC")), ("switched-off", off())] {
        make(&stage, id, schedule).await;
    }
    let started = start_refresh(&mut client, &["people"], &[]).await.unwrap();
    assert_eq!((started.runs.len(), started.already_running.len()), (1, 0));
    assert_eq!((started.runs[0].export.as_str(), started.runs[0].trigger()), (&*by_default.name, Trigger::Refresh));
    let ended = stage.ended(&started.runs[0].name, SOON).await;
    assert_eq!((ended.state(), ended.counts.unwrap().confirmed), (State::Succeeded, 3));
    assert_eq!(ended.started_by, "administrator");
    assert_eq!(runs(&mut client, &by_default.name).await.len(), 1);
    let again = start_refresh(&mut client, &["people"], &[]).await.unwrap().runs;
    assert_eq!(stage.ended(&again[0].name, SOON).await.counts.unwrap().unchanged, 3);
    assert_eq!(runs(&mut client, &by_default.name).await.len(), 2, "once with each refresh");
    for other in ["custom", "switched-off"] {
        assert!(runs(&mut client, &format!("{}/exports/{other}", acme())).await.is_empty(), "{other}");
    }
}

#[tokio::test]
async fn a_refresh_counts_the_segments_anew() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let name = format!("{}/segments/people", acme());
    let count = async |client: &mut Client| {
        let request = pb::GetSegmentRequest { name: name.clone() };
        let one = client.segments.get_segment(request).await.unwrap().into_inner().segment.unwrap();
        let request = pb::ListSegmentsRequest { parent: acme(), ..Default::default() };
        let all = client.segments.list_segments(request).await.unwrap().into_inner().segments;
        assert_eq!(all[0].member_count, one.member_count);
        one.member_count
    };
    assert_eq!(count(&mut client).await, None, "nobody has counted");
    start_refresh(&mut client, &[], &[]).await.unwrap();
    assert_eq!(count(&mut client).await, Some(3));
    std::fs::write(stage.path("segments").join(TENANT).join("people"), people(7)).unwrap();
    start_refresh(&mut client, &["people"], &[]).await.unwrap();
    assert_eq!(count(&mut client).await, Some(7));
}

#[tokio::test]
async fn r02_an_export_of_a_failed_segment_is_skipped_with_the_cause_and_r06_no_other() {
    let stage = stage().await;
    stage.segment("late", "csv", people(2).as_bytes());
    stage.segment("unread", "parquet", b"no parquet");
    let mut client = stage.client("administrator").await;
    let good = make(&stage, "good", None).await;
    let of = |id: &str| stage.export("newsletter", id);
    let mut both = of("people");
    both.segments.extend(of("late").segments);
    let bad = stage.create_export("both", both).await;
    let unreadable = stage.create_export("unread", of("unread")).await;
    let custom = make(&stage, "custom", own("0 0 1 1 *", "UTC")).await;
    let started = start_refresh(&mut client, &[], &[("late", "the source was late")]).await.unwrap();
    let of_export = |name: &str| started.runs.iter().find(|run| run.export == name).unwrap().clone();
    assert_eq!(started.runs.len(), 3);
    let skipped = of_export(&bad.name);
    assert_eq!((skipped.state(), skipped.trigger()), (State::Skipped, Trigger::Refresh));
    let error = skipped.error.clone().unwrap();
    assert_eq!(error.reason, "SEGMENT_FAILED");
    assert!(error.status.unwrap().message.contains("`late` failed: the source was late"));
    assert!(skipped.end_time.is_some() && skipped.start_time.is_none());
    assert_eq!(of_export(&unreadable.name).error.unwrap().reason, "SEGMENT_FAILED");
    assert_eq!(stage.ended(&of_export(&good.name).name, SOON).await.state(), State::Succeeded);
    assert_eq!(get(&mut client, &bad.name).await.latest_run, skipped.name);
    assert!(runs(&mut client, &custom.name).await.is_empty(), "it is not in the refresh, and nobody says so of it");
    // A failed refresh of a segment that it does not have means nothing to an export.
    let again = start_refresh(&mut client, &["people"], &[("unread", "")]).await.unwrap();
    let states: Vec<State> = again.runs.iter().map(pb::Run::state).collect();
    assert_eq!(states, [State::Queued, State::Queued, State::Skipped], "{again:?}");
}

#[tokio::test]
async fn what_is_said_of_a_refresh_is_checked_and_a_repeat_says_the_same() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    make(&stage, "weekly", None).await;
    let refused = start_refresh(&mut client, &["nowhere"], &[("people", "x")]).await.unwrap_err();
    assert_eq!(fields(&refused), ["segments[0]"]);
    let both = start_refresh(&mut client, &["people"], &[("people", "x")]).await.unwrap_err();
    assert_eq!(fields(&both), ["failed_segments"]);
    let long = start_refresh(&mut client, &[], &[("people", &"x".repeat(501))]).await.unwrap_err();
    assert_eq!(fields(&long), ["failed_segments[0].cause"]);
    let denied = start_refresh(&mut stage.client("contributor").await, &[], &[]).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let request = pb::StartRefreshRequest {
        parent: acme(),
        request_id: "6e0f7d0a-3a57-4a0c-9f0a-5b8a41d3b001".to_owned(),
        ..Default::default()
    };
    let first = client.refresh.start_refresh(request.clone()).await.unwrap().into_inner();
    stage.ended(&first.runs[0].name, SOON).await;
    let again = client.refresh.start_refresh(request.clone()).await.unwrap().into_inner();
    assert_eq!(again.runs[0].name, first.runs[0].name);
    assert_eq!(again.runs[0].state(), State::Succeeded, "as it is now");
    let other = pb::StartRefreshRequest { segments: vec![format!("{}/segments/people", acme())], ..request };
    let reused = client.refresh.start_refresh(other).await.unwrap_err();
    assert_eq!(reused.code(), Code::InvalidArgument);
    assert_eq!(runs(&mut client, &format!("{}/exports/weekly", acme())).await.len(), 1);
}

/// A catalogue that is not there has no segments; an export that goes with the refresh must not just stop.
#[tokio::test]
async fn an_export_whose_segment_is_no_longer_in_the_catalogue_fails_with_the_refresh_and_says_so() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let export = make(&stage, "weekly", with_refresh()).await;
    std::fs::remove_file(stage.path("segments").join(TENANT).join("catalogue.toml")).unwrap();
    let started = start_refresh(&mut client, &[], &[]).await.unwrap();
    assert_eq!(started.runs.len(), 1, "{started:?}");
    let run = stage.ended(&started.runs[0].name, SOON).await;
    assert!(run.name.starts_with(&export.name));
    assert_eq!((run.state(), run.error.unwrap().reason.as_str()), (State::Failed, "SEGMENT_NOT_FOUND"));
}
