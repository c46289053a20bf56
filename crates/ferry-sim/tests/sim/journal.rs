use std::io::Write;
use std::path::Path;

use ferry_sim::{read_contacts, read_journal};
use serde_json::Value;

use crate::client::{Bench, HOST, KEY, batch_of};

fn lines(bench: &Bench) -> Vec<Value> {
    let text = std::fs::read_to_string(bench.dir.path().join("journal")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_request_is_in_the_journal_before_its_answer_arrives() {
    let bench = Bench::with(|config| config.time_scale = 1.0).await;
    let headers = format!("Host: {HOST}\r\nApi-Token: {KEY}\r\nX-Request-Id: att_7\r\n");
    let body = crate::client::import_of(&["a@b.de", "b@b.de"]).to_string();
    let reply = bench.send_with("POST", "/api/3/import/bulk_import", &headers, body.as_bytes()).await.unwrap();
    let request = lines(&bench).into_iter().find(|line| line["request"]["class"] == "import_many").unwrap();
    let request = &request["request"];
    assert_eq!(request["decision"], "accepted");
    assert_eq!(request["attempt"], "att_7");
    assert_eq!(request["import"]["batch"].as_str(), Some(batch_of(&reply).as_str()));
    assert_eq!(request["import"]["contacts"][1]["e"], "b@b.de");
    assert_eq!(request["body_bytes"], body.len());
    assert_eq!(request["body_sha256"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn the_last_word_of_a_user_agent_names_the_attempt() {
    let bench = Bench::new().await;
    let headers = format!("Host: {HOST}\r\nApi-Token: {KEY}\r\nUser-Agent: ferry/0.1 att_9\r\n");
    bench.send_with("GET", "/api/3/users/me", &headers, b"").await.unwrap();
    assert!(lines(&bench).iter().any(|line| line["request"]["attempt"] == "att_9"));
}

#[tokio::test]
async fn a_restart_knows_contacts_and_batches_and_finishes_what_was_queued() {
    let bench = Bench::with(|config| config.time_scale = 20.0).await;
    let first = batch_of(&bench.import(&["a@b.de", "b'c@b.de"]).await);
    let ended = bench.ended(&first).await;
    bench.post("/api/3/contacts", &serde_json::json!({"contact": {"email": "single@b.de"}})).await;
    let second = batch_of(&bench.import(&["c@b.de", "d@b.de"]).await);
    let before = bench.sim.report();
    assert_eq!(before.batches_completed, 1);
    let bench = bench.restart().await;
    assert_eq!(bench.get(&format!("/api/3/import/info?batchId={first}")).await.json(), ended);
    assert_eq!(bench.ended(&second).await["success"], serde_json::json!(["3", "4"]));
    assert_eq!(bench.sim.contacts(HOST, 3).len(), 3);
    assert_eq!(bench.sim.contact(HOST, "single@b.de").unwrap().id, 2);
    let after = bench.sim.report();
    assert_eq!((after.batches_accepted, after.contacts_confirmed), (before.batches_accepted, 3));
}

#[tokio::test]
async fn the_report_of_the_file_is_that_of_the_running_simulator() {
    let bench = Bench::with(|config| config.accounts[0].excluded.push("x@b.de".to_owned())).await;
    bench.import_to_the_end(&["a@b.de", "x@b.de"]).await;
    bench.import_to_the_end(&["a@b.de", "b@b.de"]).await;
    bench.import(&["nobody"]).await;
    let path = bench.dir.path().join("journal");
    let live = bench.sim.report();
    bench.sim.stop().await;
    let mut read = read_journal(&path).unwrap();
    // The last answer may be noted after the live report was taken.
    read.answers_undelivered = live.answers_undelivered;
    assert_eq!(read, live);
    let contacts = read_contacts(&path, 3).unwrap();
    assert_eq!(contacts[0].0, HOST);
    assert_eq!(contacts[0].1.len(), 2);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_a_broken_one_refused() {
    let bench = Bench::new().await;
    bench.import_to_the_end(&["a@b.de", "b@b.de"]).await;
    let path = bench.dir.path().join("journal");
    let append = |path: &Path, text: &str| {
        std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let bench = bench.restart_after(|journal| append(journal, r#"{"request":{"seq":99,"#)).await;
    assert_eq!(bench.sim.contacts(HOST, 3).len(), 2);
    assert_eq!(read_journal(&path).unwrap().contacts_confirmed, 2);
    append(&path, "{\"secret@b.de\n");
    let error = read_journal(&path).unwrap_err().to_string();
    assert!(error.contains("no record") && !error.contains("secret"));
}
