//! Retention: a tenant's setting, and what it takes.

use super::{acme, alter, column, entries, export};
use ferry_proto::v1 as pb;
use ferry_testkit::{Stage, canary, eventually};
use prost_types::{Duration, FieldMask};
use tonic::{Code, Status};
use tonic_types::StatusExt;

const DAY: i64 = 86_400;

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

async fn update(stage: &Stage, kept: Option<Duration>, paths: &[&str]) -> Result<pb::Tenant, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = pb::UpdateTenantRequest {
        tenant: Some(pb::Tenant { name: acme(), audit_retention: kept, ..Default::default() }),
        update_mask: Some(FieldMask { paths }),
        ..Default::default()
    };
    let updated = stage.operator().await.tenants.update_tenant(request).await?;
    Ok(updated.into_inner().tenant.unwrap())
}

#[tokio::test]
async fn retention_is_whole_days_and_each_change_is_a_policy_with_a_number() {
    let stage = Stage::new().await;
    let negative = Some(Duration { seconds: -DAY, nanos: 0 });
    let broken = Some(Duration { seconds: DAY, nanos: 1 });
    for kept in [seconds(0), seconds(DAY - 1), seconds(DAY + 1), seconds(i64::MAX), negative, broken] {
        let refused = update(&stage, kept, &["audit_retention"]).await.unwrap_err();
        let fields = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!((refused.code(), fields[0].field.as_str()), (Code::InvalidArgument, "tenant.audit_retention"));
    }
    for (kept, told) in [(seconds(DAY), seconds(DAY)), (seconds(30 * DAY), seconds(30 * DAY)), (None, None)] {
        assert_eq!(update(&stage, kept, &["audit_retention"]).await.unwrap().audit_retention, told);
    }
    // The same again is no new policy.
    update(&stage, None, &["audit_retention"]).await.unwrap();
    let mut client = stage.client("administrator").await;
    let changes = entries(&mut client, &acme(), r#"kind = "TENANT_UPDATED""#).await;
    let told: Vec<_> = changes
        .iter()
        .filter_map(|entry| {
            let detail = |key: &str| entry.details.get(key).map(String::as_str);
            Some((detail("policy")?, detail("retention_days_before")?, detail("retention_days")?))
        })
        .collect();
    assert_eq!(told, [("3", "30", "forever"), ("2", "1", "30"), ("1", "forever", "1")]);
    let tenant = pb::Tenant { display_name: "New".to_owned(), audit_retention: seconds(7 * DAY), ..Default::default() };
    let request =
        pb::CreateTenantRequest { tenant_id: "newcomer".to_owned(), tenant: Some(tenant), ..Default::default() };
    let made = stage.operator().await.tenants.create_tenant(request).await.unwrap().into_inner().tenant.unwrap();
    assert_eq!(made.audit_retention, seconds(7 * DAY));
}

/// Bodies go, hashes stay; what nobody may take stays readable; a second sweep finds nothing to do.
#[tokio::test]
async fn what_is_older_than_the_retention_loses_its_body_and_keeps_its_hash() {
    let mut stage = Stage::new().await;
    stage.create_connection("newsletter").await;
    let mut client = stage.client("administrator").await;
    let before = entries(&mut client, &acme(), "").await;
    update(&stage, seconds(DAY), &["audit_retention"]).await.unwrap();
    stage.kill();
    let newest = before[0].number;
    alter(&stage, &format!("UPDATE audit_entries SET time = time - 2 * 86400000 WHERE number <= {newest}")).await;
    stage.start().await;
    let mut client = stage.client("administrator").await;
    let applied = eventually(super::SOON, || {
        let mut client = client.clone();
        async move {
            let found = entries(&mut client, &acme(), r#"kind = "RETENTION_APPLIED""#).await;
            if found.is_empty() { Err(found) } else { Ok(found) }
        }
    })
    .await;
    let detail = |key: &str| applied[0].details[key].clone();
    assert_eq!(
        [detail("chain"), detail("through"), detail("policy"), detail("days")],
        [acme(), newest.to_string(), "1".to_owned(), "1".to_owned()]
    );
    let after = entries(&mut client, &acme(), &format!(r#"create_time < "{}""#, "2100-01-01T00:00:00Z")).await;
    for (old, new) in before.iter().rev().zip(after.iter().rev()) {
        assert!(new.encoded.is_empty() && new.actor.is_empty() && new.object.is_empty(), "{new:?}");
        assert_eq!((&new.hash, &new.body_hash, &new.kind), (&old.hash, &old.body_hash, &old.kind));
    }
    assert!(after.iter().all(|entry| entry.number <= newest || !entry.encoded.is_empty()));
    stage.kill();
    stage.start().await;
    let query = "SELECT CAST(count(*) AS TEXT) FROM audit_entries WHERE kind = 'RETENTION_APPLIED'";
    assert_eq!(column(&stage, query).await, ["1"]);
}

/// A17: what retention took is told apart from what somebody else took, for the tenant's own chain and those of runs.
#[tokio::test]
async fn a17_a_log_without_its_old_bodies_verifies_and_names_the_policy_and_any_other_gap_is_bad() {
    let mut stage = super::Stage::new().await;
    let run = stage.run_csv(&canary::people(40)).await;
    update(&stage, seconds(DAY), &["audit_retention"]).await.unwrap();
    let mut client = stage.client("administrator").await;
    let newest = entries(&mut client, &acme(), "").await[0].number;
    let sent = entries(&mut client, &run.name, "").await.len();
    stage.kill();
    alter(&stage, &format!("UPDATE audit_entries SET time = time - 2 * 86400000 WHERE tenant = 'acme' AND (chain <> '' OR number <= {newest})")).await;
    alter(&stage, "UPDATE runs SET end_time = end_time - 2 * 86400000").await;
    stage.start().await;
    let left = "SELECT CAST(count(*) AS TEXT) FROM audit_entries WHERE tenant = 'acme' AND body IS NULL";
    let taken = newest.unsigned_abs() + sent as u64;
    eventually(super::SOON, || async {
        let found = column(&stage, left).await;
        if found == [taken.to_string()] { Ok(()) } else { Err(found) }
    })
    .await;
    let checkpoint = export::covered(&stage).await;
    let mut client = stage.client("administrator").await;
    let streamed = export::items(&mut client, 0, &[]).await.unwrap();
    let report = export::verified(&streamed, &checkpoint.public_key, &[]);
    assert!(report.is_good(), "{report}");
    assert_eq!(report.policies.keys().copied().collect::<Vec<_>>(), [1], "{report}");
    // The run's own entries are of no use without the entry that ended it, and so stay away.
    assert_eq!(report.redacted, newest.unsigned_abs(), "{report}");
    let applied = entries(&mut client, &acme(), r#"kind = "RETENTION_APPLIED""#).await;
    let chains: Vec<&str> = applied.iter().map(|entry| entry.details["chain"].as_str()).collect();
    assert!(chains.contains(&run.name.as_str()) && chains.contains(&acme().as_str()), "{chains:?}");
    stage.kill();
    let newer = format!(
        "UPDATE audit_entries SET body = NULL WHERE tenant = 'acme' AND chain = '' AND number = {}",
        newest + 1
    );
    alter(&stage, &newer).await;
    stage.start().await;
    let mut client = stage.client("administrator").await;
    let streamed = export::items(&mut client, 0, &[]).await.unwrap();
    let report = export::verified(&streamed, &checkpoint.public_key, &[]);
    assert!(!report.is_good() && report.to_string().contains("no policy"), "{report}");
}
