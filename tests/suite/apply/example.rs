//! The file that people begin with.

use super::{KEY, apply, everything, exports};
use ferry_testkit::{HOST, Stage};

#[tokio::test]
async fn the_example_can_be_applied_and_a_second_time_changes_nothing() {
    let stage = Stage::new().await;
    for file in ["catalogue.toml", "chinook-customers.csv"] {
        let from = format!("../deploy/example/segments/demo/{file}");
        std::fs::copy(from, stage.path("segments").join("acme").join(file)).unwrap();
    }
    let text = std::fs::read_to_string("../deploy/example/tenant.yaml").unwrap();
    assert!(text.contains(KEY));
    // Its host is nobody's, and at its time the record would grow by itself.
    let text = text.replace("account.api-us1.com", HOST).replace("active: true", "active: false");
    let applied = apply(&stage, "administrator", &text, &["--yes", "--skip-verification"]).await;
    assert_eq!((applied.code, applied.err.as_str()), (Some(0), ""), "{applied:?}");
    assert!(!exports(&mut stage.client("viewer").await).await.is_empty());
    let before = everything(&stage).await;
    let again = apply(&stage, "administrator", &text, &["--yes"]).await;
    assert!(again.code == Some(0) && again.out.starts_with("nothing to do: "), "{again:?}");
    assert_eq!(everything(&stage).await, before);
}
