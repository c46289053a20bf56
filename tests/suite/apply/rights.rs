//! Who may apply what, and what goes.

use super::{apply, connection, done, everything, export, exports, file, stage};
use crate::command_line::{ferry, said};

fn exports_alone(exports: &[String]) -> String {
    format!("version: 1\nexports:\n{}", exports.concat())
}

#[tokio::test]
async fn a_contributor_applies_exports_on_shared_connections_and_no_connection() {
    let stage = stage().await;
    let text = file(&[export("weekly", "")]);
    done(&stage, &text).await;
    let both = exports_alone(&[export("weekly", "    schedule: off\n"), export("second", "")]);
    let applied = apply(&stage, "contributor", &both, &["--yes"]).await;
    assert_eq!((applied.code, applied.err.as_str()), (Some(0), ""), "{applied:?}");
    let before = everything(&stage).await;
    let again = apply(&stage, "viewer", &both, &["--yes"]).await;
    assert_eq!((again.code, again.out.as_str()), (Some(0), "nothing to do: 2 as declared\n"), "{again:?}");
    let with_connection = apply(&stage, "contributor", &text, &["--yes"]).await;
    with_connection.has_failed(1, &["tenant.yaml:3:3: connection `newsletter` is an administrator's to see"]);
    let by_viewer = apply(&stage, "viewer", &exports_alone(&[export("weekly", "")]), &["--dry-run"]).await;
    by_viewer.has_failed(1, &["tenant.yaml:3:3: export `weekly` differs, and you may not change it"]);
    // None of them was a refused call, which the record would hold.
    assert_eq!(everything(&stage).await, before);
    let shown = said(ferry(&stage, "contributor", &["export-config"])).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.out.contains("are left out") && shown.out.contains("\n  second:\n"), "{shown:?}");
    assert!(!shown.out.contains("connections:") && !shown.out.contains("host"), "{shown:?}");
    let unshared = text.replace("    access: administrators_and_contributors\n", "");
    done(&stage, &unshared).await;
    let refused = apply(&stage, "contributor", &exports_alone(&[export("third", "")]), &["--yes"]).await;
    refused.has_failed(1, &["there is no connection `newsletter`"]);
}

#[tokio::test]
async fn what_nobody_declares_stays_and_goes_when_it_is_asked_for() {
    let stage = stage().await;
    let more = connection("second").replace("Newsletter", "Second");
    let text = file(&[export("weekly", ""), export("older", "")]).replace("exports:\n", &format!("{more}exports:\n"));
    done(&stage, &text).await;
    let less = file(&[export("weekly", "")]);
    let before = everything(&stage).await;
    let kept = apply(&stage, "administrator", &less, &["--yes"]).await;
    let expected = "nothing to do: 2 as declared\nnot declared, left alone: connection second, export older\n";
    assert_eq!((kept.code, kept.out.as_str()), (Some(0), expected), "{kept:?}");
    assert_eq!(everything(&stage).await, before);
    let pruned = apply(&stage, "administrator", &less, &["--yes", "--prune"]).await;
    assert_eq!(pruned.code, Some(0), "{pruned:?}");
    assert!(pruned.out.starts_with("- export older  (removed;"), "{pruned:?}");
    assert!(pruned.out.contains("left alone: connection second\n"), "{pruned:?}");
    let left = exports(&mut stage.client("viewer").await).await;
    assert_eq!(left.iter().map(|export| export.name.as_str()).collect::<Vec<_>>(), ["tenants/acme/exports/weekly"]);
}
