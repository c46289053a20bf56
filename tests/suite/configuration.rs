//! The configuration file of the real binary.

use ferry_testkit::{Stage, binary, canary, eventually};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn ferry(words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary("ferry"));
    command.args(words).envs(environment.iter().copied()).output().unwrap()
}

fn told(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("ferry.toml");
    std::fs::write(&path, text).unwrap();
    path
}

const NEEDED: &str = "[store]\ndata-dir = \"d\"\n[keys]\nkeys-dir = \"k\"\n[segments]\nsegments-dir = \"s\"\n\
                      [tokens]\nissuer = \"i\"\naudience = \"a\"\njwks = \"j\"\n";

#[test]
fn every_key_and_its_default_is_in_the_golden_file() {
    let reference = told(&ferry(&["config", "reference"], &[]).stdout);
    let golden = include_str!("../golden/configuration.txt");
    assert_eq!(reference, golden, "if it is meant so, put the new reference into tests/golden/configuration.txt");
}

#[test]
fn the_example_is_a_good_configuration() {
    let checked = ferry(&["config", "check", "../deploy/example/ferry.toml"], &[]);
    assert!(checked.status.success(), "{}", told(&checked.stderr));
    let text = told(&checked.stdout);
    assert!(text.contains("data-dir = \"/var/lib/ferry\"  # file, line "), "{text}");
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let more = "[limits]\nmax-streams = 1\nmax-requests = 1\nmax-connections = 1\ntenant-rate = 1\n";
    let path = file(folder.path(), &format!("{NEEDED}{more}"));
    let path = path.to_str().unwrap();
    let environment = [("FERRY_MAX_STREAMS", "2"), ("FERRY_MAX_REQUESTS", "2"), ("FERRY_AUDIT_LOG", "-")];
    let words = ["config", "check", path, "--", "--max-streams=3", "--tenant-rate=3"];
    let checked = ferry(&words, &environment);
    assert!(checked.status.success(), "{}", told(&checked.stderr));
    let text = told(&checked.stdout);
    for line in [
        "max-streams = 3  # flag",
        "max-requests = 2  # environment, FERRY_MAX_REQUESTS",
        "max-connections = 1  # file, line 14",
        "tenant-rate = 3  # flag",
        "tenant-burst = 100  # default",
        "audit-log = \"-\"  # environment, FERRY_AUDIT_LOG",
        "# tls-cert is not set",
        "plaintext-behind-proxy = false  # default",
        "log-format = \"text\"  # default",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} in:\n{text}");
    }
    // What is printed is a file that says the same.
    let path = file(folder.path(), &text);
    let again = ferry(&["config", "check", path.to_str().unwrap()], &[]);
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&told(&again.stdout)), values(&text), "{}", told(&again.stderr));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[server]\nlisten = \"0.0.0.0:1\"\ntls-cret = \"c\"\n[limits]\nmax-streams = 0\n[develop]\nx = 1\n";
    let path = file(folder.path(), text);
    let checked = ferry(&["config", "check", path.to_str().unwrap()], &[]);
    assert_eq!(checked.status.code(), Some(1));
    let faults = told(&checked.stderr);
    for (line, fault) in [
        (3, "`tls-cret` is no key; is `tls-cert` in [server] meant?"),
        (5, "`limits.max-streams`: invalid value '0'"),
        (6, "[develop] is no section; is [development] meant?"),
    ] {
        let start = format!("{}:{line}: {fault}", path.display());
        assert!(faults.lines().any(|told| told.starts_with(&start)), "{start} in:\n{faults}");
    }
    assert!(faults.contains("--data-dir") && faults.contains("--jwks"), "what is missing too:\n{faults}");
    let served = ferry(&["serve", "--config", path.to_str().unwrap()], &[]);
    assert_eq!(served.status.code(), Some(1));
    let faults = told(&served.stderr);
    assert!(faults.contains(":3: ") && faults.contains(":5: ") && faults.contains(":6: "), "{faults}");
}

/// What a setting goes with is looked at whichever way it was said.
#[test]
fn a_setting_of_the_file_needs_what_its_flag_needs() {
    let folder = tempfile::tempdir().unwrap();
    for (more, environment, wanted) in [
        ("[server]\ntls-cert = \"c\"\n", &[][..], "--tls-key"),
        (
            "[server]\nplaintext-behind-proxy = true\n",
            &[("FERRY_TLS_CERT", "c"), ("FERRY_TLS_KEY", "k")],
            "cannot be used",
        ),
        ("[server]\nlisten = \"0.0.0.0:1\"\n", &[], "is not loopback"),
        ("[development]\ndevelopment-unlimited = 4\n", &[], "it needs --development-destination"),
        ("[destinations]\nallow-suffix = [\"test\"]\n", &[], "`test` is no suffix"),
        ("[telemetry]\notlp-endpoint = \"http://ada:canary@127.0.0.1\"\n", &[], "OTEL_EXPORTER_OTLP_HEADERS"),
    ] {
        let path = file(folder.path(), &format!("{NEEDED}{more}"));
        let checked = ferry(&["config", "check", path.to_str().unwrap()], environment);
        let faults = told(&checked.stderr);
        assert!(!checked.status.success() && faults.contains(wanted), "{more}: {faults}");
        assert!(!faults.contains("canary"), "{faults}");
    }
}

#[test]
fn no_secret_of_the_environment_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), NEEDED);
    let environment = [("FERRY_KEYS", canary::API_KEY), ("OTEL_EXPORTER_OTLP_HEADERS", canary::API_KEY)];
    let checked = ferry(&["config", "check", path.to_str().unwrap()], &environment);
    assert!(checked.status.success());
    assert!(!told(&checked.stdout).contains(canary::API_KEY) && !told(&checked.stderr).contains(canary::API_KEY));
}

#[tokio::test]
async fn the_service_runs_with_what_its_file_says() {
    let mut stage = Stage::new().await;
    let out = stage.path("metrics-addr");
    let text = format!(
        "[telemetry]\nmetrics-addr = \"127.0.0.1:0\"\nmetrics-addr-out = \"{}\"\n[log]\nlog-format = \"json\"\n",
        out.display()
    );
    std::fs::write(stage.path("ferry.toml"), text).unwrap();
    let config = ["--config".to_owned(), stage.path("ferry.toml").display().to_string()];
    stage.restart_and(&config, &[]).await;
    let run = stage.run_csv(&canary::people(3)).await;
    assert_eq!(run.counts.unwrap().confirmed, 3);
    assert!(out.exists());
    eventually(SOON, || async {
        let log = std::fs::read_to_string(stage.log()).unwrap();
        if log.lines().any(|line| line.starts_with('{')) { Ok(()) } else { Err(log.len()) }
    })
    .await;
}
