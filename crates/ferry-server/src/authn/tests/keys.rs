//! The life of the issuer's keys.

use super::bench::*;
use crate::authn::{AuthnConfig, KeySource, Refused, Verifier};
use ferry_egress::{Egress, EgressConfig};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn attack_23_a_removed_key_ends_within_five_minutes() {
    let bench = Bench::new(Signer::ed()).await;
    let good = bench.signer.good("main");
    bench.set(&json!({"keys": [Signer::ed().jwk("next")]}));
    bench.time.forward(149);
    assert!(bench.token(&good).await.is_ok(), "the set is young and not read again");
    bench.time.forward(151);
    assert_eq!(bench.token(&good).await, Err(Refused::UnknownKey));
}

#[tokio::test]
async fn attack_23_a_millisecond_before_and_after_the_removal_is_seen() {
    // Nobody asks: the last moment in which the old set is believed, and the first in which it is read again.
    for (millis, good) in [(284_999, true), (285_000, false)] {
        let bench = Bench::new(Signer::ed()).await;
        bench.set(&json!({"keys": [Signer::ed().jwk("next")]}));
        bench.time.forward_millis(millis);
        assert_eq!(bench.claims(&claims()).await.is_ok(), good, "{millis} ms");
    }
    // Somebody asks with the next key: from then on the removed one has ended.
    let bench = Bench::new(Signer::ed()).await;
    let next = Signer::ed();
    bench.set(&json!({"keys": [next.jwk("next")]}));
    for (millis, good) in [(29_999, true), (1, false), (1, false)] {
        bench.time.forward_millis(millis);
        assert_eq!(bench.token(&next.good("next")).await.is_ok(), !good);
        assert_eq!(bench.claims(&claims()).await.is_ok(), good);
    }
}

#[tokio::test]
async fn known_keys_outlive_an_outage_of_less_than_an_hour_and_unknown_ones_fail_closed() {
    let bench = Bench::new(Signer::ed()).await;
    bench.set(&json!("no key set"));
    let mut long = claims();
    long["exp"] = json!(NOW + 10_000);
    for _ in 0..11 {
        bench.time.forward(300);
        assert!(bench.claims(&long).await.is_ok());
        assert_eq!(bench.header_with("kid", json!("other")).await, Err(Refused::UnknownKey));
    }
    bench.time.forward(299);
    assert!(bench.claims(&long).await.is_ok());
    bench.time.forward(1);
    assert_eq!(bench.claims(&long).await, Err(Refused::UnknownKey));
}

/// What an issuer does when it is asked.
#[derive(Clone)]
enum Answers {
    With(String),
    /// Not at all.
    Never,
    /// A head, and a letter of a long body now and then.
    Drips,
}

/// An issuer on loopback that counts.
struct Issuer {
    url: String,
    answer: Arc<Mutex<Answers>>,
    fetches: Arc<AtomicUsize>,
}

impl Issuer {
    async fn new(first: &serde_json::Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Answers::With(document(&first.to_string()))));
        let fetches = Arc::new(AtomicUsize::new(0));
        let (shared, count) = (Arc::clone(&answer), Arc::clone(&fetches));
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // The whole of a small request is in its first packet on loopback.
                let mut request = [0; 4_096];
                let _length = stream.read(&mut request).await;
                count.fetch_add(1, Ordering::SeqCst);
                let answer = shared.lock().unwrap().clone();
                match answer {
                    Answers::With(text) => {
                        let _gone = stream.write_all(text.as_bytes()).await;
                    }
                    Answers::Never => open.push(stream),
                    Answers::Drips => drop(tokio::spawn(drip(stream))),
                }
            }
        });
        Self { url, answer, fetches }
    }

    fn answers(&self, answer: Answers) {
        *self.answer.lock().unwrap() = answer;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    async fn verifier(&self, time: &Time) -> Verifier {
        self.verifier_within(time, Duration::from_secs(10)).await
    }

    async fn verifier_within(&self, time: &Time, fetch_deadline: Duration) -> Verifier {
        let config = AuthnConfig { fetch_deadline, ..config(KeySource::Url(self.url.clone())) };
        Verifier::new(config, Egress::new(EgressConfig::default()).unwrap(), time.clock()).await.unwrap()
    }
}

async fn drip(mut stream: tokio::net::TcpStream) {
    let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
    while sent.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        sent = stream.write_all(b" ").await;
    }
}

fn document(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn asked(verifier: &Verifier, token: &str) -> Result<(), Refused> {
    verifier.verify(&[format!("Bearer {token}").as_bytes()]).await.map(|_| ())
}

#[tokio::test]
async fn attack_44_unknown_key_ids_do_not_make_us_fetch() {
    let (signer, time) = (Signer::ed(), Time::new());
    let issuer = Issuer::new(&json!({"keys": [signer.jwk("main")]})).await;
    let verifier = issuer.verifier(&time).await;
    for answer in [document(&json!({"keys": [signer.jwk("main")]}).to_string()), document("not JSON")] {
        issuer.answers(Answers::With(answer));
        let before = issuer.fetches();
        time.forward(30);
        for number in 0..10_000 {
            let kid = format!("unknown-{number}");
            let token = format!("{}.e30.AAAA", part(&signer.header(&kid)));
            assert_eq!(asked(&verifier, &token).await, Err(Refused::UnknownKey));
            assert_eq!(issuer.fetches() - before, 1, "after {} unknown key ids", number + 1);
        }
    }
    assert_eq!(asked(&verifier, &signer.good("main")).await, Ok(()));
}

#[tokio::test]
async fn a_known_key_answers_while_a_fetch_hangs() {
    let (signer, time) = (Signer::ed(), Time::new());
    let issuer = Issuer::new(&json!({"keys": [signer.jwk("main")]})).await;
    let verifier = Arc::new(issuer.verifier(&time).await);
    issuer.answers(Answers::Never);
    time.forward(30);
    let (waiting, unknown) = (Arc::clone(&verifier), signer.good("unknown"));
    let stuck = tokio::spawn(async move { asked(&waiting, &unknown).await });
    while issuer.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        assert_eq!(asked(&verifier, &signer.good("main")).await, Ok(()));
    }
    assert!(!stuck.is_finished(), "the fetch still hangs");
    stuck.abort();
}

#[tokio::test]
async fn a_set_that_rotates_with_overlap_fails_nobody() {
    let (time, mut current) = (Time::new(), Signer::ed());
    let issuer = Issuer::new(&json!({"keys": [current.jwk("0")]})).await;
    let verifier = issuer.verifier(&time).await;
    let mut long = claims();
    long["exp"] = json!(NOW + 80_000);
    for turn in 0..100 {
        let (old, new) = (turn.to_string(), (turn + 1).to_string());
        let next = Signer::ed();
        issuer.answers(Answers::With(document(&json!({"keys": [current.jwk(&old), next.jwk(&new)]}).to_string())));
        time.forward(300);
        let tokens = [(&current, &old), (&next, &new)]
            .map(|(signer, kid)| signer.token(&part(&signer.header(kid)), &part(&long)));
        for _ in 0..50 {
            assert_eq!(asked(&verifier, &tokens[0]).await, Ok(()), "{old}");
            assert_eq!(asked(&verifier, &tokens[1]).await, Ok(()), "{new}");
        }
        current = next;
    }
}

#[tokio::test]
async fn a_hostile_set_does_not_replace_the_last_good_one() {
    let (signer, time) = (Signer::ed(), Time::new());
    let good = json!({"keys": [signer.jwk("main")]});
    let issuer = Issuer::new(&good).await;
    let verifier = issuer.verifier(&time).await;
    let token = {
        let mut long = claims();
        long["exp"] = json!(NOW + 3_600);
        signer.token(&part(&signer.header("main")), &part(&long))
    };
    let many = vec![signer.jwk("x"); 100_000];
    let padded = format!("{}{}", " ".repeat(10 * 1_048_576), json!({"keys": []}));
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: {}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", issuer.url);
    for answer in [
        document(&padded),
        document(&json!({"keys": many}).to_string()),
        document(&json!({"keys": vec![json!({"kty": "x"}); 50_000]}).to_string()),
        document(&json!({"keys": [signer.jwk("main"), Signer::ed().jwk("main")]}).to_string()),
        document("<html></html>"),
        redirect,
    ] {
        issuer.answers(Answers::With(answer));
        let before = issuer.fetches();
        time.forward(300);
        assert_eq!(asked(&verifier, &token).await, Ok(()));
        assert_eq!(issuer.fetches() - before, 1, "it was read, and no redirect followed");
    }
}

#[tokio::test]
async fn a_set_that_drips_ends_at_the_deadline_and_the_last_good_one_stays() {
    let (signer, time) = (Signer::ed(), Time::new());
    let issuer = Issuer::new(&json!({"keys": [signer.jwk("main")]})).await;
    let verifier = issuer.verifier_within(&time, Duration::from_millis(200)).await;
    issuer.answers(Answers::Drips);
    time.forward(30);
    let unknown = signer.good("unknown");
    let ended = tokio::time::timeout(Duration::from_secs(60), asked(&verifier, &unknown)).await;
    assert_eq!(ended, Ok(Err(Refused::UnknownKey)), "the body takes a quarter of an hour");
    assert_eq!(issuer.fetches(), 2);
    assert_eq!(asked(&verifier, &signer.good("main")).await, Ok(()));
}

#[tokio::test]
async fn the_body_decides_what_a_key_set_is_and_not_its_content_type() {
    for content_type in ["text/html", "application/octet-stream", "nonsense"] {
        let (signer, time) = (Signer::ed(), Time::new());
        let issuer = Issuer::new(&json!({"keys": []})).await;
        let body = json!({"keys": [signer.jwk("main")]}).to_string();
        let typed = document(&body).replace("connection: close", &format!("content-type: {content_type}"));
        issuer.answers(Answers::With(typed));
        assert_eq!(asked(&issuer.verifier(&time).await, &signer.good("main")).await, Ok(()), "{content_type}");
    }
}

#[tokio::test]
async fn without_a_first_set_nobody_is_believed_until_there_is_one() {
    let (signer, time) = (Signer::ed(), Time::new());
    let issuer = Issuer::new(&json!("no key set")).await;
    let verifier = Arc::new(issuer.verifier(&time).await);
    assert_eq!(asked(&verifier, &signer.good("main")).await, Err(Refused::UnknownKey));
    assert!(!verifier.is_ready());
    issuer.answers(Answers::With(document(&json!({"keys": [signer.jwk("main")]}).to_string())));
    let waiting = Arc::clone(&verifier);
    let ready = tokio::spawn(async move { waiting.ready().await });
    assert_eq!(asked(&verifier, &signer.good("main")).await, Err(Refused::UnknownKey));
    assert_eq!(issuer.fetches(), 1, "the floor holds for the first set too");
    time.forward(30);
    ready.await.unwrap();
    assert_eq!((verifier.is_ready(), issuer.fetches()), (true, 2));
    assert_eq!(asked(&verifier, &signer.good("main")).await, Ok(()));
}

#[tokio::test]
async fn what_can_never_be_read_does_not_start_and_no_password_is_told() {
    let missing = KeySource::File("/nonexistent/jwks.json".into());
    let urls = ["https://user:canary@issuer.test/jwks", "http://issuer.test/canary", "ftp://issuer.test/", "https://"];
    for source in urls.map(|url| KeySource::Url(url.to_owned())).into_iter().chain([missing]) {
        let egress = Egress::new(EgressConfig::default()).unwrap();
        let started = Verifier::new(config(source.clone()), egress, Time::new().clock()).await;
        let error = started.err().unwrap_or_else(|| panic!("{source:?} was taken"));
        assert!(!error.contains("canary"), "{error}");
    }
}
