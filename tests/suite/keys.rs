//! `ferry keys` beside a running service, and kills in the middle of a rotation (K23, S4).
#![allow(clippy::print_stderr, reason = "how far the kills came is of interest")]

use ferry_proto::v1 as pb;
use ferry_testkit::{Process, Stage, TENANT, binary, canary, eventually};
use ferry_vault::{KeyId, KeySource, Purpose, Survey, Vault, VaultConfig};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

const SECRETS: usize = 10_000;
const LIMIT: Duration = Duration::from_secs(120);

fn ferry(command: &str, keys_dir: &Path, keys: Option<&str>) -> Output {
    let mut process = std::process::Command::new(binary("ferry"));
    process.args(["keys", command, "--keys-dir"]).arg(keys_dir).env_remove("FERRY_KEYS");
    process.envs(keys.map(|keys| ("FERRY_KEYS", keys))).output().unwrap()
}

fn told(output: &Output) -> String {
    [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat()
}

fn must(command: &str, keys_dir: &Path) -> String {
    let output = ferry(command, keys_dir, None);
    assert!(output.status.success(), "{command}: {}", told(&output));
    told(&output)
}

fn config(keys_dir: &Path) -> VaultConfig {
    VaultConfig { keys: KeySource::File(keys_dir.join("keys.toml")), key_store: keys_dir.join("store") }
}

async fn verify(stage: &Stage, name: &str) {
    let mut client = stage.client("administrator").await;
    let request = pb::VerifyConnectionRequest { name: name.to_owned() };
    let verified = client.connections.verify_connection(request).await.unwrap().into_inner();
    assert_eq!(verified.connection.unwrap().state(), pb::connection::State::Ready);
}

#[tokio::test]
async fn keys_are_rotated_and_retired_beside_a_running_service() {
    let mut stage = Stage::new().await;
    let keys_dir = stage.path("keys");
    for (id, content) in [("one", canary::email("a")), ("two", canary::email("b"))] {
        stage.segment(id, "csv", format!("email\n{content}\n").as_bytes());
    }
    let connection = stage.create_connection("newsletter").await;
    let mut viewer = stage.client("viewer").await;
    let list = |page_token| pb::ListSegmentsRequest { parent: format!("tenants/{TENANT}"), page_size: 1, page_token };
    let page = viewer.segments.list_segments(list(String::new())).await.unwrap().into_inner();
    assert!(must("rotate", &keys_dir).contains("every data key is wrapped by `key-2`"));
    verify(&stage, &connection.name).await;
    let next = viewer.segments.list_segments(list(page.next_page_token)).await.unwrap().into_inner();
    assert_eq!(next.segments.len(), 1, "a page token outlives a rotation");
    assert!(must("retire", &keys_dir).contains("removed key-1"));
    verify(&stage, &connection.name).await;
    stage.kill();
    stage.start().await;
    verify(&stage, &connection.name).await;
    let listed = must("list", &keys_dir);
    assert!(listed.contains("key-2") && listed.contains("current") && !listed.contains("key-1"), "{listed}");
    let file = std::fs::read_to_string(keys_dir.join("keys.toml")).unwrap();
    let secret = file.lines().find_map(|line| line.strip_prefix("key-2 = ")).unwrap();
    let log = std::fs::read_to_string(stage.log()).unwrap();
    assert!(!log.contains(secret) && !listed.contains(secret), "a key is shown");
}

#[tokio::test]
async fn s10_a_service_leaves_no_core_dump() {
    let stage = Stage::new().await;
    let process = format!("/proc/{}", stage.service().id());
    let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
}

#[test]
fn s5_two_places_for_keys_or_half_of_them_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let keys_dir = folder.path();
    let missing = ferry("list", keys_dir, None);
    assert!(!missing.status.success() && told(&missing).contains("`ferry keys create`"), "{}", told(&missing));
    must("create", keys_dir);
    let text = std::fs::read_to_string(keys_dir.join("keys.toml")).unwrap();
    let both = ferry("list", keys_dir, Some(&text));
    assert!(!both.status.success() && told(&both).contains("unset the one or remove the other"), "{}", told(&both));
    std::fs::remove_file(keys_dir.join("keys.toml")).unwrap();
    assert!(ferry("list", keys_dir, Some(&text)).status.success());
    let without_current = text.lines().skip(1).collect::<Vec<_>>().join("\n");
    for (half, advice) in [("", "current = ID"), (without_current.as_str(), "current = ID"), ("current = a", "add it")]
    {
        let refused = ferry("list", keys_dir, Some(half));
        assert!(!refused.status.success() && told(&refused).contains(advice), "{}", told(&refused));
        let secret = text.rsplit_once("= ").unwrap().1.trim();
        assert!(!told(&refused).contains(secret), "an error shows a key");
    }
    let rotated = ferry("rotate", keys_dir, Some(&text));
    assert!(!rotated.status.success() && told(&rotated).contains("start the service anew"), "{}", told(&rotated));
}

fn id(number: usize) -> KeyId {
    KeyId::new("load", &format!("c{number}"), Purpose::Secret { version: 1 }).unwrap()
}

/// Secrets, made by several threads: each waits for the disk.
fn store_secrets(config: &VaultConfig) -> Vec<Vec<u8>> {
    let vault = Vault::open(config).unwrap();
    let numbers: Vec<usize> = (0..SECRETS).collect();
    let store = |part: &[usize]| {
        let one = |number: &usize| {
            vault.ensure_key(&id(*number)).unwrap();
            vault.seal(&id(*number), "api_key", number.to_string().as_bytes()).unwrap()
        };
        part.iter().map(one).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = numbers.chunks(SECRETS / 8).map(|part| scope.spawn(move || store(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

fn check_secrets(config: &VaultConfig, sealed: &[Vec<u8>]) {
    let vault = Vault::open(config).unwrap();
    for (number, sealed) in sealed.iter().enumerate() {
        let opened = vault.unseal(&id(number), "api_key", sealed).unwrap();
        assert_eq!(opened.as_slice(), number.to_string().as_bytes(), "secret {number}");
    }
}

/// Waits until not more than `left` secrets are wrapped by another key than the one with the id.
async fn until_left(config: &VaultConfig, current: &str, left: usize) {
    eventually(LIMIT, || async {
        let survey: Survey = Vault::survey(config).unwrap();
        if survey.current == current && survey.left() <= left { Ok(()) } else { Err(survey) }
    })
    .await;
}

/// How many secrets are left when a kill comes. The first one comes as soon as the new key is in the file.
const KILLS: [usize; 5] = [usize::MAX, 9_000, 6_000, 3_000, 500];

/// Whether the kill came while some were wrapped by the new key and some were not.
fn is_half_way(config: &VaultConfig) -> bool {
    let left = Vault::survey(config).unwrap().left();
    eprintln!("killed with {left} secrets left");
    (1..SECRETS).contains(&left)
}

#[tokio::test]
async fn k23_every_secret_is_readable_after_a_rotation_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let keys_dir = folder.path().join("keys");
    must("create", &keys_dir);
    let config = config(&keys_dir);
    let sealed = store_secrets(&config);
    let mut half_way = 0;
    for (index, left) in KILLS.into_iter().enumerate() {
        let arguments = ["keys", "rotate", "--keys-dir"].map(str::to_owned);
        let arguments = [arguments.as_slice(), &[keys_dir.display().to_string()]].concat();
        let process = Process::start("ferry", &arguments, &folder.path().join("log"));
        until_left(&config, &format!("key-{}", index + 2), left).await;
        process.kill();
        half_way += usize::from(is_half_way(&config));
        check_secrets(&config, &sealed);
    }
    assert!(half_way >= 2, "the kills came too late");
    must("rotate", &keys_dir);
    assert!(Vault::survey(&config).unwrap().is_settled());
    must("retire", &keys_dir);
    check_secrets(&config, &sealed);
}

#[tokio::test]
async fn k23_every_secret_is_readable_after_a_service_was_killed_that_rewraps() {
    let mut stage = Stage::new().await;
    let connection = stage.create_connection("newsletter").await;
    let keys_dir = stage.path("keys");
    let config = config(&keys_dir);
    stage.kill();
    let sealed = store_secrets(&config);
    let mut half_way = 0;
    for left in KILLS {
        stage.start().await;
        let current = Vault::add_key(&config).unwrap();
        until_left(&config, &current, left).await;
        stage.kill();
        half_way += usize::from(is_half_way(&config));
        check_secrets(&config, &sealed);
    }
    assert!(half_way >= 2, "the kills came too late");
    stage.start().await;
    must("rotate", &keys_dir);
    must("retire", &keys_dir);
    verify(&stage, &connection.name).await;
    stage.kill();
    check_secrets(&config, &sealed);
}
