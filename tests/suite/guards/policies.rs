//! What an export may say of those who leave, and what is said of it.

use super::{fields, policy, set_field, stage, update};
use ferry_proto::v1 as pb;
use ferry_proto::v1::leave_policy::{Keep, Policy, Unsubscribe};
use ferry_testkit::{Stage, TENANT};
use tonic::Status;

fn guard(max_percent: Option<i32>, max_number: Option<i64>) -> Option<pb::RemovalGuard> {
    Some(pb::RemovalGuard { max_percent, max_number })
}

async fn create(stage: &Stage, export: pb::Export) -> Result<pb::Export, Status> {
    let request = pb::CreateExportRequest {
        parent: format!("tenants/{TENANT}"),
        export: Some(export),
        ..pb::CreateExportRequest::default()
    };
    let mut client = stage.client("administrator").await;
    client.exports.create_export(request).await.map(|answer| answer.into_inner().export.unwrap())
}

fn mapping(field: &str, column: &str) -> pb::FieldMapping {
    pb::FieldMapping { destination_field: field.to_owned(), profile_column: column.to_owned() }
}

#[tokio::test]
async fn a_leave_policy_is_kept_as_it_was_written_and_all_that_is_wrong_with_one_is_told() {
    let (stage, export) = stage().await;
    let with = |leave_policy| pb::Export { leave_policy, ..stage.export("newsletter", "people") };
    assert_eq!(export.leave_policy, policy(Policy::Keep(Keep {})), "unless given");
    for good in [
        set_field(1, "in", "out"),
        set_field(i32::MAX, &"ã".repeat(255), "o"),
        policy(Policy::Unsubscribe(Unsubscribe { acknowledge_irreversible: true })),
        policy(Policy::Keep(Keep {})),
    ] {
        assert_eq!(create(&stage, with(good.clone())).await.unwrap().leave_policy, good);
    }
    let at = |name: &str| format!("export.leave_policy.{name}");
    for (bad, expected) in [
        (set_field(0, "", "out"), vec![at("set_field.field"), at("set_field.member_value")]),
        (set_field(-1, "in", &"o".repeat(256)), vec![at("set_field.field"), at("set_field.left_value")]),
        (set_field(1, "in", "in"), vec![at("set_field.left_value")]),
        (
            policy(Policy::Unsubscribe(Unsubscribe { acknowledge_irreversible: false })),
            vec![at("unsubscribe.acknowledge_irreversible")],
        ),
    ] {
        assert_eq!(fields(&create(&stage, with(bad)).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn a_field_that_says_who_is_a_member_is_not_mapped_as_well() {
    let (stage, export) = stage().await;
    let expected = ["export.leave_policy.set_field.field"];
    let mapped = vec![mapping("email", "email"), mapping("1", "first_name")];
    let both = pb::Export {
        leave_policy: set_field(1, "in", "out"),
        field_mappings: mapped.clone(),
        ..stage.export("newsletter", "people")
    };
    assert_eq!(fields(&create(&stage, both).await.unwrap_err()), expected);
    // One after the other is both in the end.
    let set = pb::Export { leave_policy: set_field(1, "in", "out"), ..export.clone() };
    update(&stage, set.clone(), &["leave_policy"]).await.unwrap();
    let map = pb::Export { field_mappings: mapped, ..export };
    assert_eq!(fields(&update(&stage, map.clone(), &["field_mappings"]).await.unwrap_err()), expected);
    let stored = update(&stage, map, &["field_mappings", "leave_policy"]).await.unwrap();
    assert_eq!(stored.leave_policy, policy(Policy::Keep(Keep {})));
    assert_eq!(fields(&update(&stage, set, &["leave_policy"]).await.unwrap_err()), expected);
}

#[tokio::test]
async fn a_removal_guard_has_its_defaults_and_is_changed_by_its_path() {
    let (stage, export) = stage().await;
    assert_eq!(export.removal_guard, guard(Some(10), Some(10_000)), "unless given");
    let with = |removal_guard| pb::Export { removal_guard, ..export.clone() };
    let changed = update(&stage, with(guard(Some(0), Some(0))), &["removal_guard"]).await.unwrap();
    assert_eq!(changed.removal_guard, guard(Some(0), Some(0)));
    let kept = update(&stage, pb::Export { display_name: "Other".to_owned(), ..with(None) }, &["display_name"]).await;
    assert_eq!(kept.unwrap().removal_guard, guard(Some(0), Some(0)));
    let half = update(&stage, with(guard(Some(100), None)), &["removal_guard"]).await.unwrap();
    assert_eq!(half.removal_guard, guard(Some(100), Some(10_000)));
    let emptied = update(&stage, with(None), &["removal_guard"]).await.unwrap();
    assert_eq!(emptied.removal_guard, guard(Some(10), Some(10_000)));
    let refused = update(&stage, with(guard(Some(101), Some(-1))), &["removal_guard"]).await.unwrap_err();
    assert_eq!(fields(&refused), ["export.removal_guard.max_percent", "export.removal_guard.max_number"]);
}

async fn validate(stage: &Stage, name: &str) -> pb::ValidateExportResponse {
    let mut client = stage.client("administrator").await;
    let request = pb::ValidateExportRequest { name: name.to_owned() };
    client.exports.validate_export(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn validating_finds_a_policys_field_that_is_missing_and_exports_that_contradict_it() {
    let (stage, export) = stage().await;
    let member = |field| pb::Export { leave_policy: set_field(field, "in", "out"), ..export.clone() };
    update(&stage, member(99), &["leave_policy"]).await.unwrap();
    let found = validate(&stage, &export.name).await;
    assert_eq!(found.problems.iter().map(|problem| problem.reason.as_str()).collect::<Vec<_>>(), ["FIELD_NOT_FOUND"]);
    update(&stage, member(1), &["leave_policy"]).await.unwrap();
    let found = validate(&stage, &export.name).await;
    assert!(found.problems.is_empty() && found.warnings.is_empty(), "{found:?}");
    // On another connection to the same account.
    stage.create_connection("second").await;
    let other = pb::Export { leave_policy: set_field(1, "in", "out"), ..stage.export("second", "people") };
    let other = stage.create_export("daily", other).await;
    for (name, contradicted) in [(&export.name, &other.name), (&other.name, &export.name)] {
        let found = validate(&stage, name).await;
        let fills: Vec<&String> = found.warnings.iter().filter(|text| text.contains(" fills ")).collect();
        assert_eq!(fills.len(), 1, "{found:?}");
        assert!(fills[0].contains(contradicted.as_str()) && fills[0].contains("fills custom field 1 "), "{found:?}");
    }
    let mut client = stage.client("administrator").await;
    let request = pb::DeleteExportRequest { name: other.name, ..Default::default() };
    client.exports.delete_export(request).await.unwrap();
    assert!(validate(&stage, &export.name).await.warnings.is_empty());
}
