//! What is as declared is not touched.

use super::{apply, done, everything, export, exports, file, stage};
use crate::command_line::{ferry, said};
use ferry_proto::v1 as pb;
use ferry_testkit::Stage;
use std::fmt::Write as _;

/// Exports that differ in everything that can differ.
fn many(count: usize) -> String {
    let varied = (0..count).map(|number| {
        let mut more = String::new();
        match number % 4 {
            0 => {}
            1 => more += "    schedule: off\n",
            2 => more += "    schedule: {cron: 0 6 1 1 *, time_zone: Europe/Lisbon}\n",
            _ => more += "    schedule: with_refresh\n",
        }
        match number % 3 {
            0 => {}
            1 => more += "    leave_policy:\n      set_field: {field: 1, member_value: yes, left_value: no}\n",
            _ => more += "    leave_policy: {unsubscribe: {acknowledge_irreversible: true}}\n",
        }
        if number % 5 == 0 {
            let _always = writeln!(more, "    removal_guard: {{max_percent: {}, max_number: {number}}}", number % 101);
        }
        export(&format!("export-{number:03}"), &more)
    });
    let text = file(&varied.collect::<Vec<_>>());
    let refresh =
        "refresh_schedule:\n  days: [friday, tuesday]\n  times: ['20:00', 08:30]\n  time_zone: Europe/Berlin\n";
    // As people write it, and as the service does not keep it.
    text.replace("demo.ferry-sim.test", "Demo.Ferry-Sim.test").replace("list_id: 3", "list_id: 03") + refresh
}

#[tokio::test]
async fn a_file_of_a_hundred_exports_changes_nothing_the_second_time() {
    let mut stage = stage().await;
    // With a budget that the first time uses up.
    stage.restart_with(&["--listen=127.0.0.1:0", "--tenant-rate=40", "--tenant-burst=20"]).await;
    let text = many(100);
    let first = apply(&stage, "administrator", &text, &["--yes"]).await;
    assert_eq!((first.code, first.err.as_str()), (Some(0), ""), "{first:?}");
    assert!(first.out.contains("\n101 to make, 1 to change, 0 to remove; 0 as declared\n"), "{first:?}");
    assert!(first.out.ends_with("applied: 102 done; 0 were so already\n"), "{first:?}");
    stage.restart_and(&[], &[]).await;
    let mut client = stage.client("administrator").await;
    assert_eq!(exports(&mut client).await.len(), 100);
    let before = everything(&stage).await;
    for words in [&["--yes"][..], &["--dry-run"], &["--yes", "--prune"], &["--yes", "--output", "json"]] {
        let again = apply(&stage, "administrator", &text, words).await;
        assert_eq!((again.code, again.err.as_str()), (Some(0), ""), "{again:?}");
        let expected = if words.contains(&"json") { "" } else { "nothing to do: 102 as declared\n" };
        assert_eq!(again.out, expected);
    }
    assert_eq!(everything(&stage).await, before);
    // In another order of what has none.
    let other = text.replace("{email: email, first_name: first_name}", "{first_name: first_name, email: email}");
    let other = other.replace("[friday, tuesday]", "[tuesday, friday]");
    assert_ne!(other, text);
    done(&stage, &other).await;
    assert_eq!(everything(&stage).await, before);
}

#[tokio::test]
async fn a_dry_run_shows_and_checks_and_writes_nothing() {
    let stage = stage().await;
    let before = everything(&stage).await;
    let text = file(&[export("weekly", "")]);
    let shown = apply(&stage, "administrator", &text, &["--dry-run"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (Some(5), ""), "{shown:?}");
    let lines = ["+ connection newsletter", "+     api_key_env: AC_KEY", "+ export weekly", "+     list_id: 3"];
    for line in lines {
        assert!(shown.out.contains(&format!("{line}\n")), "`{line}`: {shown:?}");
    }
    assert!(shown.out.ends_with("2 to make, 0 to change, 0 to remove; 0 as declared\n"), "{shown:?}");
    let lines = apply(&stage, "administrator", &text, &["--dry-run", "--output", "json"]).await;
    let lines = lines.json();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[1]["name"], &lines[1]["action"], &lines[1]["outcome"]),
        (&"tenants/acme/exports/weekly".into(), &"create".into(), &"planned".into())
    );
    assert_eq!(everything(&stage).await, before);
}

#[tokio::test]
async fn what_differs_is_shown_and_nothing_else_is_changed() {
    let stage = stage().await;
    let text = file(&[export("steady", ""), export("weekly", "    schedule: {cron: 0 6 1 1 *, time_zone: UTC}\n")]);
    done(&stage, &text).await;
    let mut client = stage.client("administrator").await;
    let before = exports(&mut client).await;
    let (steady, weekly) = text.split_once("  weekly:").unwrap();
    let weekly = weekly.replace("first_name: first_name", "last_name: first_name").replace("0 6 1 1 *", "0 7 1 1 *");
    let text = format!("{steady}  weekly:{weekly}");
    let applied = apply(&stage, "administrator", &text, &["--yes"]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let expected = "\
~ export weekly
    field_mappings:
      email: email
-     first_name: first_name
+     last_name: first_name
    schedule:
-     cron: \"0 6 1 1 *\"
+     cron: \"0 7 1 1 *\"
      time_zone: UTC
0 to make, 1 to change, 0 to remove; 2 as declared
applied: 1 done; 2 were so already
";
    assert_eq!(applied.out, expected);
    let after = exports(&mut client).await;
    assert_eq!(after[0], before[0]);
    assert_eq!((before[1].etag.as_str(), after[1].etag.as_str()), ("\"1\"", "\"2\""));
    // The record names what the mask named.
    let request = pb::ListAuditEntriesRequest {
        parent: super::acme(),
        filter: "kind = \"EXPORT_UPDATED\"".to_owned(),
        ..Default::default()
    };
    let entries = client.audit.list_audit_entries(request).await.unwrap().into_inner().audit_entries;
    assert_eq!(entries.len(), 1);
    let fields = &entries[0].details["fields"];
    assert!(fields.contains("field_mappings") && fields.contains("schedule"), "{fields}");
    assert!(!fields.contains("segments") && !fields.contains("display_name"), "{fields}");
}

#[tokio::test]
async fn what_was_exported_is_no_difference_and_is_the_same_each_time() {
    let stage = stage().await;
    done(&stage, &many(12)).await;
    let mut client = stage.client("administrator").await;
    let detach =
        pb::DetachExportRequest { name: format!("{}/exports/export-003", super::acme()), ..Default::default() };
    client.exports.detach_export(detach).await.unwrap();
    stage
        .create_export(
            "by-hand",
            pb::Export {
                display_name: "\"Ünïcode\": #1\u{2028} -".to_owned(), ..stage.export("newsletter", "others")
            },
        )
        .await;
    let before = everything(&stage).await;
    let path = stage.path("exported.yaml");
    let path = path.to_str().unwrap();
    let to_file = said(ferry(&stage, "administrator", &["export-config", "-o", path])).await;
    assert_eq!((to_file.code, to_file.out.as_str(), to_file.err.as_str()), (Some(0), "", ""), "{to_file:?}");
    let printed = said(ferry(&stage, "administrator", &["export-config"])).await;
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(printed.out, text);
    assert!(text.contains("\n    connection: null\n") && !text.contains(super::KEY), "{text}");
    let again = said(ferry(&stage, "administrator", &["apply", "--yes", "--prune", "-f", path])).await;
    assert_eq!((again.code, again.out.as_str()), (Some(0), "nothing to do: 15 as declared\n"), "{again:?}");
    assert_eq!(everything(&stage).await, before);
    // In an empty tenant the key has to be named, and nothing else is missing.
    let other = Stage::new().await;
    other.segment("people", "csv", ferry_testkit::canary::people(1).as_bytes());
    other.segment("others", "csv", ferry_testkit::canary::people(1).as_bytes());
    let refused = apply(&other, "administrator", &text, &["--yes"]).await;
    refused.has_failed(1, &["tenant.yaml:8:3: connection `newsletter` is not there yet, and its API key is not named"]);
    let named = text.replace("      host:", &format!("      api_key_env: {}\n      host:", super::KEY));
    let named = named.replace("connection: null", "connection: newsletter");
    done(&other, &named).await;
    assert_eq!(exports(&mut other.client("viewer").await).await.len(), 13);
}
