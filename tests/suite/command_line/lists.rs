//! Lists for people and for programs.

use super::{ferry, said};
use crate::watch::small;
use ferry_testkit::TENANT;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
/// More than a page of 500.
const MANY: usize = 503;

#[tokio::test]
async fn runs_are_listed_newest_first() {
    let (stage, export) = small().await;
    let mut names = Vec::new();
    for _ in 0..3 {
        let run = stage.run(&export).await;
        stage.ended(&run.name, SOON).await;
        names.insert(0, run.name);
    }
    let listed = said(ferry(&stage, "viewer", &["runs", "list", "--output", "json"])).await;
    assert_eq!((listed.code, listed.err.as_str()), (Some(0), ""), "{listed:?}");
    let found: Vec<String> = listed.json().iter().map(|run| run["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, names);
    assert!(listed.json().iter().all(|run| run["counts"]["members"] == "5" && run["state"] == "STATE_SUCCEEDED"));
    let some = said(ferry(&stage, "viewer", &["runs", "list", "--limit", "2", "--export", "weekly"])).await;
    let lines: Vec<&str> = some.out.lines().collect();
    assert!(lines[0].starts_with("RUN           EXPORT  STATE      CREATED (UTC)"), "{lines:#?}");
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for (line, name) in lines[1..].iter().zip(&names) {
        assert!(line.starts_with(&name[name.len() - 12..]) && line.contains("  succeeded  "), "{lines:#?}");
    }
    assert!(some.err.contains("there are more"), "{some:?}");
    let failed = said(ferry(&stage, "viewer", &["runs", "list", "--state", "failed", "--state", "paused"])).await;
    assert_eq!((failed.code, failed.out.as_str()), (Some(0), ""), "{failed:?}");
    assert!(failed.err.contains("no such run"), "{failed:?}");
}

#[tokio::test]
async fn exports_are_listed_over_pages_newest_first() {
    let (stage, _) = small().await;
    let none = said(ferry(&stage, "viewer", &["exports", "list"])).await;
    let lines: Vec<&str> = none.out.lines().collect();
    assert!(lines[0].starts_with("EXPORT  NAME    CONNECTION"), "{lines:#?}");
    assert!(lines[1].starts_with("weekly  Export  newsletter  with the refresh  never"), "{lines:#?}");
    for number in 1..MANY {
        stage.create_export(&format!("export-{number:03}"), stage.export("newsletter", "people")).await;
    }
    let all = said(ferry(&stage, "viewer", &["exports", "list", "--output", "json"])).await;
    let names: Vec<String> = all.json().iter().map(|export| export["name"].as_str().unwrap().to_owned()).collect();
    let name = |id: &str| format!("tenants/{TENANT}/exports/{id}");
    let expected: Vec<String> =
        (1..MANY).rev().map(|number| name(&format!("export-{number:03}"))).chain([name("weekly")]).collect();
    assert_eq!(names, expected);
    let newest = said(ferry(&stage, "viewer", &["exports", "list", "--limit", "1", "--output", "json"])).await;
    assert_eq!(newest.json()[0]["name"], expected[0].as_str());
    assert_eq!(newest.out.lines().count(), 1);
    assert!(newest.err.contains("there are more"), "{newest:?}");
}

#[tokio::test]
async fn completions_know_the_commands() {
    let (stage, _) = small().await;
    for (shell, marks) in [
        ("bash", ["complete -F _ferry", "--resume-token", "watch", "completions"]),
        ("zsh", ["#compdef ferry", "--resume-token", "'watch:", "'completions:"]),
        ("fish", ["complete -c ferry", "-l resume-token", "-a \"watch\"", "-a \"completions\""]),
    ] {
        let script = said(ferry(&stage, "viewer", &["completions", shell])).await;
        assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
        for mark in marks {
            assert!(script.out.contains(mark), "{shell} lacks `{mark}`");
        }
    }
}
