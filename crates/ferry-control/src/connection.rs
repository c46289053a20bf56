//! Connections.

use crate::control::{call_failure, key_id, vault_failure};
use crate::page::{PageRequest, Query};
use crate::tenant::{display_name, parse_tenant};
use crate::{Control, etag};
use ferry_destinations::{DestinationDescriptor, descriptor, descriptors};
use ferry_domain::authz::action::{
    BindExportUser, CreateConnection, DeleteConnection, GetConnection, ListConnections, ListDestinationTypes,
    UpdateConnection, VerifyConnection,
};
use ferry_domain::authz::{Actor, permit};
use ferry_domain::consent::{self, ConsentError};
use ferry_domain::{
    Connection, ConnectionAccess, ConnectionId, ConnectionName, ConnectionState, Consent, Error, Reason, Result,
    TenantName, Violations, limits,
};
use ferry_egress::HostName;
use ferry_store::{ConnectionChange, Listed, NewConnection, SealedSecret};
use ferry_vault::Purpose;
use serde::Serialize;

/// A connection as a caller wrote it. Holds a key, so it cannot be printed.
#[derive(Serialize, Default)]
pub struct ConnectionInput {
    /// For people.
    pub display_name: String,
    /// `activecampaign`.
    pub destination_type: String,
    /// The host name.
    pub host: String,
    /// The API key.
    pub api_key: String,
    /// Names a key in an external store.
    pub secret_reference: String,
    /// Who may use it, if given.
    pub access: Option<ConnectionAccess>,
    /// The consent, if given: accepted, and to which text.
    pub consent: Option<(bool, String)>,
}

/// Stores a connection.
#[derive(Serialize)]
pub struct CreateConnectionCommand {
    /// `tenants/{tenant}`.
    pub parent: String,
    /// Its id, or empty.
    pub connection_id: String,
    /// What to store.
    pub connection: ConnectionInput,
    /// Do not ask the destination.
    pub skip_verification: bool,
    /// The caller's request id.
    pub request_id: String,
    /// Store nothing.
    pub validate_only: bool,
}

/// Changes a connection.
#[derive(Serialize)]
pub struct UpdateConnectionCommand {
    /// Which.
    pub name: String,
    /// The new values.
    pub connection: ConnectionInput,
    /// The etag that was seen.
    pub etag: String,
    /// Which values change; empty for those that are set.
    pub update_mask: Vec<String>,
    /// The caller's request id.
    pub request_id: String,
    /// Store nothing.
    pub validate_only: bool,
}

/// Removes a connection.
#[derive(Serialize)]
pub struct DeleteConnectionCommand {
    /// Which.
    pub name: String,
    /// The etag that was seen.
    pub etag: String,
    /// Although exports use it.
    pub force: bool,
    /// And take off the list those whom it put there.
    pub retract: bool,
    /// The caller's request id.
    pub request_id: String,
}

const PATHS: [&str; 5] =
    ["display_name", "access", "consent", "settings.activecampaign.host", "settings.activecampaign.api_key"];

impl Control {
    /// Stores a connection. Nothing is stored unless everything is right, consent and credentials included.
    pub async fn create_connection(&self, actor: &Actor, command: CreateConnectionCommand) -> Result<Connection> {
        let parent = parse_tenant("parent", &command.parent)?;
        let id = if command.connection_id.is_empty() {
            uuid::Uuid::new_v4().to_string()
        } else {
            command.connection_id.clone()
        };
        let id = ConnectionId::parse(&id);
        let anywhere = TenantTarget::name(&parent, id.as_ref().ok())?;
        permit::<CreateConnection>(actor, anywhere)?.spend();
        let mut violations = Violations::new();
        let id = violations.check("connection_id", id);
        let checked = self.check_new(actor, &command.connection, &mut violations);
        let (Some(connection), Some(consent)) = (id, checked) else { return Err(violations.into_error()) };
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        let name = ConnectionName { tenant: parent.tenant, connection };
        let input = command.connection;
        let host = input.host.to_ascii_lowercase();
        let mut state = ConnectionState::Unverified;
        if !command.skip_verification {
            self.try_credentials(&host, input.api_key.as_bytes()).await?;
            state = ConnectionState::Ready;
        }
        let uid = uuid::Uuid::new_v4().to_string();
        let tenant = name.tenant.as_str().to_owned();
        let access = input.access.unwrap_or(ConnectionAccess::Administrators);
        if command.validate_only {
            return Ok(not_stored(name, input, access, consent, state, actor));
        }
        // Keys first: an unused key file is harmless, a row without its key is not.
        let sealed_secret = self.seal_key(&tenant, &uid, 1, input.api_key.as_bytes())?;
        self.vault().ensure_key(&key_id(&tenant, &uid, Purpose::File)?).map_err(vault_failure)?;
        self.vault().ensure_key(&key_id(&tenant, "", Purpose::Identity)?).map_err(vault_failure)?;
        let new = NewConnection {
            uid: uid.clone(),
            display_name: input.display_name,
            destination_type: input.destination_type,
            host,
            sealed_secret,
            access,
            consent,
            run_as: actor.subject().to_owned(),
            state,
        };
        let stored = self
            .granted(|store| Ok(store.connection_create(permit::<CreateConnection>(actor, name)?, new, write)))?
            .await;
        if !stored.as_ref().is_ok_and(|connection| connection.uid == uid) {
            self.destroy_keys(&tenant, &uid, 1)?;
        }
        stored
    }

    fn check_new(&self, actor: &Actor, input: &ConnectionInput, violations: &mut Violations) -> Option<Consent> {
        display_name("connection.display_name", &input.display_name, violations);
        let Some(kind) = descriptor(&input.destination_type) else {
            let known: Vec<&str> = descriptors().iter().map(|descriptor| descriptor.id).collect();
            violations.add("connection.destination_type", format!("must be one of: {}", known.join(", ")));
            return None;
        };
        self.check_host(&input.host, violations);
        if !input.secret_reference.is_empty() {
            let text = "is not supported yet; give the key itself in api_key";
            violations.add_because(Reason::NotImplemented, "connection.settings.activecampaign.secret_reference", text);
        } else {
            check_key(&input.api_key, violations);
        }
        self.check_consent(actor, kind, input.consent.as_ref(), violations)
    }

    fn check_host(&self, host: &str, violations: &mut Violations) {
        const FIELD: &str = "connection.settings.activecampaign.host";
        match HostName::parse(host) {
            Err(error) => violations.add(FIELD, error.to_string()),
            Ok(host) => {
                if let Err(refused) = self.0.egress.destination(&host) {
                    violations.add_because(Reason::HostNotAllowed, FIELD, refused.to_string());
                }
            }
        }
    }

    fn check_consent(
        &self,
        actor: &Actor,
        kind: &DestinationDescriptor,
        consent: Option<&(bool, String)>,
        violations: &mut Violations,
    ) -> Option<Consent> {
        let (accepted, version) = consent.map_or((false, ""), |(accepted, version)| (*accepted, version.as_str()));
        match consent::check(accepted, version, kind.consent_text_version) {
            Ok(()) => Some(Consent {
                text_version: version.to_owned(),
                accept_time: self.now(),
                accepted_by: actor.subject().to_owned(),
            }),
            Err(error @ ConsentError::NotAccepted) => {
                violations.add_because(Reason::ConsentRequired, "connection.consent.accepted", error.to_string());
                None
            }
            Err(error @ ConsentError::Stale) => {
                violations.add_because(Reason::ConsentTextStale, "connection.consent.text_version", error.to_string());
                None
            }
        }
    }

    async fn try_credentials(&self, host: &str, key: &[u8]) -> Result<()> {
        let answer = self.destination_with(host, key)?.verify().await;
        answer.map(|_| ()).map_err(|error| {
            let (reason, message) = call_failure(&error, host);
            Error::precondition(reason, "DESTINATION", host, message)
        })
    }

    /// Reads a connection.
    pub async fn get_connection(&self, actor: &Actor, name: &str) -> Result<Connection> {
        let name = parse("name", name)?;
        self.granted(|store| Ok(store.connection_get(permit::<GetConnection>(actor, name)?)))?.await
    }

    /// Reads the connections that the caller may see, with the token of the next page.
    pub async fn list_connections(
        &self,
        actor: &Actor,
        parent: &str,
        page: &PageRequest,
    ) -> Result<(Listed<Connection>, String)> {
        let name = parse_tenant("parent", parent)?;
        permit::<ListConnections>(actor, name.clone())?.spend();
        let query = Query { method: "ListConnections", parent, arguments: &[actor.subject()] };
        let page = self.page(&query, page)?;
        let listed =
            self.granted(|store| Ok(store.connection_list(permit::<ListConnections>(actor, name)?, page)))?.await?;
        let token = self.next_token(&query, &listed)?;
        Ok((listed, token))
    }

    /// Changes a connection.
    pub async fn update_connection(&self, actor: &Actor, command: UpdateConnectionCommand) -> Result<Connection> {
        let name = parse("connection.name", &command.name)?;
        permit::<UpdateConnection>(actor, name.clone())?.spend();
        let mut violations = Violations::new();
        if command.etag.is_empty() {
            violations.add("connection.etag", "is required; send the one that was read");
        }
        let seen_version = etag::parse("connection.etag", &command.etag, &mut violations);
        let paths = populated(&command, &mut violations);
        let has = |path: &str| paths.contains(&path);
        let input = &command.connection;
        let (new_host, new_key) = (has(PATHS[3]), has(PATHS[4]) && !input.api_key.is_empty());
        if has(PATHS[0]) {
            display_name("connection.display_name", &input.display_name, &mut violations);
        }
        if new_host {
            self.check_host(&input.host, &mut violations);
        }
        if new_key {
            check_key(&input.api_key, &mut violations);
        }
        let found =
            self.granted(|store| Ok(store.connection_get(permit::<GetConnection>(actor, name.clone())?)))?.await?;
        let host = input.host.to_ascii_lowercase();
        let moves = new_host && host != found.host;
        if moves && !new_key {
            violations.add("connection.settings.activecampaign.api_key", "must be given anew with a new host");
        }
        let consent = match (has(PATHS[2]), descriptor(&found.destination_type)) {
            (true, Some(kind)) => self.check_consent(actor, kind, input.consent.as_ref(), &mut violations),
            _ => None,
        };
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        let secret = match new_key && !command.validate_only {
            false => None,
            true => {
                let version = found.secret_version + 1;
                let sealed = self.seal_key(name.tenant.as_str(), &found.uid, version, input.api_key.as_bytes())?;
                Some(SealedSecret { version, sealed })
            }
        };
        let change = ConnectionChange {
            seen_version: seen_version.unwrap_or_default(),
            display_name: has(PATHS[0]).then(|| input.display_name.clone()),
            access: has(PATHS[1]).then_some(input.access).flatten(),
            consent,
            host: moves.then_some(host),
            secret,
            state: new_key.then_some(ConnectionState::Unverified),
        };
        if command.validate_only {
            return if change.seen_version == found.version {
                Ok(found)
            } else {
                Err(Error::Aborted { name: name.to_string() })
            };
        }
        self.granted(|store| Ok(store.connection_update(permit::<UpdateConnection>(actor, name)?, change, write)))?
            .await
    }

    /// Makes the caller the export user.
    pub async fn bind_export_user(
        &self,
        actor: &Actor,
        name: &str,
        seen: &str,
        request_id: &str,
    ) -> Result<Connection> {
        let name = parse("name", name)?;
        permit::<BindExportUser>(actor, name.clone())?.spend();
        let mut violations = Violations::new();
        let seen = etag::parse("etag", seen, &mut violations);
        violations.into_result()?;
        let write = self.write(request_id, &(name.to_string(), seen))?;
        self.granted(|store| Ok(store.connection_bind(permit::<BindExportUser>(actor, name)?, seen, write)))?.await
    }

    /// Asks the destination whether it takes the credentials, and notes the answer. `None` says that it does.
    pub async fn verify_connection(&self, actor: &Actor, name: &str) -> Result<(Connection, Option<Reason>)> {
        let name = parse("name", name)?;
        let (connection, sealed) = self
            .granted(|store| Ok(store.connection_credentials(permit::<VerifyConnection>(actor, name.clone())?)))?
            .await?;
        let outcome = self.destination(&connection, &sealed)?.verify().await;
        let reason = outcome.err().map(|error| call_failure(&error, &connection.host).0);
        let state = match reason {
            None => ConnectionState::Ready,
            Some(Reason::CredentialsRefused | Reason::AccountLapsed) => ConnectionState::NeedsAttention,
            // A host that cannot be reached says nothing about the key.
            Some(_) => connection.state,
        };
        let write = self.write("", &())?;
        let stored = self
            .granted(|store| Ok(store.connection_verified(permit::<VerifyConnection>(actor, name)?, state, write)))?
            .await?;
        Ok((stored, reason))
    }

    /// Removes a connection that no export uses, and destroys its keys.
    pub async fn delete_connection(&self, actor: &Actor, command: DeleteConnectionCommand) -> Result<Connection> {
        let name = parse("name", &command.name)?;
        permit::<DeleteConnection>(actor, name.clone())?.spend();
        if command.force || command.retract {
            return Err(Error::Unimplemented("ConnectionService/DeleteConnection with force or retract"));
        }
        let mut violations = Violations::new();
        let seen = etag::parse("etag", &command.etag, &mut violations);
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        let removed = self
            .granted(|store| Ok(store.connection_delete(permit::<DeleteConnection>(actor, name)?, seen, write)))?
            .await?;
        self.destroy_keys(removed.name.tenant.as_str(), &removed.uid, removed.secret_version)?;
        Ok(removed)
    }

    fn destroy_keys(&self, tenant: &str, uid: &str, secret_version: u32) -> Result<()> {
        for version in 1..=secret_version {
            self.vault().destroy(&key_id(tenant, uid, Purpose::Secret { version })?).map_err(vault_failure)?;
        }
        self.vault().destroy(&key_id(tenant, uid, Purpose::File)?).map_err(vault_failure)
    }

    /// What kinds of destinations there are.
    pub fn list_destination_types(&self, actor: &Actor, parent: &str) -> Result<&'static [DestinationDescriptor]> {
        let name = parse_tenant("parent", parent)?;
        permit::<ListDestinationTypes>(actor, name)?.spend();
        Ok(descriptors())
    }
}

/// A name to ask the policy about, even where the id that the caller chose is none.
struct TenantTarget;

impl TenantTarget {
    fn name(parent: &TenantName, id: Option<&ConnectionId>) -> Result<ConnectionName> {
        let anything =
            || ConnectionId::parse("anything").map_err(|error| Error::invalid("connection_id", error.to_string()));
        let connection = id.cloned().map_or_else(anything, Ok)?;
        Ok(ConnectionName { tenant: parent.tenant.clone(), connection })
    }
}

/// What a valid request would have stored.
fn not_stored(
    name: ConnectionName,
    input: ConnectionInput,
    access: ConnectionAccess,
    consent: Consent,
    state: ConnectionState,
    actor: &Actor,
) -> Connection {
    Connection {
        name,
        uid: String::new(),
        display_name: input.display_name,
        destination_type: input.destination_type,
        host: input.host.to_ascii_lowercase(),
        secret_version: 1,
        secret_set_time: consent.accept_time,
        access,
        run_as: actor.subject().to_owned(),
        state,
        generation: 1,
        version: 0,
        create_time: consent.accept_time,
        update_time: consent.accept_time,
        consent,
    }
}

fn parse(field: &str, text: &str) -> Result<ConnectionName> {
    ConnectionName::parse(text).map_err(|error| Error::invalid(field, error.to_string()))
}

fn check_key(key: &str, violations: &mut Violations) {
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.is_empty() || key.len() > limits::API_KEY_BYTES || !visible {
        let text = format!("must have 1 to {} visible ASCII characters", limits::API_KEY_BYTES);
        violations.add("connection.settings.activecampaign.api_key", text);
    }
}

/// Which values an update changes.
fn populated(command: &UpdateConnectionCommand, violations: &mut Violations) -> Vec<&'static str> {
    let input = &command.connection;
    if command.update_mask.is_empty() {
        let set = [
            !input.display_name.is_empty(),
            input.access.is_some(),
            input.consent.is_some(),
            !input.host.is_empty(),
            !input.api_key.is_empty(),
        ];
        return PATHS.into_iter().zip(set).filter(|(_, set)| *set).map(|(path, _)| path).collect();
    }
    mask(&command.update_mask, &PATHS, violations)
}

/// Fields that only the service sets: naming them in a mask changes nothing.
const OUTPUT_ONLY: [&str; 11] = [
    "name",
    "uid",
    "etag",
    "create_time",
    "update_time",
    "run_as",
    "state",
    "permissions",
    "updated_by",
    "latest_run",
    "latest_run_summary",
];

/// Reads a mask over `paths`. `*` is all of them; one that is unknown is refused.
pub(crate) fn mask<'a>(asked: &[String], paths: &[&'a str], violations: &mut Violations) -> Vec<&'a str> {
    let mut chosen = Vec::new();
    for path in asked {
        let below = |known: &&&str| **known == path || known.starts_with(&format!("{path}."));
        let matching: Vec<&str> =
            if path == "*" { paths.to_vec() } else { paths.iter().filter(below).copied().collect() };
        if matching.is_empty() && !OUTPUT_ONLY.contains(&path.as_str()) {
            violations.add(
                "update_mask",
                format!("`{path}` is no field that can be changed; there are {}", paths.join(", ")),
            );
        }
        chosen.extend(matching);
    }
    chosen
}
