//! A stream of the record whose reader loses the right to it.

use super::{SOON, acme, entries, export, reason};
use ferry_proto::v1 as pb;
use ferry_proto::v1::audit_service_client::AuditServiceClient;
use ferry_testkit::{Stage, TENANT};
use serde_json::json;
use std::time::Duration;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

/// Entries of the log; between the service and a reader that does not read, some 50 of them wait.
const ENTRIES: usize = 300;
/// The least window: the service is held back by a reader that does not read.
const WINDOW: u32 = 1 << 10;

/// Whoever loses the right while the stream goes on gets no more of it than was on its way, and that is on record.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_administrators_stream_ends_though_entries_are_left() {
    let stage = Stage::new().await;
    let mut viewer = stage.client("viewer").await;
    for _ in 0..ENTRIES {
        let request = pb::ListConnectionsRequest { parent: acme(), ..Default::default() };
        viewer.connections.list_connections(request).await.unwrap_err();
    }
    export::covered(&stage).await;
    let token = stage.sign("leaver", &[("tenants", json!({ TENANT: "administrator" }))]);
    let bearer: AsciiMetadataValue = format!("Bearer {token}").parse().unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", stage.addr())).unwrap();
    let channel = endpoint.initial_stream_window_size(WINDOW).connect().await.unwrap();
    let mut leaver = AuditServiceClient::with_interceptor(channel, move |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", bearer.clone());
        Ok(request)
    });
    let request = pb::ExportAuditLogRequest { parent: acme(), ..Default::default() };
    let mut stream = leaver.export_audit_log(request).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let mut client = stage.client("administrator").await;
    let revoke = pb::RevokePrincipalRequest { name: acme(), subject: "leaver".to_owned(), ..Default::default() };
    client.tenants.revoke_principal(revoke).await.unwrap();
    // Read slowly: after five seconds the service asks again what the reader may, and it is far from the end by then.
    let mut read = 0;
    let ended = tokio::time::timeout(SOON, async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => read += 1,
                Ok(None) => break None,
                Err(status) => break Some(status),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let ended = ended.await.unwrap().unwrap_or_else(|| panic!("the whole stream came: {read}"));
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::PermissionDenied, "ROLE_TOO_LOW"), "after {read}");
    assert!(read < ENTRIES / 2, "{read} entries came");
    let found = entries(&mut client, &acme(), r#"kind = "CALL_DENIED" AND actor = "leaver""#).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].details["permission"], "AuditService/ExportAuditLog");
}
