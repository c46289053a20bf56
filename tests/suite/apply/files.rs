//! What is wrong with a file is told with its place, and nothing is done.

use super::{KEY, apply, done, everything, export, exports, file, stage, written};
use crate::command_line::{ferry, said};
use std::process::Stdio;

#[tokio::test]
async fn mistakes_are_told_with_file_line_and_column_before_anything_is_changed() {
    let stage = stage().await;
    done(&stage, &file(&[export("weekly", "")])).await;
    let before = everything(&stage).await;
    let text = file(&[export("weekly", ""), export("second", "")]);
    let wrong = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    for (text, told) in [
        (
            wrong("  second:\n    display_name", "  second:\n    dispaly_name"),
            &["tenant.yaml:16:5: `dispaly_name` is no key of export `second`; is `display_name` meant?"][..],
        ),
        (
            wrong("segments: [people]", "segments: [people, poeple]"),
            &[
                "tenant.yaml:12:24: export weekly: segments[1]: is no segment",
                "tenant.yaml:18:24: export second: segments[1]",
            ],
        ),
        (
            wrong("email: email,", "email: e_mail,"),
            &["tenant.yaml:14:5: export weekly: field_mappings: segment `people` has no column `e_mail`"],
        ),
        (
            wrong("connection: newsletter", "connection: newsleter"),
            &["tenant.yaml:11:5: there is no connection `newsleter`; is `newsletter` meant?"],
        ),
        (
            wrong("list_id: 3", "list_id: three"),
            &["tenant.yaml:13:22: export weekly: settings.activecampaign.list_id: must be the number of a list"],
        ),
        (
            wrong(
                "display_name: Export second",
                "display_name: Export second\n    schedule: {cron: 0 0 31 4 *, time_zone: UTC}",
            ),
            &["tenant.yaml:17:16: export second: schedule.recurrence.cron"],
        ),
        (wrong("  second:", "  A:"), &["tenant.yaml:15:3: export A"]),
        (
            wrong("version: 1", "version: 1\nrefresh_schedule: {active: true, days: [friday], times: [8:30]}"),
            &["tenant.yaml:2:58: times[0]"],
        ),
        (wrong("  second:", "  weekly:"), &["tenant.yaml:15:3: `weekly` stands in line 9 already"]),
        (
            wrong("  newsletter:", "  other:").replace("api_key_env: AC_KEY", "api_key_env: NO_SUCH"),
            &["the variable NO_SUCH is not set here"],
        ),
        (
            wrong("  newsletter:", "  other:").replace("api_key_env: AC_KEY", "secret_reference: env:X"),
            &["tenant.yaml:5:67: connection other: settings.activecampaign.secret_reference"],
        ),
        (
            wrong("  newsletter:", "  other:").replace("consent: 2026-11-01", "consent: 2020-01-01"),
            &["tenant.yaml:7:5: connection other: consent.text_version"],
        ),
        (
            wrong("{host: demo.ferry-sim.test", "{host: example.com"),
            &["connection newsletter: settings.activecampaign.host"],
        ),
    ] {
        for words in [&["--yes"][..], &["--dry-run"]] {
            let refused = apply(&stage, "administrator", &text, words).await;
            refused.has_failed(1, &["ferry: this cannot be applied"]);
            refused.has_failed(1, told);
        }
    }
    assert_eq!(everything(&stage).await, before);
}

#[tokio::test]
async fn a_key_that_the_destination_refuses_stops_everything_before_the_first_write() {
    let stage = stage().await;
    let before = everything(&stage).await;
    let path = written(&stage, &file(&[export("weekly", "")]));
    let mut command = ferry(&stage, "administrator", &["apply", "--yes", "-f", path.to_str().unwrap()]);
    command.env(KEY, "another-key");
    let refused = said(command).await;
    refused.has_failed(1, &["connection newsletter", "CREDENTIALS_REFUSED", "nothing was changed"]);
    assert!(!refused.err.contains("another-key"), "{refused:?}");
    assert_eq!(everything(&stage).await, before);
}

#[tokio::test]
async fn the_command_line_says_which_tenant_and_that_nobody_need_be_asked() {
    let stage = stage().await;
    let text = file(&[export("weekly", "")]);
    apply(&stage, "administrator", &text, &[]).await.has_failed(2, &["nobody to ask", "--yes", "--dry-run"]);
    let other = apply(&stage, "administrator", &format!("{text}tenant: globex\n"), &["--yes"]).await;
    other.has_failed(2, &["for the tenant `globex`", "says `acme`"]);
    let path = written(&stage, &text);
    let mut unnamed = ferry(&stage, "administrator", &["apply", "--yes", "-f", path.to_str().unwrap()]);
    unnamed.env_remove("FERRY_TENANT");
    said(unnamed).await.has_failed(2, &["which tenant"]);
    let none = apply(&stage, "administrator", "version: 1\n", &["--yes", "--prune"]).await;
    none.has_failed(2, &["--prune would remove every export"]);
    let missing = said(ferry(&stage, "administrator", &["apply", "--yes", "-f", "/no/such/file"])).await;
    missing.has_failed(1, &["/no/such/file cannot be read"]);
    assert!(exports(&mut stage.client("viewer").await).await.is_empty());
}

#[tokio::test]
async fn files_are_taken_together_from_standard_input_too_and_a_key_may_be_in_a_file() {
    let stage = stage().await;
    let key = stage.path("secrets");
    std::fs::create_dir_all(&key).unwrap();
    std::fs::write(key.join("key"), format!("{}\n", stage.api_key)).unwrap();
    let text = file(&[export("weekly", "")]).replace("api_key_env: AC_KEY", "api_key_file: secrets/key");
    let path = written(&stage, &text);
    let words = ["apply", "--yes", "-f", path.to_str().unwrap(), "-f", "-"];
    let mut command = ferry(&stage, "administrator", &words);
    command.stdin(Stdio::from(
        std::fs::File::open({
            let other = stage.path("other.yaml");
            std::fs::write(&other, format!("version: 1\ntenant: acme\nexports:\n{}", export("second", ""))).unwrap();
            other
        })
        .unwrap(),
    ));
    let applied = said(command).await;
    assert_eq!((applied.code, applied.err.as_str()), (Some(0), ""), "{applied:?}");
    assert_eq!(exports(&mut stage.client("viewer").await).await.len(), 2);
}
