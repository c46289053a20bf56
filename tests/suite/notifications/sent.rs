//! What a receiver gets: signed, at least once, and nothing that it does not want any more.

use super::receiver::{Receiver, Reply, verify};
use super::{
    HOST, SLOW_HOST, SOON, acme, all_is_sent, create, delete, fails, get, stage, test, told, update, url, webhook,
};
use crate::audit::entries;
use crate::faults::reach::name_server;
use ferry_proto::v1 as pb;
use ferry_proto::v1::notification::Kind;
use ferry_testkit::judge::number_on_record;
use ferry_testkit::{Stage, TENANT, eventually};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Waits until so many attempts were made of what is still to be sent.
async fn attempted(stage: &Stage, attempts: i64) {
    eventually(SOON, || async {
        let made = number_on_record(stage, "SELECT COALESCE(SUM(attempts), 0) FROM deliveries").await;
        if made >= attempts { Ok(()) } else { Err(made) }
    })
    .await;
}

#[tokio::test]
async fn n1_a_notification_is_one_cloud_event_signed_as_standard_webhooks_says() {
    let (stage, receiver, export) = stage().await;
    let mut client = stage.client("administrator").await;
    let (made, secret) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
    let run = fails(&stage, &export).await;
    let got = receiver.gets(1).await.remove(0);
    all_is_sent(&stage).await;
    verify(&secret, &receiver.got());
    let [found] = &told(&stage).await[..] else { panic!("one fact") };
    assert_eq!((got.path.as_str(), got.headers["host"].contains(HOST)), ("/hook?key=of-the-path", true));
    assert!(got.headers["content-type"].starts_with("application/cloudevents+json"), "{:?}", got.headers);
    let event = got.event();
    let id = found.name.rsplit('/').next().unwrap();
    assert_eq!((got.id(), event["id"].as_str().unwrap()), (id, id));
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "dev.ferry.notification.run_failed.v1");
    assert_eq!((&event["source"], &event["subject"]), (&"/ferry/tenants/acme".into(), &run.name.as_str().into()));
    assert_eq!(event["datacontenttype"], "application/json");
    let data = &event["data"];
    assert_eq!((&data["name"], &data["kind"]), (&found.name.as_str().into(), &"KIND_RUN_FAILED".into()));
    assert_eq!((&data["reason"], &data["message"]), (&"COLUMN_NOT_FOUND".into(), &found.message.as_str().into()));
    assert_eq!(receiver.got().len(), 1, "taken, with an answer that nobody has to read");
    // One that wants other kinds, and one that has another secret, gets its own.
    let others = pb::Webhook { kinds: vec![Kind::RunSkipped.into()], ..webhook(&url()) };
    create(&mut client, "others", others).await.unwrap();
    let (_, other_secret) = create(&mut client, "second", webhook(&url())).await.unwrap();
    assert_ne!(secret, other_secret);
    delete(&mut client, &made.name).await.unwrap();
    fails(&stage, &export).await;
    all_is_sent(&stage).await;
    let all = receiver.gets(2).await;
    assert_eq!(all.len(), 2);
    verify(&other_secret, &all[1..]);
}

#[tokio::test]
async fn what_is_not_taken_comes_again_under_its_id_signed_anew() {
    let (stage, receiver, export) = stage().await;
    let mut client = stage.client("administrator").await;
    let (_, secret) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
    // Elsewhere nobody goes, and what a redirect says is no answer.
    let redirect = Reply::Status(307, "location: https://hooks.ferry-sim.test/elsewhere\r\n");
    let busy = Reply::Status(503, "retry-after: 100\r\n");
    receiver.replies([Reply::Status(500, ""), redirect, busy]);
    fails(&stage, &export).await;
    let got = receiver.gets(4).await;
    all_is_sent(&stage).await;
    assert_eq!(receiver.got().len(), 4);
    verify(&secret, &got);
    assert!(got.iter().all(|one| one.id() == got[0].id() && one.body == got[0].body && one.path.starts_with("/hook")));
    let times: Vec<u64> = got.iter().map(|one| one.headers["webhook-timestamp"].parse().unwrap()).collect();
    // 5 minutes and 30 minutes of the documented schedule, a hundred times as fast.
    assert!(times[2] >= times[1] + 2 && times[3] >= times[2] + 17, "{times:?}");
}

#[tokio::test]
async fn n1_killed_between_claim_and_send_or_before_the_answer_is_on_record_it_is_sent_at_least_once() {
    for (point, sent) in [("notification-written:1", 1), ("delivery-claimed:1", 1), ("delivery-answered:1", 2)] {
        let (mut stage, receiver, export) = stage().await;
        let mut client = stage.client("administrator").await;
        let (_, secret) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
        std::fs::write(stage.path("segments").join(TENANT).join("people"), "email\n").unwrap();
        stage.kill();
        stage.start_to_die(point).await;
        let request = pb::RunExportRequest { name: export.name.clone(), ..Default::default() };
        let run = stage.client("administrator").await.exports.run_export(request).await.unwrap().into_inner().run;
        stage.died().await;
        stage.start().await;
        stage.ended(&run.unwrap().name, SOON).await;
        let got = receiver.gets(sent).await;
        all_is_sent(&stage).await;
        assert_eq!((receiver.got().len(), told(&stage).await.len()), (sent, 1), "{point}");
        assert!(got.iter().all(|one| one.id() == got[0].id()), "{point}");
        verify(&secret, &got);
    }
}

#[tokio::test]
async fn a_disabled_webhook_gets_nothing_and_nothing_later() {
    let (stage, receiver, export) = stage().await;
    let mut client = stage.client("administrator").await;
    let (made, _) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
    receiver.always(Some(Reply::Status(500, "")));
    fails(&stage, &export).await;
    attempted(&stage, 1).await;
    let off = update(&mut client, pb::Webhook { disabled: true, ..made.clone() }, &["disabled"]).await.unwrap();
    assert!(off.disabled && off.etag != made.etag);
    all_is_sent(&stage).await;
    let before = receiver.got().len();
    fails(&stage, &export).await;
    receiver.always(None);
    assert_eq!(test(&mut client, &made.name).await.http_status, 204, "a trial is sent all the same");
    update(&mut client, pb::Webhook { etag: off.etag, ..made }, &["disabled"]).await.unwrap();
    fails(&stage, &export).await;
    all_is_sent(&stage).await;
    let types: Vec<String> =
        receiver.got()[before..].iter().map(|got| got.event()["type"].as_str().unwrap().to_owned()).collect();
    let known = ["dev.ferry.notification.test.v1", "dev.ferry.notification.run_failed.v1"];
    // An attempt may have been on its way when it was disabled.
    assert!(types.ends_with(&known.map(str::to_owned)) && types.len() <= 3, "{types:?}");
    assert_eq!(told(&stage).await.len(), 3);
}

#[tokio::test]
async fn what_waits_for_a_deleted_webhook_is_dropped_and_its_secret_is_gone() {
    let (mut stage, receiver, export) = stage().await;
    let mut client = stage.client("administrator").await;
    let (made, _) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
    let keys = || {
        let store = std::fs::read_dir(stage.path("keys/store")).unwrap();
        store.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".secret.")).count()
    };
    assert_eq!(keys(), 2, "the connection's and the webhook's");
    receiver.always(Some(Reply::Status(500, "")));
    fails(&stage, &export).await;
    attempted(&stage, 1).await;
    delete(&mut client, &made.name).await.unwrap();
    assert_eq!(number_on_record(&stage, "SELECT COUNT(*) FROM deliveries").await, 0);
    assert_eq!((keys(), number_on_record(&stage, "SELECT COUNT(*) FROM webhooks").await), (1, 0));
    assert_eq!(get(&mut client, &made.name).await.unwrap_err().code(), tonic::Code::NotFound);
    // A crash between the removal and the key's end is made good by the next start.
    let (again, _) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
    stage.kill();
    stage.start_to_die("webhook-removed:1").await;
    let mut client = stage.client("administrator").await;
    let _died = delete(&mut client, &again.name).await;
    stage.died().await;
    let keys = |stage: &Stage| {
        let store = std::fs::read_dir(stage.path("keys/store")).unwrap();
        store.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".secret.")).count()
    };
    assert_eq!(keys(&stage), 2);
    stage.start().await;
    assert_eq!((keys(&stage), number_on_record(&stage, "SELECT COUNT(*) FROM webhooks").await), (1, 0));
}

#[tokio::test]
async fn a_receiver_that_is_gone_disables_its_webhook_which_is_on_record() {
    let (stage, receiver, export) = stage().await;
    let mut client = stage.client("administrator").await;
    let (made, _) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
    receiver.replies([Reply::Status(410, "")]);
    fails(&stage, &export).await;
    receiver.gets(1).await;
    all_is_sent(&stage).await;
    let seen = get(&mut client, &made.name).await.unwrap();
    assert!(seen.disabled && seen.etag != made.etag, "{seen:?}");
    fails(&stage, &export).await;
    all_is_sent(&stage).await;
    assert_eq!(receiver.got().len(), 1);
    let on_record = entries(&mut client, &acme(), "kind = \"WEBHOOK_DISABLED\"").await;
    assert_eq!((on_record.len(), on_record[0].actor.as_str()), (1, "ferry"));
}

/// A receiver that says nothing holds up neither another webhook of its tenant nor anybody else's.
#[tokio::test]
async fn a_silent_receiver_keeps_no_other_waiting() {
    let (mut stage, receiver, export) = stage().await;
    let silent = Receiver::start().await;
    silent.always(Some(Reply::Nothing));
    let arguments = [receiver.argument(&stage), silent.argument_as(&stage, SLOW_HOST)];
    stage.restart_and(&arguments, &[]).await;
    let mut client = stage.client("administrator").await;
    for number in 0..3 {
        create(&mut client, &format!("slow-{number}"), webhook(&format!("https://{SLOW_HOST}/"))).await.unwrap();
    }
    create(&mut client, "on-call", webhook(&url())).await.unwrap();
    for _ in 0..3 {
        fails(&stage, &export).await;
    }
    let begun = std::time::Instant::now();
    receiver.gets(3).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(silent.got().len() <= 3, "one at a time to each: {}", silent.got().len());
}

/// The name is good when it is saved, and leads inside when it is sent to.
#[tokio::test]
async fn a_name_that_leads_to_a_private_address_gets_nothing() {
    let (mut stage, receiver, export) = stage().await;
    let server = name_server(Some(Ipv4Addr::LOCALHOST)).await;
    stage.restart_and(&[format!("--name-server={server}"), receiver.argument(&stage)], &[]).await;
    let mut client = stage.client("administrator").await;
    let (made, _) = create(&mut client, "inside", webhook("https://hooks.example.com/")).await.unwrap();
    let tried = test(&mut client, &made.name).await;
    assert_eq!((tried.http_status, tried.message.contains("could not be reached")), (0, true), "{tried:?}");
    fails(&stage, &export).await;
    attempted(&stage, 1).await;
    let log = std::fs::read_to_string(stage.log()).unwrap();
    assert!(log.contains("nothing is sent there"), "the guard has refused it");
    assert!(receiver.got().is_empty());
}
