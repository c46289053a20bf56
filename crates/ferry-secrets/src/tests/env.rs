use super::{TENANT, config, egress, reference, resolve};
use crate::env::variable;
use crate::reference::Form;
use crate::{ConfigError, SecretError, SecretReference, SecretStores, SecretStoresConfig, StoreKind};
use ferry_domain::TenantId;
use proptest::prelude::*;
use secrecy::SecretString;
use std::sync::Arc;

fn stores(variables: &'static [(&str, &str)]) -> SecretStores {
    let environment = Arc::new(|name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| SecretString::from(*value))
    });
    let config = SecretStoresConfig { env_prefix: Some("FERRY_SECRET_".to_owned()), environment, ..config() };
    SecretStores::new(config, &egress()).unwrap()
}

#[tokio::test]
async fn a_variable_is_read_with_the_operators_prefix_and_the_tenants_name() {
    let stores = stores(&[
        ("FERRY_SECRET_ACME__KEY", "acmes-key"),
        ("FERRY_SECRET_ACME_EU__KEY", "acme-eus-key"),
        ("FERRY_SECRET_KEY", "nobodys"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(resolve(&stores, "env:KEY").await.unwrap(), "acmes-key");
    let missing = Err(SecretError::Missing(StoreKind::Env));
    assert_eq!(resolve(&stores, "env:PATH").await, missing);
    assert_eq!(resolve(&stores, "env:EU").await, missing);
    let other = stores.resolve("globex", &reference("env:KEY")).await;
    assert_eq!(other.err(), Some(SecretError::Missing(StoreKind::Env)));
}

#[tokio::test]
async fn a_key_is_1_to_1024_visible_characters() {
    let long: &'static str = "x".repeat(1024).leak();
    let longer: &'static str = "x".repeat(1025).leak();
    let values = ["", " ", "a b", "a\n", "\ta", "ä", "a\u{7f}", "a\0", longer];
    for value in values {
        let variables: &'static [(&str, &str)] = vec![("FERRY_SECRET_ACME__KEY", value)].leak();
        assert_eq!(
            resolve(&stores(variables), "env:KEY").await,
            Err(SecretError::Malformed(StoreKind::Env)),
            "{value:?}"
        );
    }
    let variables: &'static [(&str, &str)] = vec![("FERRY_SECRET_ACME__KEY", long)].leak();
    assert_eq!(resolve(&stores(variables), "env:KEY").await.unwrap(), long);
}

#[tokio::test]
async fn what_is_no_tenant_names_nothing() {
    let stores = stores(&[("FERRY_SECRET_ACME__KEY", "acmes-key")]);
    for tenant in ["", "ACME", "acm", "acme_", "../acme", "acme/..", "-acme", "acme-", "acmé", "acme\0"] {
        let refused = SecretError::NotAllowed(StoreKind::Env);
        assert_eq!(stores.check(tenant, &reference("env:KEY")), Err(refused), "{tenant:?}");
        assert_eq!(stores.resolve(tenant, &reference("env:KEY")).await.err(), Some(refused));
    }
    assert_eq!(stores.check(TENANT, &reference("env:KEY")), Ok(()));
}

#[test]
fn a_prefix_must_set_a_part_of_the_environment_apart() {
    for prefix in ["", "_", "1A", "ferry_", "A-", "A=", "A\0"] {
        let config = SecretStoresConfig { env_prefix: Some(prefix.to_owned()), ..config() };
        let refused = SecretStores::new(config, &egress()).err();
        assert!(matches!(refused, Some(ConfigError::EnvPrefix(_))), "{prefix:?}");
    }
}

/// Tenant and name, close to each other so that pairs nearly meet.
fn pair() -> impl Strategy<Value = (TenantId, String)> {
    let tenant = "[ab]{2}(-{1,3}[ab]{1,2}){0,3}[ab]{2}".prop_map(|text| TenantId::parse(&text).unwrap());
    let name = "[AB](_{0,2}[AB]){0,4}".prop_filter_map("no name", |name| {
        match SecretReference::parse(&format!("env:{name}")).ok()?.0 {
            Form::Env { name } => Some(name),
            _ => None,
        }
    });
    (tenant, name)
}

/// The tenant and the name that a variable was made of, by the rule that the module's text states.
fn taken_apart(variable: &str) -> (String, String) {
    let (tenant, name) = variable.strip_prefix("P_").unwrap().rsplit_once("__").unwrap();
    (tenant.to_ascii_lowercase().replace('_', "-"), name.to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_two_pairs_of_tenant_and_name_have_one_variable(one in pair(), other in pair()) {
        let variable_of = |(tenant, name): &(TenantId, String)| variable("P_", tenant, name);
        prop_assert_eq!(variable_of(&one) == variable_of(&other), one == other);
        prop_assert_eq!(taken_apart(&variable_of(&one)), (one.0.as_str().to_owned(), one.1));
    }
}
