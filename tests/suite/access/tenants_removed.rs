//! Tenants that go: nothing more is sent, and nothing of them is left, whenever the machine stops.

use super::database::tables_that_name;
use super::{
    caller_in, clock, counts, create_in, ended, journal, keys, make_export, make_tenant, people, reason, run, start,
    to_host, verify,
};
use ferry_proto::v1 as pb;
use ferry_sim::{Endpoint, FaultKind, FaultRule};
use ferry_testkit::{Client, HOST, OTHER_HOST, Stage, StageOptions, eventually};
use std::time::Duration;
use tonic::{Code, Status};

/// How soon the removal of a tenant answers, whatever it has.
const ANSWER: Duration = Duration::from_secs(5);
/// In milliseconds after the call: before its tombstone, around it, while keys and rows go, and after its answer.
const KILLS: [u64; 8] = [0, 2, 5, 10, 100, 505, 520, 900];

/// An administrator of this tenant alone: a token that names another tenant would end their role in this one.
async fn boss(stage: &Stage, tenant: &str) -> Client {
    caller_in(stage, tenant, &format!("boss-of-{tenant}"), "administrator").await
}

/// A tenant with an administrator, the connection `newsletter` to an account and the export `weekly`.
async fn with_export(stage: &Stage, tenant: &str, host: &str, count: usize) -> (Client, pb::Export) {
    make_tenant(stage, tenant, &people(count, "example.com")).await;
    let mut client = boss(stage, tenant).await;
    create_in(&mut client, tenant, to_host(stage, host), true).await.unwrap();
    let export = make_export(stage, &mut client, tenant).await;
    (client, export)
}

async fn delete(stage: &Stage, tenant: &str) -> Result<(), Status> {
    let request = pb::DeleteTenantRequest { name: format!("tenants/{tenant}"), ..Default::default() };
    stage.operator().await.tenants.delete_tenant(request).await.map(|_| ())
}

/// Nothing of a tenant on the disk but the row that keeps its id taken, and the record of what was done and sent.
async fn is_gone(stage: &Stage, tenant: &str) {
    let left: Vec<String> = keys(stage).into_iter().filter(|name| name.contains(tenant)).collect();
    assert!(left.is_empty(), "keys are left: {left:?}");
    assert!(!stage.path("data/runs").join(tenant).exists(), "sealed files are left");
    let naming = tables_that_name(stage, tenant).await;
    assert_eq!(naming.into_iter().collect::<Vec<_>>(), ["audit_chains", "audit_entries", "audit_leaves", "tenants"]);
}

async fn create_again(stage: &Stage, tenant: &str) -> Status {
    let new = pb::Tenant { display_name: "Again".to_owned(), ..Default::default() };
    let request = pb::CreateTenantRequest { tenant_id: tenant.to_owned(), tenant: Some(new), ..Default::default() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap_err()
}

#[tokio::test]
async fn a_tenant_removed_while_its_run_sends_sends_nothing_more_and_leaves_nothing() {
    let mut stage = Stage::with(StageOptions { time_scale: 20.0 }).await;
    let (mut doomed, weekly) = with_export(&stage, "initech", HOST, 50_000).await;
    let (mut other, others) = with_export(&stage, "globex", OTHER_HOST, 50_000).await;
    start(&mut doomed, &weekly.name).await.unwrap();
    let goes_on = start(&mut other, &others.name).await.unwrap().name;
    eventually(super::SOON, || async {
        let seen = journal(&stage).iter().filter(|asked| asked.is_import && asked.account == HOST).count();
        if seen >= 8 { Ok(()) } else { Err(seen) }
    })
    .await;
    assert!(!tables_that_name(&stage, "initech").await.is_empty() && stage.path("data/runs/initech").exists());
    tokio::time::timeout(ANSWER, delete(&stage, "initech")).await.expect("it answers in time").unwrap();
    let answered = clock();
    let refused = start(&mut doomed, &weekly.name).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ROLE_TOO_LOW"));
    assert_eq!(reason(&create_again(&stage, "initech").await), "RESOURCE_EXISTS");
    // Long enough for whatever would still be on its way: the other tenant's run takes its time.
    let ended = ended(&other, &goes_on).await;
    assert_eq!((ended.state(), counts(&ended).confirmed), (pb::run::State::Succeeded, 50_000));
    let asked = journal(&stage);
    assert!(asked.iter().any(|asked| asked.account == OTHER_HOST && asked.at > answered));
    let late: Vec<_> = asked.iter().filter(|asked| asked.account == HOST && asked.at > answered).collect();
    assert!(late.is_empty(), "requests after the answer at {answered}: {late:?}");
    assert_eq!(stage.stop().await.unwrap(), Some(0));
    is_gone(&stage, "initech").await;
    stage.start().await;
    assert_eq!(reason(&create_again(&stage, "initech").await), "RESOURCE_EXISTS", "nor after a restart");
}

/// The removal must not miss the files that such a run would write after it.
#[tokio::test]
async fn a_tenant_removed_while_its_run_prepares_leaves_no_file_and_asks_nothing_more() {
    let mut stage = Stage::with(StageOptions { time_scale: 100.0 }).await;
    let (mut doomed, weekly) = with_export(&stage, "initech", HOST, 20_000).await;
    let (mut other, others) = with_export(&stage, "globex", OTHER_HOST, 20_000).await;
    let held = FaultRule::once(FaultKind::HoldAnswer).on(Endpoint::Other);
    stage.sim.faults().add(FaultRule { account: Some(HOST.to_owned()), ..held });
    start(&mut doomed, &weekly.name).await.unwrap();
    eventually(super::SOON, || async { if journal(&stage).is_empty() { Err(()) } else { Ok(()) } }).await;
    tokio::time::timeout(ANSWER, delete(&stage, "initech")).await.expect("it answers in time").unwrap();
    let asked = journal(&stage).len();
    stage.sim.faults().clear();
    assert_eq!(run(&mut other, &others.name).await.state(), pb::run::State::Succeeded);
    let late: Vec<_> = journal(&stage).split_off(asked).into_iter().filter(|asked| asked.account == HOST).collect();
    assert!(late.is_empty(), "requests after the answer: {late:?}");
    is_gone(&stage, "initech").await;
    assert_eq!(stage.stop().await.unwrap(), Some(0));
    is_gone(&stage, "initech").await;
}

/// Between the tombstone and the end of the removal lies all of it.
#[tokio::test]
async fn a_kill_in_the_middle_of_a_removal_leaves_the_tenant_whole_or_gone() {
    let mut stage = Stage::new().await;
    let (mut whole, mut gone) = (0, 0);
    for (number, after) in KILLS.into_iter().enumerate() {
        let tenant = format!("doomed-{number}");
        let (mut client, weekly) = with_export(&stage, &tenant, HOST, 3).await;
        assert_eq!(run(&mut client, &weekly.name).await.state(), pb::run::State::Succeeded);
        let mut operator = stage.operator().await;
        let request = pb::DeleteTenantRequest { name: format!("tenants/{tenant}"), ..Default::default() };
        let call = tokio::spawn(async move { operator.tenants.delete_tenant(request).await });
        tokio::time::sleep(Duration::from_millis(after)).await;
        stage.kill();
        drop(call.await);
        stage.start().await;
        let get = pb::GetTenantRequest { name: format!("tenants/{tenant}") };
        match stage.operator().await.tenants.get_tenant(get).await {
            Err(status) => {
                assert_eq!(status.code(), Code::NotFound);
                is_gone(&stage, &tenant).await;
                assert_eq!(reason(&create_again(&stage, &tenant).await), "RESOURCE_EXISTS");
                gone += 1;
            }
            Ok(_) => {
                let mut client = boss(&stage, &tenant).await;
                assert_eq!(verify(&mut client, &weekly.connection).await.0, "OK", "its key is there");
                assert_eq!(run(&mut client, &weekly.name).await.state(), pb::run::State::Succeeded);
                whole += 1;
            }
        }
    }
    assert!(gone > 0 && whole + gone == KILLS.len());
}
