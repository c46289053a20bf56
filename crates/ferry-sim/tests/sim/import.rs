use ferry_sim::{ContactLimit, Membership, UnknownList};
use serde_json::json;

use crate::client::{Bench, HOST, batch_of, import_of};

#[tokio::test]
async fn a_batch_is_unassigned_then_waits_is_claimed_is_active_and_completes() {
    let bench = Bench::with(|config| config.time_scale = 20.0).await;
    let batch = batch_of(&bench.import(&["a@b.de", "b@b.de"]).await);
    let mut seen = Vec::new();
    for _ in 0..1_000 {
        let status = bench.get(&format!("/api/3/import/info?batchId={batch}")).await.json()["status"].clone();
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        if seen.last() == Some(&json!("completed")) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(seen, [json!(false), json!("waiting"), json!("claimed"), json!("active"), json!("completed")]);
}

#[tokio::test]
async fn what_was_queued_is_on_the_list_only_after_processing() {
    let bench = Bench::with(|config| config.time_scale = 10.0).await;
    let reply = bench.import(&["a@b.de", "b@b.de"]).await;
    assert_eq!(reply.json()["queued_contacts"], 2);
    assert_eq!(reply.json()["success"], 1);
    assert!(bench.sim.contacts(HOST, 3).is_empty());
    let info = bench.ended(&batch_of(&reply)).await;
    assert_eq!(info["success"], json!(["1", "2"]));
    assert_eq!(bench.sim.contacts(HOST, 3).len(), 2);
}

#[tokio::test]
async fn one_bad_contact_refuses_the_whole_request() {
    let bench = Bench::new().await;
    let reply = bench.import(&["a@b.de", "nobody", "c@b.de"]).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["success"], 0);
    assert_eq!(reply.json()["failureReasons"][0]["contact"], 2);
    let report = bench.sim.report();
    assert_eq!((report.batches_accepted, report.contacts_accepted), (0, 0));
}

#[tokio::test]
async fn general_errors_have_reasons_that_are_texts() {
    let bench = Bench::new().await;
    for body in ["{", r#"{"contacts":[]}"#] {
        let reply = bench.send("POST", "/api/3/import/bulk_import", body.as_bytes()).await.unwrap();
        assert_eq!(reply.status, 400);
        assert!(reply.json()["failureReasons"][0].is_string());
    }
    let emails: Vec<String> = (0..251).map(|n| format!("p{n}@b.de")).collect();
    let emails: Vec<&str> = emails.iter().map(String::as_str).collect();
    assert_eq!(bench.import(&emails).await.status, 400);
    assert_eq!(bench.import(&emails[..250]).await.status, 200);
}

#[tokio::test]
async fn excluded_bounced_and_oddly_formed_addresses_end_in_failure() {
    let bench = Bench::with(|config| {
        config.accounts[0].excluded.push("Excluded@b.de".to_owned());
        config.accounts[0].bounced.push("bounced@b.de".to_owned());
    })
    .await;
    let info =
        bench.import_to_the_end(&["a@b.de", "excluded@B.de", "bounced@b.de", "a@localhost", "o'brien@b.de"]).await;
    assert_eq!(info["success"].as_array().unwrap().len(), 1);
    assert_eq!(info["failure"], json!(["excluded@B.de", "bounced@b.de", "a@localhost", "o'brien@b.de"]));
    assert_eq!(bench.sim.report().failure_reasons["malformed_address"], 2);
}

#[tokio::test]
async fn an_import_never_subscribes_again_who_has_left() {
    let bench = Bench::with(|config| config.accounts[0].opted_out.push(("left@b.de".to_owned(), 3))).await;
    let info = bench.import_to_the_end(&["LEFT@b.de", "new@b.de"]).await;
    assert_eq!(info["failure"], json!(["LEFT@b.de"]));
    assert_eq!(bench.sim.contact(HOST, "left@b.de").unwrap().memberships[&3], Membership::Unsubscribed);
    assert_eq!(bench.sim.contacts(HOST, 3).len(), 1);
}

#[tokio::test]
async fn an_import_can_unsubscribe() {
    let bench = Bench::new().await;
    bench.import_to_the_end(&["a@b.de", "b@b.de"]).await;
    let body = json!({"contacts": [{"email": "a@b.de", "unsubscribe": [{"listid": "3"}]}]});
    let reply = bench.post("/api/3/import/bulk_import", &body).await;
    bench.ended(&batch_of(&reply)).await;
    assert_eq!(bench.sim.contacts(HOST, 3).len(), 1);
}

#[tokio::test]
async fn keys_left_out_keep_their_values_and_empty_ones_blank_them() {
    let bench = Bench::new().await;
    for contact in [
        json!({"email": "a@b.de", "first_name": "Ada", "phone": "1", "tags": ["x"],
            "fields": [{"id": 1, "value": "gold"}, {"id": 9, "value": "unknown"}], "camelCase": "dropped"}),
        json!({"email": "A@B.de", "phone": "", "tags": ["x", "y"]}),
    ] {
        let reply = bench.post("/api/3/import/bulk_import", &json!({"contacts": [contact]})).await;
        bench.ended(&batch_of(&reply)).await;
    }
    let contact = bench.sim.contact(HOST, "a@b.de").unwrap();
    assert_eq!((contact.first_name.as_str(), contact.phone.as_str()), ("Ada", ""));
    assert_eq!(contact.tags, ["x", "y"]);
    assert_eq!(contact.fields.len(), 1);
    assert_eq!(contact.fields[&1], "gold");
    assert_eq!(contact.id, 1);
}

#[tokio::test]
async fn contacts_over_the_plan_fail_one_by_one() {
    let bench = Bench::with(|config| config.accounts[0].contact_limit = 2).await;
    let info = bench.import_to_the_end(&["a@b.de", "b@b.de", "c@b.de"]).await;
    assert_eq!(info["failure"], json!(["c@b.de"]));
    // Who is there already may be updated.
    assert_eq!(bench.import_to_the_end(&["a@b.de", "b@b.de"]).await["failure"], json!([]));
}

#[tokio::test]
async fn a_full_plan_can_refuse_imports() {
    for (mode, status) in [(ContactLimit::Refuse402, 402), (ContactLimit::Refuse403, 403)] {
        let bench = Bench::with(|config| {
            config.accounts[0].contact_limit = 1;
            config.options.contact_limit = mode;
        })
        .await;
        bench.import_to_the_end(&["a@b.de"]).await;
        assert_eq!(bench.import(&["b@b.de"]).await.status, status);
    }
}

#[tokio::test]
async fn an_unknown_list_is_ignored_or_refused() {
    let body = json!({"contacts": [{"email": "a@b.de", "subscribe": [{"listid": 77}]}]});
    let lenient = Bench::new().await;
    let reply = lenient.post("/api/3/import/bulk_import", &body).await;
    let info = lenient.ended(&batch_of(&reply)).await;
    assert_eq!(info["success"], json!(["1"]));
    assert!(lenient.sim.contact(HOST, "a@b.de").unwrap().memberships.is_empty());
    let strict = Bench::with(|config| config.options.unknown_list = UnknownList::Refuse).await;
    assert_eq!(strict.post("/api/3/import/bulk_import", &body).await.status, 400);
}

#[tokio::test]
async fn status_without_an_id_is_refused_and_of_an_unknown_id_is_false() {
    let bench = Bench::new().await;
    let reply = bench.get("/api/3/import/info").await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["message"], "'batchId' is a required field.");
    let info = bench.get("/api/3/import/info?batchId=00000000-0000-4000-8000-000000000000").await.json();
    assert_eq!(info, json!({"status": false, "success": [], "failure": []}));
}

#[tokio::test]
async fn totals_are_texts_by_day() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.get("/api/3/import/bulk_import").await.json(),
        json!({"outstanding": [], "recentlyCompleted": []})
    );
    bench.import_to_the_end(&["a@b.de", "b@b.de"]).await;
    let totals = bench.get("/api/3/import/bulk_import").await.json();
    assert_eq!(totals["recentlyCompleted"][0]["contacts"], "2");
}

#[tokio::test]
async fn the_report_counts_repeated_contacts_and_forgotten_flags() {
    let bench = Bench::new().await;
    bench.import_to_the_end(&["a@b.de", "b@b.de"]).await;
    bench.import_to_the_end(&["A@b.de", "c@b.de"]).await;
    let mut body = import_of(&["a@b.de", "d@b.de"]);
    body["exclude_automations"] = json!(false);
    bench.post("/api/3/import/bulk_import", &body).await;
    let report = bench.sim.report();
    assert_eq!((report.contacts_sent_again, report.extra_deliveries), (1, 2));
    assert_eq!(report.contacts_confirmed, 3);
    assert_eq!(report.batches_with_automations, 1);
}
