//! The two streams: audit and operational, as JSON lines with the fields that a log sink knows.

use super::{SOON, acme, entries};
use ferry_proto::v1 as pb;
use ferry_testkit::{Stage, canary, eventually};
use serde_json::Value;
use std::path::Path;
use tonic::Request;

/// A stage whose service writes both streams.
async fn stage() -> Stage {
    let mut stage = Stage::new().await;
    let file = |name: &str| stage.path(name).display().to_string();
    let args =
        ["--audit-log".to_owned(), file("audit.jsonl"), "--operational-log".to_owned(), file("operational.jsonl")];
    stage.restart_and(&args, &[]).await;
    stage
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(line: &'a Value, pointer: &str) -> &'a str {
    line.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {line}"))
}

#[tokio::test]
async fn l2_a_run_and_each_of_its_tasks_begin_and_end_under_its_job_id() {
    let stage = stage().await;
    let run = stage.run_csv(&canary::people(3)).await;
    let job = run.name.rsplit('/').next().unwrap();
    let told = eventually(SOON, || async {
        let told: Vec<Value> = lines(&stage.path("operational.jsonl"))
            .into_iter()
            .filter(|line| line.pointer("/properties/workflowJobId").and_then(Value::as_str) == Some(job))
            .collect();
        let ends = told.iter().any(|line| text(line, "/operationName") == "Export.WorkflowCompleted");
        let tasks = told.iter().filter(|line| text(line, "/operationName") == "Export.TaskCompleted").count();
        if ends && tasks == 4 { Ok(told) } else { Err(told) }
    })
    .await;
    let of = |operation: &str| -> Vec<&Value> {
        told.iter().filter(|line| text(line, "/operationName") == operation).collect()
    };
    let (begun, ended) = (of("Export.WorkflowStarted"), of("Export.WorkflowCompleted"));
    assert_eq!((begun.len(), ended.len()), (1, 1), "{told:#?}");
    assert_eq!((text(begun[0], "/resultType"), text(ended[0], "/resultType")), ("Running", "Successful"));
    assert_eq!(text(begun[0], "/properties/workflowType"), "incremental");
    assert_eq!(text(begun[0], "/properties/workflowSubmissionKind"), "OnDemand");
    for operation in ["Export.TaskStarted", "Export.TaskCompleted"] {
        let tasks: Vec<&str> = of(operation).iter().map(|line| text(line, "/properties/friendlyName")).collect();
        assert_eq!(tasks, ["reading", "planning", "sending", "settling"], "{operation}");
    }
    for line in &told {
        assert_eq!((text(line, "/category"), text(line, "/properties/eventType")), ("Operational", "WorkflowEvent"));
        assert_eq!((text(line, "/resourceId"), text(line, "/properties/identifier")), (run.name.as_str(), "weekly"));
    }
}

#[tokio::test]
async fn l4_audit_and_operational_are_two_streams_of_json_lines_and_the_log_repeats_neither() {
    let stage = stage().await;
    stage.create_connection("newsletter").await;
    let mut viewer = stage.client("viewer").await;
    let mut request =
        Request::new(pb::ListRunsRequest { parent: format!("{}/exports/-", acme()), ..Default::default() });
    request.metadata_mut().insert("x-request-id", "a-read".parse().unwrap());
    viewer.runs.list_runs(request).await.unwrap();
    let mut request = Request::new(pb::ListConnectionsRequest { parent: acme(), ..Default::default() });
    request.metadata_mut().insert("x-request-id", "a-refusal".parse().unwrap());
    viewer.connections.list_connections(request).await.unwrap_err();
    let mut administrator = stage.client("administrator").await;
    let recorded = entries(&mut administrator, &acme(), "").await;
    // The copy follows the commit at once.
    let copied = eventually(SOON, || async {
        let copied = lines(&stage.path("audit.jsonl"));
        let denied = copied.iter().any(|line| text(line, "/operationName") == "CALL_DENIED");
        if denied { Ok(copied) } else { Err(copied) }
    })
    .await;
    for line in &copied {
        let number = line.pointer("/properties/number").and_then(Value::as_i64).unwrap();
        let entry = recorded.iter().find(|entry| entry.number == number && entry.chain == acme());
        let Some(entry) = entry else { continue };
        let told = [
            ("/operationName", &*entry.kind),
            ("/resourceId", &entry.object),
            ("/identity/Authorization/UserRole", &entry.actor_role),
            ("/identity/Claims/sub", &entry.actor),
            ("/correlationId", &entry.correlation_id),
            ("/callerIpAddress", &entry.origin),
            ("/category", "Audit"),
        ];
        for (pointer, expected) in told {
            assert_eq!(text(line, pointer), expected);
        }
        let hash: String = entry.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text(line, "/properties/hash"), hash);
    }
    let made = copied.iter().find(|line| text(line, "/operationName") == "CONNECTION_CREATED").unwrap();
    assert_eq!((text(made, "/resultType"), text(made, "/level")), ("Success", "Informational"));
    assert_eq!(made.pointer("/identity/Authorization/RequiredRoles/0").unwrap(), "administrator");
    let denied = copied.iter().find(|line| text(line, "/operationName") == "CALL_DENIED").unwrap();
    assert_eq!((text(denied, "/resultType"), text(denied, "/resultSignature")), ("ClientError", "ROLE_TOO_LOW"));
    let calls = eventually(SOON, || async {
        let calls = lines(&stage.path("operational.jsonl"));
        let told = |id: &str| calls.iter().any(|line| line.pointer("/correlationId").is_some_and(|given| given == id));
        if told("a-read") && told("a-refusal") { Ok(calls) } else { Err(calls) }
    })
    .await;
    let by =
        |id: &str| calls.iter().find(|line| line.pointer("/correlationId").is_some_and(|given| given == id)).unwrap();
    let read = by("a-read");
    let told = [
        ("/operationName", "RunService/ListRuns"),
        ("/category", "Operational"),
        ("/resultType", "Success"),
        ("/resultSignature", "OK"),
        ("/identity/Authorization/UserRole", "viewer"),
        ("/identity/Authorization/RequiredRoles/0", "viewer"),
        ("/callerIpAddress", "127.0.0.1"),
        ("/level", "Informational"),
        ("/properties/eventType", "ApiEvent"),
        ("/properties/tenantId", "acme"),
    ];
    for (pointer, expected) in told {
        assert_eq!(text(read, pointer), expected);
    }
    assert!(read["durationMs"].is_u64() && read.pointer("/identity/Claims").is_none(), "{read}");
    assert_eq!(
        (text(by("a-refusal"), "/resultType"), text(by("a-refusal"), "/resultSignature")),
        ("ClientError", "PERMISSION_DENIED")
    );
    assert!(!calls.iter().any(|line| text(line, "/operationName").ends_with("/CreateConnection")), "it made a change");
    let log = std::fs::read_to_string(stage.log()).unwrap();
    assert!(!log.contains("\"category\":\"Audit\"") && !log.contains("category\\\":\\\"Operational"), "said twice");
}
