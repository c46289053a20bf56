//! Secrets that connections only name: each kind of store, and the borders between tenants.

use super::kv_server::{KvServer, TOKEN};
use super::{
    by_reference, caller_in, change, create, create_in, fields, journal, list, make_export, make_tenant, people, read,
    reason, run, with,
};
use ferry_proto::v1 as pb;
use ferry_testkit::{OTHER_HOST, Stage, TENANT};
use tonic::Code;

const HOST: &str = "settings.activecampaign.host";
const KEY: &str = "settings.activecampaign.api_key";
const REFERENCE: &str = "settings.activecampaign.secret_reference";
const PREFIX: &str = "FERRY_TEST_SECRET_";

/// A stage with every kind of store, each with the key of this tenant and of `globex`, and the store of the third kind.
async fn with_stores() -> (Stage, KvServer) {
    let mut stage = Stage::new().await;
    let root = stage.path("secrets");
    let vault = KvServer::start(false).await;
    let data = format!(r#"{{"api_key":"{}"}}"#, stage.api_key);
    for tenant in [TENANT, "globex"] {
        std::fs::create_dir_all(root.join(tenant)).unwrap();
        std::fs::write(root.join(tenant).join(format!("{tenant}-key")), &stage.api_key).unwrap();
        vault.put(&format!("secret/data/ferry/{tenant}/{tenant}-news"), Some(&data));
    }
    std::os::unix::fs::symlink("../globex/globex-key", root.join(TENANT).join("link")).unwrap();
    std::os::unix::fs::symlink("../globex", root.join(TENANT).join("folder")).unwrap();
    std::fs::write(stage.path("vault-token"), TOKEN).unwrap();
    let args = [
        format!("--secret-env-prefix={PREFIX}"),
        format!("--secret-file-root={}", root.display()),
        format!("--vault-addr={}", vault.address()),
        format!("--vault-token-file={}", stage.path("vault-token").display()),
    ];
    let key = stage.api_key.clone();
    let (mine, theirs) = (format!("{PREFIX}ACME__KEY"), format!("{PREFIX}GLOBEX__THEIRS"));
    stage.restart_and(&args, &[(mine.as_str(), key.as_str()), (theirs.as_str(), key.as_str())]).await;
    (stage, vault)
}

#[tokio::test]
async fn a_run_goes_with_the_key_out_of_each_store() {
    let (stage, vault) = with_stores().await;
    stage.segment("people", "csv", people(3, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let references = ["env:KEY", "file:acme-key", "vault:acme-news#api_key"];
    let mut made = create(&mut client, by_reference(&stage, references[0])).await.unwrap();
    let weekly = make_export(&stage, &mut client, TENANT).await.name;
    for reference in references {
        let named = with(made, |settings| reference.clone_into(&mut settings.secret_reference));
        made = change(&mut client, named, &[REFERENCE]).await.unwrap();
        assert_eq!(run(&mut client, &weekly).await.state(), pb::run::State::Succeeded, "{reference}");
    }
    assert!(vault.requests().iter().any(|head| head.starts_with("GET /v1/secret/data/ferry/acme/acme-news ")));
    let log = std::fs::read_to_string(stage.log()).unwrap();
    assert!(!log.contains(&stage.api_key) && !log.contains(TOKEN), "the log holds a secret");
}

#[tokio::test]
async fn a_tenant_names_no_other_tenants_secret() {
    let (stage, vault) = with_stores().await;
    make_tenant(&stage, "globex", &people(1, "example.org")).await;
    let mut globex = caller_in(&stage, "globex", "boss", "administrator").await;
    for reference in ["env:THEIRS", "file:globex-key", "vault:globex-news#api_key"] {
        let request = pb::CreateConnectionRequest {
            parent: "tenants/globex".to_owned(),
            connection: Some(by_reference(&stage, reference)),
            ..Default::default()
        };
        globex.connections.create_connection(request).await.expect("its own secret is there");
    }
    let before = (journal(&stage).len(), vault.requests().len());
    let mut client = stage.client("administrator").await;
    let escapes = [
        ("env:THEIRS", "SECRET_UNAVAILABLE"),
        ("env:GLOBEX__THEIRS", "INVALID_FIELDS"),
        ("env:_GLOBEX__THEIRS", "INVALID_FIELDS"),
        ("file:globex-key", "SECRET_UNAVAILABLE"),
        ("file:globex/globex-key", "SECRET_UNAVAILABLE"),
        ("file:../globex/globex-key", "INVALID_FIELDS"),
        ("file:/etc/hostname", "INVALID_FIELDS"),
        ("file:link", "SECRET_UNAVAILABLE"),
        ("file:folder/globex-key", "SECRET_UNAVAILABLE"),
        ("vault:globex-news#api_key", "SECRET_UNAVAILABLE"),
        ("vault:globex/globex-news#api_key", "SECRET_UNAVAILABLE"),
        ("vault:../globex/globex-news#api_key", "INVALID_FIELDS"),
        ("vault:%2e%2e/globex/globex-news#api_key", "INVALID_FIELDS"),
    ];
    for (reference, expected) in escapes {
        let refused = create(&mut client, by_reference(&stage, reference)).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "{reference}: {refused:?}");
    }
    assert!(list(&mut client).await.is_empty());
    assert_eq!(journal(&stage).len(), before.0, "a key of another tenant was tried");
    let strayed = vault.requests().split_off(before.1).into_iter().find(|head| !head.contains("/data/ferry/acme/"));
    assert_eq!(strayed, None, "the store was asked for another tenant's part");
}

#[tokio::test]
async fn without_a_store_a_reference_is_not_implemented() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    for reference in ["env:KEY", "file:key", "vault:news#api_key"] {
        for skip_verification in [false, true] {
            let named = by_reference(&stage, reference);
            let refused = create_in(&mut client, TENANT, named, skip_verification).await.unwrap_err();
            let seen = (refused.code(), reason(&refused), fields(&refused));
            let expected =
                (Code::InvalidArgument, "NOT_IMPLEMENTED".to_owned(), vec![format!("connection.{REFERENCE}")]);
            assert_eq!(seen, expected, "{reference}");
        }
    }
    assert!(list(&mut client).await.is_empty());
}

#[tokio::test]
async fn a_key_and_its_name_are_never_given_together() {
    let (stage, _vault) = with_stores().await;
    let mut client = stage.client("administrator").await;
    let both = with(stage.connection(), |settings| "env:KEY".clone_into(&mut settings.secret_reference));
    assert_eq!(fields(&create(&mut client, both).await.unwrap_err()), [format!("connection.{REFERENCE}")]);
    assert!(list(&mut client).await.is_empty());
}

/// Else whoever may change the host could have a key that they never saw sent to a host of their own (S11).
#[tokio::test]
async fn a_new_host_needs_the_key_or_its_name_anew() {
    let (stage, _vault) = with_stores().await;
    let mut client = stage.client("administrator").await;
    for (id, field) in [("typed", KEY), ("named", REFERENCE)] {
        let connection = if id == "typed" { stage.connection() } else { by_reference(&stage, "env:KEY") };
        let request = pb::CreateConnectionRequest {
            parent: format!("tenants/{TENANT}"),
            connection_id: id.to_owned(),
            connection: Some(connection),
            ..Default::default()
        };
        let made = client.connections.create_connection(request).await.unwrap().into_inner().connection.unwrap();
        let before = journal(&stage).len();
        // The name that was read back is not given anew unless the mask says so.
        let moved = with(made.clone(), |settings| OTHER_HOST.clone_into(&mut settings.host));
        let refused = change(&mut client, moved.clone(), &[HOST]).await.unwrap_err();
        assert_eq!(fields(&refused), [format!("connection.{field}")], "{id}");
        assert_eq!(read(&mut client, &made.name).await, made);
        let with_secret = with(moved, |settings| {
            if id == "typed" {
                settings.api_key.clone_from(&stage.api_key);
            }
        });
        let updated = change(&mut client, with_secret, &[HOST, field]).await.unwrap();
        assert_eq!(updated.state(), pb::connection::State::Unverified, "{id}");
        assert_eq!(journal(&stage).len(), before, "an update asks nobody");
        assert_eq!(super::verify(&mut client, &made.name).await.0, "OK");
        assert_eq!(journal(&stage).last().unwrap().account, OTHER_HOST, "{id}");
    }
}
