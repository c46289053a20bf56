//! The person that runs act for: what their next token says, and what happens to a run of theirs that sends.

use super::{
    bind, caller, caller_in, cause, change, clock, counts, create, ended, export, journal, make_export, must_not_run,
    needs_attention, people, read, reason, revoke, run, shared, start,
};
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::{Access, State};
use ferry_testkit::{Client, Stage, StageOptions, TENANT, eventually};
use serde_json::json;
use tonic::Code;

const SOON: std::time::Duration = super::SOON;

/// A stage with `newsletter`, made by anna and bound to ben, and the export `weekly`.
async fn bound_to_ben(options: StageOptions, count: usize, share: bool) -> (Stage, Client, pb::Connection, String) {
    let stage = Stage::with(options).await;
    stage.segment("people", "csv", people(count, "example.com").as_bytes());
    let mut anna = caller(&stage, "anna", "administrator").await;
    let connection = if share { shared(stage.connection()) } else { stage.connection() };
    let made = create(&mut anna, connection).await.unwrap();
    let bound = bind(&mut caller(&stage, "ben", "administrator").await, &made.name).await;
    assert_eq!(bound.run_as, "ben");
    let weekly = make_export(&stage, &mut anna, TENANT).await.name;
    (stage, anna, bound, weekly)
}

/// Any call: its token is what counts.
async fn call(client: &mut Client) -> Result<(), tonic::Status> {
    let request = pb::ListExportsRequest { parent: format!("tenants/{TENANT}"), ..Default::default() };
    client.exports.list_exports(request).await.map(|_| ())
}

#[tokio::test]
async fn a_lower_role_in_the_next_token_loses_the_export_user() {
    for role in ["contributor", "viewer"] {
        let (stage, mut anna, bound, weekly) = bound_to_ben(StageOptions::default(), 3, false).await;
        assert_eq!(read(&mut anna, &bound.name).await.state(), State::Ready);
        call(&mut caller(&stage, "ben", role).await).await.unwrap();
        needs_attention(&read(&mut anna, &bound.name).await, "EXPORT_USER_LOST");
        must_not_run(&stage, &mut anna, &weekly).await;
        let mended = bind(&mut anna, &bound.name).await;
        assert_eq!((mended.run_as.as_str(), mended.state()), ("anna", State::Ready), "{role}");
        assert_eq!(run(&mut anna, &weekly).await.state(), pb::run::State::Succeeded);
    }
}

#[tokio::test]
async fn a_token_that_names_the_tenant_no_more_loses_the_export_user() {
    let (stage, mut anna, bound, weekly) = bound_to_ben(StageOptions::default(), 3, false).await;
    super::make_tenant(&stage, "globex", &people(1, "example.org")).await;
    let mut elsewhere = caller_in(&stage, "globex", "ben", "administrator").await;
    assert_eq!(call(&mut elsewhere).await.unwrap_err().code(), Code::PermissionDenied);
    needs_attention(&read(&mut anna, &bound.name).await, "EXPORT_USER_LOST");
    must_not_run(&stage, &mut anna, &weekly).await;
}

#[tokio::test]
async fn somebody_elses_token_and_an_older_one_change_nothing() {
    let (stage, mut anna, bound, _) = bound_to_ben(StageOptions::default(), 3, false).await;
    call(&mut caller(&stage, "carl", "viewer").await).await.unwrap();
    let roles = json!({ TENANT: "viewer" });
    let old = stage.sign("ben", &[("tenants", roles), ("iat", json!(clock() as u64 / 1_000 - 60))]);
    call(&mut Client::connect(stage.addr(), &old).await).await.unwrap();
    let after = read(&mut anna, &bound.name).await;
    assert_eq!((after.state(), &after.etag), (State::Ready, &bound.etag));
}

/// On a shared connection a contributor is enough, until it is unshared.
#[tokio::test]
async fn a_contributor_is_export_user_as_long_as_the_connection_is_shared() {
    let (stage, mut anna, bound, weekly) = bound_to_ben(StageOptions::default(), 3, true).await;
    call(&mut caller(&stage, "ben", "contributor").await).await.unwrap();
    let kept = read(&mut anna, &bound.name).await;
    assert_eq!((kept.state(), kept.run_as.as_str()), (State::Ready, "ben"));
    assert_eq!(run(&mut anna, &weekly).await.state(), pb::run::State::Succeeded);
    let private = pb::Connection { access: Access::Administrators.into(), ..kept };
    let unshared = change(&mut anna, private, &["access"]).await.unwrap();
    needs_attention(&unshared, "EXPORT_USER_LOST");
    must_not_run(&stage, &mut anna, &weekly).await;
}

#[tokio::test]
async fn a_token_after_the_revocation_gives_the_role_and_not_the_connection_back() {
    let (stage, mut anna, bound, weekly) = bound_to_ben(StageOptions::default(), 3, false).await;
    let mut ben = caller(&stage, "ben", "administrator").await;
    revoke(&mut anna, "ben").await;
    let refused = call(&mut ben).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ROLE_TOO_LOW"));
    let later = json!(clock() as u64 / 1_000 + 2);
    let anew = stage.sign("ben", &[("tenants", json!({ TENANT: "administrator" })), ("iat", later)]);
    let mut ben = Client::connect(stage.addr(), &anew).await;
    call(&mut ben).await.unwrap();
    needs_attention(&read(&mut ben, &bound.name).await, "EXPORT_USER_LOST");
    must_not_run(&stage, &mut ben, &weekly).await;
    assert_eq!(bind(&mut ben, &bound.name).await.state(), State::Ready);
}

/// How somebody loses the right to run.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Revoked,
    NextToken,
}

/// Requests of an account that can be on their way at once.
const IN_FLIGHT: usize = 4;

async fn loses_it_while_the_run_sends(loss: Loss) {
    let (stage, mut anna, bound, weekly) = bound_to_ben(StageOptions { time_scale: 20.0 }, 50_000, false).await;
    let mut ben = caller(&stage, "ben", "administrator").await;
    let run = start(&mut ben, &weekly).await.unwrap().name;
    eventually(SOON, || async {
        let seen = stage.sim.report().batches_accepted;
        if seen >= 5 { Ok(()) } else { Err(seen) }
    })
    .await;
    match loss {
        Loss::Revoked => revoke(&mut anna, "ben").await,
        Loss::NextToken => call(&mut caller(&stage, "ben", "viewer").await).await.unwrap(),
    }
    let answered = clock();
    let ended = ended(&anna, &run).await;
    assert_eq!((ended.state(), cause(&ended)), (pb::run::State::Cancelled, "ROLE_TOO_LOW"), "{loss:?}");
    let counts = counts(&ended);
    let late = journal(&stage).iter().filter(|asked| asked.is_import && asked.at > answered).count();
    assert!(late <= IN_FLIGHT, "{loss:?}: {late} imports after the answer");
    assert_eq!((counts.confirmed + counts.unknown).cast_unsigned(), stage.sim.report().contacts_accepted);
    assert!(counts.confirmed > 0 && counts.not_sent > 0, "{counts:?}");
    needs_attention(&read(&mut anna, &bound.name).await, "EXPORT_USER_LOST");
    assert_eq!(export(&mut anna, &weekly).await.latest_run, run);
    must_not_run(&stage, &mut anna, &weekly).await;
}

#[tokio::test]
async fn a_person_revoked_while_their_run_sends_sends_nothing_more() {
    loses_it_while_the_run_sends(Loss::Revoked).await;
}

#[tokio::test]
async fn a_lower_role_told_while_their_run_sends_sends_nothing_more() {
    loses_it_while_the_run_sends(Loss::NextToken).await;
}

/// Somebody else's run on the same connection is not theirs to lose.
#[tokio::test]
async fn the_run_of_somebody_else_goes_on() {
    let (stage, mut anna, _, weekly) = bound_to_ben(StageOptions { time_scale: 60.0 }, 10_000, false).await;
    let run = start(&mut anna, &weekly).await.unwrap().name;
    eventually(SOON, || async {
        let seen = stage.sim.report().batches_accepted;
        if seen >= 5 { Ok(()) } else { Err(seen) }
    })
    .await;
    revoke(&mut anna, "ben").await;
    let ended = ended(&anna, &run).await;
    assert_eq!((ended.state(), counts(&ended).confirmed), (pb::run::State::Succeeded, 10_000));
}
