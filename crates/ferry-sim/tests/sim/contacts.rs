use ferry_sim::Membership;
use serde_json::json;

use crate::client::{Bench, HOST};

#[tokio::test]
async fn a_wrong_key_is_403_without_body_and_content_type() {
    let bench = Bench::new().await;
    for headers in [format!("Host: {HOST}\r\nApi-Token: wrong\r\n"), format!("Host: {HOST}\r\n")] {
        let reply = bench.send_with("GET", "/api/3/users/me", &headers, b"").await.unwrap();
        assert_eq!(reply.status, 403);
        assert!(reply.body.is_empty() && reply.header("content-type").is_none());
    }
}

#[tokio::test]
async fn an_unknown_host_is_404() {
    let bench = Bench::new().await;
    let reply = bench.send_with("GET", "/api/3/users/me", "Host: other.api-us1.com\r\n", b"").await.unwrap();
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn the_account_its_lists_and_fields_can_be_read() {
    let bench = Bench::new().await;
    assert_eq!(bench.get("/api/3/users/me").await.json()["user"]["id"], "1");
    assert_eq!(bench.get("/api/3/settings/account").await.json()["subscriber_total"], 0);
    let lists = bench.get("/api/3/lists").await;
    assert!(lists.json()["lists"][0]["id"] == "3" && lists.json()["meta"]["total"] == "1");
    assert!(String::from_utf8_lossy(&lists.body).contains("https:\\/\\/"));
    assert_eq!(bench.get("/api/3/lists/3").await.json()["list"]["name"], "Newsletter");
    let missing = bench.get("/api/3/lists/7").await;
    assert_eq!(
        (missing.status, missing.json()["message"].clone()),
        (404, json!("No Result found for _List with id 7"))
    );
    assert_eq!(bench.get("/api/3/fields").await.json()["fields"][0]["title"], "Loyalty");
    assert_eq!(bench.get("/api/3/import/bulkImport").await.status, 404);
}

#[tokio::test]
async fn contacts_are_created_once_and_synced_often() {
    let bench = Bench::new().await;
    let body =
        json!({"contact": {"email": "a@b.de", "firstName": "Ada", "fieldValues": [{"field": "1", "value": "x"}]}});
    let created = bench.post("/api/3/contacts", &body).await;
    assert_eq!((created.status, created.json()["contact"]["id"].clone()), (201, json!("1")));
    let again = bench.post("/api/3/contacts", &body).await;
    assert_eq!((again.status, again.json()["errors"][0]["code"].clone()), (422, json!("duplicate")));
    let synced = bench.post("/api/3/contact/sync", &json!({"contact": {"email": "A@b.de", "lastName": "L"}})).await;
    assert_eq!(synced.status, 200);
    assert_eq!(synced.json()["contact"]["firstName"], "Ada");
    assert_eq!(bench.post("/api/3/contact/sync", &json!({"contact": {"email": "b@b.de"}})).await.status, 201);
    assert_eq!(bench.post("/api/3/contact/sync", &json!({"contact": {}})).await.status, 400);
    let bad = bench.post("/api/3/contacts", &json!({"contact": {"email": "nobody"}})).await;
    assert_eq!((bad.status, bad.json()["errors"][0]["code"].clone()), (422, json!("email_invalid")));
}

#[tokio::test]
async fn contacts_are_found_paged_and_deleted() {
    let bench = Bench::new().await;
    let emails: Vec<String> = (0..130).map(|n| format!("p{n}@b.de")).collect();
    bench.import_to_the_end(&emails.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let found = bench.get("/api/3/contacts?email=P7%40b.de").await.json();
    assert!(found["contacts"][0]["id"] == "8" && found["meta"]["total"] == "1");
    assert_eq!(bench.get("/api/3/contacts?email=no%40b.de").await.json()["meta"]["total"], "0");
    let page = |query: &'static str| bench.get(query);
    assert_eq!(page("/api/3/contacts").await.json()["contacts"].as_array().unwrap().len(), 20);
    let most = page("/api/3/contacts?limit=500&listid=3").await.json();
    assert_eq!(most["contacts"].as_array().unwrap().len(), 100);
    let rest = page("/api/3/contacts?limit=100&id_greater=100&orders%5Bid%5D=ASC").await.json();
    assert!(rest["contacts"].as_array().unwrap().len() == 30 && rest["contacts"][0]["id"] == "101");
    assert_eq!(bench.send("DELETE", "/api/3/contacts/8", b"").await.unwrap().status, 200);
    let gone = bench.send("DELETE", "/api/3/contacts/8", b"").await.unwrap();
    assert_eq!(gone.json()["message"], "No result found for contact with id 8");
    assert_eq!(bench.get("/api/3/contacts/8").await.status, 404);
    assert_eq!(bench.sim.contacts(HOST, 3).len(), 129);
}

#[tokio::test]
async fn contact_lists_takes_back_an_unsubscription() {
    let bench = Bench::with(|config| config.accounts[0].opted_out.push(("left@b.de".to_owned(), 3))).await;
    let set = |list: u32, contact: u32, status: u32| json!({"contactList": {"list": list, "contact": contact, "status": status}});
    let reply = bench.post("/api/3/contactLists", &set(3, 1, 1)).await;
    assert_eq!((reply.status, reply.json()["contactList"]["status"].clone()), (200, json!(1)));
    assert_eq!(bench.sim.contact(HOST, "left@b.de").unwrap().memberships[&3], Membership::Subscribed);
    assert_eq!(bench.post("/api/3/contactLists", &set(3, 1, 9)).await.status, 422);
    let missing = bench.post("/api/3/contactLists", &set(8, 9, 1)).await.json();
    assert_eq!(missing["errors"][0]["error"], "list_not_exist");
    assert_eq!(missing["errors"][1]["error"], "contact_not_exist");
}

#[tokio::test]
async fn the_page_and_its_endpoints_need_no_key_and_escape_what_they_show() {
    let bench = Bench::new().await;
    let body = json!({"contact": {"email": "a@b.de", "firstName": "<script>"}});
    bench.post("/api/3/contacts", &body).await;
    bench.post("/api/3/contactLists", &json!({"contactList": {"list": 3, "contact": 1, "status": 1}})).await;
    let before = bench.sim.report().requests;
    let page = bench.send_with("GET", "/", "Host: localhost\r\n", b"").await.unwrap();
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
    let path = format!("/sim/contacts?host={HOST}&list=3");
    let contacts = bench.send_with("GET", &path, "Host: localhost\r\n", b"").await.unwrap();
    assert_eq!(contacts.json()[0]["email"], "a@b.de");
    let report = bench.send_with("GET", "/sim/report", "Host: localhost\r\n", b"").await.unwrap();
    assert_eq!(report.json()["requests"]["other"], 2);
    assert_eq!(bench.sim.report().requests, before);
}
