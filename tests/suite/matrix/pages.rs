//! A page token belongs to its list, and grants nothing.

use super::wire::{Answer, Wire, reason};
use super::world;
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::Access;
use ferry_testkit::{Stage, TENANT, canary};
use prost::Message;
use serde_json::json;
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt};

const OTHER: &str = "zeta";

/// The same in two tenants: two connections, two segments, two exports on the first connection, each with a run.
async fn stage() -> Stage {
    let stage = Stage::new().await;
    std::fs::remove_dir_all(stage.path("segments").join(TENANT)).unwrap();
    let broken = canary::name("broken");
    let rows = format!("{}{broken},One\n{broken},Two", canary::row("person"));
    for tenant in [TENANT, OTHER] {
        if tenant == OTHER {
            world::make_tenant(&stage, tenant, &rows).await;
        } else {
            world::make_segments(&stage, tenant, &rows);
        }
        let mut client = world::administrator(&stage, world::SOMEBODY, tenant).await;
        let mut names = Vec::new();
        for id in ["first", "second"] {
            let connection = world::make_connection(&stage, &mut client, tenant, id).await;
            world::share(&mut client, &connection.name, Access::AdministratorsAndContributors).await;
            names.push(connection.name);
        }
        for id in ["hook-one", "hook-two"] {
            world::make_webhook_named(&mut client, tenant, id, "Hook").await;
        }
        for id in ["weekly", "daily"] {
            let export = world::make_export(&mut client, tenant, id, &names[0]).await;
            world::run_to_the_end(&mut client, &export.name).await;
        }
    }
    stage
}

/// A list with pages, in a tenant, from a token on.
struct List {
    rpc: &'static str,
    request: fn(tenant: &str, run: &str, token: &str) -> Vec<u8>,
    next: fn(&[u8]) -> String,
}

macro_rules! list {
    ($rpc:literal, $request:ident { $field:ident : $name:expr }, $response:ident) => {
        List {
            rpc: $rpc,
            request: |tenant, run, token| {
                let name: fn(&str, &str) -> String = $name;
                let mut request = pb::$request { page_size: 1, ..Default::default() };
                request.$field = name(tenant, run);
                token.clone_into(&mut request.page_token);
                request.encode_to_vec()
            },
            next: |body| pb::$response::decode(body).unwrap().next_page_token,
        }
    };
}

fn lists() -> Vec<List> {
    vec![
        list!(
            "ConnectionService/ListConnections",
            ListConnectionsRequest { parent: |tenant, _| format!("tenants/{tenant}") },
            ListConnectionsResponse
        ),
        list!(
            "SegmentService/ListSegments",
            ListSegmentsRequest { parent: |tenant, _| format!("tenants/{tenant}") },
            ListSegmentsResponse
        ),
        list!(
            "ExportService/ListExports",
            ListExportsRequest { parent: |tenant, _| format!("tenants/{tenant}") },
            ListExportsResponse
        ),
        list!(
            "RunService/ListRuns",
            ListRunsRequest { parent: |tenant, _| format!("tenants/{tenant}/exports/-") },
            ListRunsResponse
        ),
        list!(
            "NotificationService/ListWebhooks",
            ListWebhooksRequest { parent: |tenant, _| format!("tenants/{tenant}") },
            ListWebhooksResponse
        ),
        list!(
            "RunService/ListRejectedProfiles",
            ListRejectedProfilesRequest { name: |_, run| run.to_owned() },
            ListRejectedProfilesResponse
        ),
    ]
}

async fn newest_run(stage: &Stage, tenant: &str) -> String {
    let mut client = world::administrator(stage, world::SOMEBODY, tenant).await;
    let request = pb::ListRunsRequest { parent: format!("tenants/{tenant}/exports/-"), ..Default::default() };
    client.runs.list_runs(request).await.unwrap().into_inner().runs.remove(0).name
}

fn assert_refused(answer: &Answer, what: &str) {
    let got = (answer.code, reason(answer));
    assert_eq!(got, (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()), "{what}");
}

#[tokio::test]
async fn a_page_token_of_one_tenant_is_refused_in_another() {
    let stage = stage().await;
    let wire = Wire::connect(stage.addr()).await;
    let roles = json!({ TENANT: "administrator", OTHER: "administrator" });
    let both = stage.sign(world::CALLER, &[("tenants", roles)]);
    let (own, other) = (newest_run(&stage, TENANT).await, newest_run(&stage, OTHER).await);
    let mut tokens = Vec::new();
    for list in lists() {
        let first = wire.call(list.rpc, false, &both, &(list.request)(TENANT, &own, "")).await;
        let token = (list.next)(&first.body);
        assert!(!token.is_empty(), "{} has one page: {first:?}", list.rpc);
        let second = wire.call(list.rpc, false, &both, &(list.request)(TENANT, &own, &token)).await;
        assert_eq!(second.code, Code::Ok, "{}", list.rpc);
        let foreign = wire.call(list.rpc, false, &both, &(list.request)(OTHER, &other, &token)).await;
        assert_refused(&foreign, list.rpc);
        tokens.push((list.rpc, token));
    }
    for list in lists() {
        for (rpc, token) in &tokens {
            if *rpc != list.rpc {
                let answer = wire.call(list.rpc, false, &both, &(list.request)(TENANT, &own, token)).await;
                assert_refused(&answer, &format!("a token of {rpc} in {}", list.rpc));
            }
        }
    }
}

/// One bit at each place, a byte less, a byte more.
#[tokio::test]
async fn a_page_token_that_was_tampered_with_is_refused() {
    let stage = stage().await;
    let wire = Wire::connect(stage.addr()).await;
    let caller = world::token(&stage, world::CALLER, TENANT, "administrator");
    let own = newest_run(&stage, TENANT).await;
    for list in lists() {
        let first = wire.call(list.rpc, false, &caller, &(list.request)(TENANT, &own, "")).await;
        let token = (list.next)(&first.body);
        let mut tampered = vec![token[1..].to_owned(), token[..token.len() - 1].to_owned(), format!("{token}A")];
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'b' { b'c' } else { b'b' };
            tampered.push(String::from_utf8(bytes).unwrap());
        }
        for wrong in tampered {
            let answer = wire.call(list.rpc, false, &caller, &(list.request)(TENANT, &own, &wrong)).await;
            assert_refused(&answer, &format!("{}: {wrong} for {token}", list.rpc));
        }
    }
}

#[tokio::test]
async fn a_page_token_belongs_to_its_filter() {
    let stage = stage().await;
    let mut client = world::administrator(&stage, world::CALLER, TENANT).await;
    let list = |filter: &str, page_token: &str| pb::ListExportsRequest {
        parent: format!("tenants/{TENANT}"),
        page_size: 1,
        page_token: page_token.to_owned(),
        filter: filter.to_owned(),
        ..Default::default()
    };
    let filter = |id: &str| format!("connection = \"tenants/{TENANT}/connections/{id}\"");
    let first = client.exports.list_exports(list(&filter("first"), "")).await.unwrap().into_inner();
    assert!(!first.next_page_token.is_empty());
    for other in ["", &filter("second"), &format!("segment = \"tenants/{TENANT}/segments/people\"")] {
        let status = client.exports.list_exports(list(other, &first.next_page_token)).await.unwrap_err();
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "PAGE_TOKEN_INVALID", "{other}");
    }
    client.exports.list_exports(list(&filter("first"), &first.next_page_token)).await.unwrap();
}

/// A page that an administrator began shows a contributor nothing that is not shared, and a viewer nothing at all.
#[tokio::test]
async fn a_page_token_does_not_carry_the_rights_of_who_got_it() {
    let stage = stage().await;
    let mut administrator = world::administrator(&stage, world::CALLER, TENANT).await;
    world::share(&mut administrator, &format!("tenants/{TENANT}/connections/second"), Access::Administrators).await;
    let list = |page_token: &str| pb::ListConnectionsRequest {
        parent: format!("tenants/{TENANT}"),
        page_size: 1,
        page_token: page_token.to_owned(),
    };
    let first = administrator.connections.list_connections(list("")).await.unwrap().into_inner();
    let token = first.next_page_token;
    let next = administrator.connections.list_connections(list(&token)).await.unwrap().into_inner();
    assert_eq!(next.connections[0].name, format!("tenants/{TENANT}/connections/second"));
    let mut contributor = stage.client("contributor").await;
    let status = contributor.connections.list_connections(list(&token)).await.unwrap_err();
    let info: ErrorDetails = status.get_error_details();
    assert_eq!(info.error_info().unwrap().reason, "PAGE_TOKEN_INVALID", "{status:?}");
    let mut viewer = stage.client("viewer").await;
    assert_eq!(viewer.connections.list_connections(list(&token)).await.unwrap_err().code(), Code::PermissionDenied);
}
