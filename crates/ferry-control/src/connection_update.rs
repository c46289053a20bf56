//! Changes of a connection.

use crate::connection::{ConnectionInput, UpdateConnectionCommand, mask, parse};
use crate::control::key_id;
use crate::secret::GivenSecret;
use crate::tenant::display_name;
use crate::{Control, etag};
use ferry_destinations::descriptor;
use ferry_domain::authz::action::{GetConnection, UpdateConnection};
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{Connection, ConnectionState, Error, Result, Violations};
use ferry_store::{ConnectionChange, NewSecret};
use ferry_vault::Purpose;

const DISPLAY_NAME: &str = "display_name";
const ACCESS: &str = "access";
const CONSENT: &str = "consent";
const HOST: &str = "settings.activecampaign.host";
const API_KEY: &str = "settings.activecampaign.api_key";
const REFERENCE: &str = "settings.activecampaign.secret_reference";
const PATHS: [&str; 6] = [DISPLAY_NAME, ACCESS, CONSENT, HOST, API_KEY, REFERENCE];

impl Control {
    /// Changes a connection.
    pub async fn update_connection(&self, actor: &Actor, command: UpdateConnectionCommand) -> Result<Connection> {
        let name = parse("connection.name", &command.name)?;
        permit::<UpdateConnection>(actor, name.clone())?.spend();
        let mut violations = Violations::new();
        if command.etag.is_empty() {
            violations.add("connection.etag", "is required; send the one that was read");
        }
        let seen_version = etag::parse("connection.etag", &command.etag, &mut violations).unwrap_or_default();
        let paths = populated(&command, &mut violations);
        let found =
            self.granted(|store| Ok(store.connection_get(permit::<GetConnection>(actor, name.clone())?)))?.await?;
        let (change, secret) = self.checked(actor, &command.connection, &paths, &found, &mut violations);
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        if command.validate_only {
            return if seen_version == found.version {
                Ok(found)
            } else {
                Err(Error::Aborted { name: name.to_string() })
            };
        }
        let version = found.secret_version + 1;
        let secret = match secret {
            None => None,
            Some(given) => {
                let secret = self.store_secret(name.tenant.as_str(), &found.uid, version, given).await?;
                Some(NewSecret { version, secret })
            }
        };
        let replaces = secret.is_some();
        let (tenant, uid) = (name.tenant.as_str().to_owned(), found.uid.clone());
        let change = ConnectionChange { seen_version, secret, ..change };
        let updating =
            self.granted(|store| Ok(store.connection_update(permit::<UpdateConnection>(actor, name)?, change, write)))?;
        let control = self.clone();
        self.to_its_end(async move {
            let updated = updating.await;
            if replaces && matches!(updated, Err(Error::NotFound { .. })) {
                // Removed meanwhile: it must not get a key back.
                control.keys(move |vault| vault.destroy_connection(&tenant, &uid)).await?;
            }
            let updated = updated?;
            if replaces && updated.secret_version == version {
                control.destroy_old_secrets(&updated).await?;
            }
            Ok(updated)
        })
        .await
    }

    /// All versions before the one in force: a crash may have left more than one. A run that goes on holds its key in
    /// memory and needs no more of it.
    async fn destroy_old_secrets(&self, connection: &Connection) -> Result<()> {
        let tenant = connection.name.tenant.as_str();
        let old = |version| key_id(tenant, &connection.uid, Purpose::Secret { version });
        let old = (1..connection.secret_version).map(old).collect::<Result<Vec<_>>>()?;
        self.keys(move |vault| old.iter().try_for_each(|id| vault.destroy(id))).await
    }

    /// What changes, and the new secret if there is one.
    fn checked(
        &self,
        actor: &Actor,
        input: &ConnectionInput,
        paths: &[&str],
        found: &Connection,
        violations: &mut Violations,
    ) -> (ConnectionChange, Option<GivenSecret>) {
        let has = |path: &str| paths.contains(&path);
        if has(DISPLAY_NAME) {
            display_name("connection.display_name", &input.display_name, violations);
        }
        if has(HOST) {
            self.check_host(&input.host, violations);
        }
        let secret = self.new_secret(input, paths, found, violations);
        let host = input.host.to_ascii_lowercase();
        let moves = has(HOST) && host != found.host;
        if moves && secret.is_none() {
            // Else whoever may change the host could have the stored key sent to a host of their own.
            let field = if found.secret_reference.is_some() { REFERENCE } else { API_KEY };
            violations.add(format!("connection.{field}"), "must be given anew with a new host");
        }
        let consent = match (has(CONSENT), descriptor(&found.destination_type)) {
            (true, Some(kind)) => self.check_consent(actor, kind, input.consent.as_ref(), violations),
            _ => None,
        };
        let change = ConnectionChange {
            display_name: has(DISPLAY_NAME).then(|| input.display_name.clone()),
            access: has(ACCESS).then_some(input.access).flatten(),
            consent,
            host: moves.then_some(host),
            state: secret.is_some().then_some(ConnectionState::Unverified),
            ..ConnectionChange::default()
        };
        (change, secret)
    }

    /// The secret that replaces the old one. An empty one keeps it, and a connection that names its secret never goes
    /// back to a typed one.
    fn new_secret(
        &self,
        input: &ConnectionInput,
        paths: &[&str],
        found: &Connection,
        violations: &mut Violations,
    ) -> Option<GivenSecret> {
        let typed = paths.contains(&API_KEY) && !input.api_key.is_empty();
        let named = paths.contains(&REFERENCE) && !input.secret_reference.is_empty();
        if typed && found.secret_reference.is_some() {
            let text = "cannot be set: this connection names its secret in an external store; make a new connection";
            violations.add(format!("connection.{API_KEY}"), text);
            return None;
        }
        if !typed && !named {
            return None;
        }
        let given = ConnectionInput {
            api_key: if typed { input.api_key.clone() } else { String::new() },
            secret_reference: if named { input.secret_reference.clone() } else { String::new() },
            ..ConnectionInput::default()
        };
        self.given_secret(&found.name.tenant, &given, violations)
    }
}

/// Which values an update changes.
fn populated(command: &UpdateConnectionCommand, violations: &mut Violations) -> Vec<&'static str> {
    let input = &command.connection;
    if !command.update_mask.is_empty() {
        return mask(&command.update_mask, &PATHS, violations);
    }
    let set = [
        !input.display_name.is_empty(),
        input.access.is_some(),
        input.consent.is_some(),
        !input.host.is_empty(),
        !input.api_key.is_empty(),
        !input.secret_reference.is_empty(),
    ];
    PATHS.into_iter().zip(set).filter(|(_, set)| *set).map(|(path, _)| path).collect()
}
