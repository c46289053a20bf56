//! The operator's plane: tenants are listed, changed, and of a kind.

use super::{fields, reason};
use ferry_proto::v1 as pb;
use ferry_proto::v1::tenant::Kind;
use ferry_testkit::{Client, Stage, TENANT};
use tonic::{Code, Status};

async fn create(client: &mut Client, id: &str, kind: Kind) -> Result<pb::Tenant, Status> {
    let tenant = pb::Tenant { display_name: format!("Tenant {id}"), kind: kind.into(), ..Default::default() };
    let request = pb::CreateTenantRequest { tenant_id: id.to_owned(), tenant: Some(tenant), ..Default::default() };
    Ok(client.tenants.create_tenant(request).await?.into_inner().tenant.unwrap())
}

async fn get(client: &mut Client, name: &str) -> pb::Tenant {
    let request = pb::GetTenantRequest { name: name.to_owned() };
    client.tenants.get_tenant(request).await.unwrap().into_inner().tenant.unwrap()
}

async fn page(client: &mut Client, size: i32, token: &str) -> Result<pb::ListTenantsResponse, Status> {
    let request = pb::ListTenantsRequest { page_size: size, page_token: token.to_owned() };
    Ok(client.tenants.list_tenants(request).await?.into_inner())
}

async fn update(client: &mut Client, tenant: pb::Tenant, paths: &[&str]) -> Result<pb::Tenant, Status> {
    let update_mask = prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
    let request = pb::UpdateTenantRequest {
        tenant: Some(tenant),
        update_mask: (!paths.is_empty()).then_some(update_mask),
        ..Default::default()
    };
    Ok(client.tenants.update_tenant(request).await?.into_inner().tenant.unwrap())
}

#[tokio::test]
async fn tenants_are_listed_in_pages_each_once() {
    let stage = Stage::new().await;
    let mut operator = stage.operator().await;
    let mut expected = vec![format!("tenants/{TENANT}")];
    for number in 0..4 {
        expected.push(create(&mut operator, &format!("tenant-{number}"), Kind::Unspecified).await.unwrap().name);
    }
    let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let found = page(&mut operator, 2, &token).await.unwrap();
        assert!(found.tenants.len() <= 2);
        seen.extend(found.tenants.into_iter().map(|tenant| tenant.name));
        (token, pages) = (found.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, pages), (expected.clone(), 3));
    let begun = page(&mut operator, 2, "").await.unwrap().next_page_token;
    let forged = page(&mut operator, 2, &format!("{begun}00")).await.unwrap_err();
    assert_eq!(reason(&forged), "PAGE_TOKEN_INVALID");
    // One that is removed between two pages takes no other with it.
    let request = pb::DeleteTenantRequest { name: expected[3].clone(), ..Default::default() };
    operator.tenants.delete_tenant(request).await.unwrap();
    let rest: Vec<String> =
        page(&mut operator, 10, &begun).await.unwrap().tenants.into_iter().map(|tenant| tenant.name).collect();
    assert_eq!(rest, [expected[2].clone(), expected[4].clone()]);
    let refused = page(&mut stage.client("administrator").await, 2, "").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_sandbox_reads_back_as_one_and_stays_one() {
    let stage = Stage::new().await;
    let mut operator = stage.operator().await;
    assert_eq!(get(&mut operator, &format!("tenants/{TENANT}")).await.kind(), Kind::Production, "unless given");
    let made = create(&mut operator, "trial", Kind::Sandbox).await.unwrap();
    assert_eq!(made.kind(), Kind::Sandbox);
    assert_eq!(get(&mut operator, &made.name).await, made);
    let listed = page(&mut operator, 10, "").await.unwrap().tenants;
    assert_eq!(listed.iter().map(pb::Tenant::kind).collect::<Vec<_>>(), [Kind::Production, Kind::Sandbox]);
    let other = pb::Tenant { kind: Kind::Production.into(), ..made.clone() };
    assert_eq!(fields(&update(&mut operator, other, &["kind"]).await.unwrap_err()), ["update_mask"]);
    assert_eq!(get(&mut operator, &made.name).await, made);
}

#[tokio::test]
async fn an_update_of_a_tenant_changes_what_it_names_and_heeds_the_etag() {
    let stage = Stage::new().await;
    let mut operator = stage.operator().await;
    let made = get(&mut operator, &format!("tenants/{TENANT}")).await;
    let named = |name: &str| pb::Tenant { display_name: name.to_owned(), ..made.clone() };
    let renamed = update(&mut operator, named("Acme Ltd"), &["display_name"]).await.unwrap();
    assert_eq!((renamed.display_name.as_str(), &renamed.uid, renamed.kind()), ("Acme Ltd", &made.uid, made.kind()));
    assert_ne!(renamed.etag, made.etag);
    let stale = update(&mut operator, named("Acme Inc"), &["display_name"]).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let without = pb::Tenant { etag: String::new(), ..named("Acme Inc") };
    let anyhow = update(&mut operator, without, &[]).await.unwrap();
    assert_eq!(anyhow.display_name, "Acme Inc", "without an etag and a mask, what is set changes");
    for paths in [&["display_name"][..], &["*"][..]] {
        let empty = pb::Tenant { name: made.name.clone(), ..Default::default() };
        let refused = update(&mut operator, empty, paths).await.unwrap_err();
        assert_eq!(fields(&refused), ["tenant.display_name"], "{paths:?}");
    }
    assert_eq!(fields(&update(&mut operator, named("A"), &["colour"]).await.unwrap_err()), ["update_mask"]);
    assert_eq!(get(&mut operator, &made.name).await, anyhow, "what was refused changed nothing");
}

#[tokio::test]
async fn options_of_tenants_that_are_not_built_are_refused_by_name() {
    let stage = Stage::new().await;
    let mut operator = stage.operator().await;
    let made = get(&mut operator, &format!("tenants/{TENANT}")).await;
    let cases = [(pb::Tenant { weight: 2, ..made.clone() }, "tenant.weight", "weight")];
    for (tenant, field, path) in cases {
        let refused = update(&mut operator, tenant.clone(), &[path]).await.unwrap_err();
        assert_eq!((reason(&refused).as_str(), fields(&refused)), ("NOT_IMPLEMENTED", vec![field.to_owned()]));
        let request =
            pb::CreateTenantRequest { tenant_id: "other".to_owned(), tenant: Some(tenant), ..Default::default() };
        let refused = operator.tenants.create_tenant(request).await.unwrap_err();
        assert_eq!((reason(&refused).as_str(), fields(&refused)), ("NOT_IMPLEMENTED", vec![field.to_owned()]));
    }
    assert_eq!(get(&mut operator, &made.name).await, made);
    assert_eq!(page(&mut operator, 10, "").await.unwrap().tenants.len(), 1, "and nothing is made");
}
