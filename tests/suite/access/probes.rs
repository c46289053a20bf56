//! Calls that ask a destination while their caller waits.

use super::{caller_in, create_in, make_tenant, people, reason, to_host, verify};
use ferry_proto::v1 as pb;
use ferry_sim::{FaultKind, FaultRule, When};
use ferry_testkit::{HOST, OTHER_HOST, Stage, TENANT, eventually};
use std::time::Duration;
use tonic::Code;
use tonic_types::StatusExt;

/// Questions of one tenant to destinations at once.
const AT_ONCE: usize = 5;

#[tokio::test]
async fn a_tenant_asks_five_at_once_and_does_not_keep_another_from_asking() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let name = create_in(&mut client, TENANT, to_host(&stage, HOST), true).await.unwrap().name;
    make_tenant(&stage, "globex", &people(1, "example.org")).await;
    let mut globex = caller_in(&stage, "globex", "boss", "administrator").await;
    let theirs = create_in(&mut globex, "globex", to_host(&stage, OTHER_HOST), true).await.unwrap().name;
    let hangs = FaultRule::once(FaultKind::HoldAnswer).when(When::Always);
    stage.sim.faults().add(FaultRule { account: Some(HOST.to_owned()), ..hangs });
    let waiting: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (mut client, name) = (client.clone(), name.clone());
            tokio::spawn(async move { verify(&mut client, &name).await.0 })
        })
        .collect();
    eventually(super::SOON, || async {
        let held = super::journal(&stage).iter().filter(|asked| asked.account == HOST).count();
        if held == AT_ONCE { Ok(()) } else { Err(held) }
    })
    .await;
    let request = pb::VerifyConnectionRequest { name: name.clone() };
    let refused = client.connections.verify_connection(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let wait = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO);
    assert_eq!(verify(&mut globex, &theirs).await.0, "OK", "another tenant is answered meanwhile");
    let new = create_in(&mut client, TENANT, to_host(&stage, OTHER_HOST), false).await.unwrap_err();
    assert_eq!((new.code(), reason(&new).as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"), "the same count");
    stage.sim.faults().clear();
    for answer in waiting {
        assert_eq!(answer.await.unwrap(), "OK");
    }
    assert_eq!(verify(&mut client, &name).await.0, "OK", "and their places are free again");
}
