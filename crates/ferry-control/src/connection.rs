//! Connections.

use crate::control::{call_failure, key_id};
use crate::page::{PageRequest, Query};
use crate::secret::GivenSecret;
use crate::tenant::{display_name, parse_tenant};
use crate::{Control, etag};
use ferry_destinations::{DestinationDescriptor, descriptor, descriptors};
use ferry_domain::authz::action::{
    BindExportUser, CreateConnection, GetConnection, ListConnections, ListDestinationTypes, VerifyConnection,
};
use ferry_domain::authz::{Actor, may_ask, permit};
use ferry_domain::consent::{self, ConsentError};
use ferry_domain::{
    Connection, ConnectionAccess, ConnectionId, ConnectionName, ConnectionState, Consent, Error, Reason, Result,
    TenantId, Violations,
};
use ferry_egress::HostName;
use ferry_store::{Listed, NewConnection, Verdict};
use ferry_vault::{Purpose, Vault};
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

impl Control {
    /// Stores a connection. Nothing is stored unless everything is right, consent and credentials included.
    pub async fn create_connection(&self, actor: &Actor, command: CreateConnectionCommand) -> Result<Connection> {
        let parent = parse_tenant("parent", &command.parent)?;
        let id = if command.connection_id.is_empty() {
            uuid::Uuid::new_v4().to_string()
        } else {
            command.connection_id.clone()
        };
        may_ask::<CreateConnection>(actor, &parent.tenant, &parent)?;
        let id = ConnectionId::parse(&id);
        let mut violations = Violations::new();
        let id = violations.check("connection_id", id);
        let checked = self.check_new(actor, &parent.tenant, &command.connection, &mut violations);
        let (Some(connection), Some((secret, consent))) = (id, checked) else {
            return Err(violations.into_error());
        };
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        let name = ConnectionName { tenant: parent.tenant, connection };
        let input = command.connection;
        let host = input.host.to_ascii_lowercase();
        let mut state = ConnectionState::Unverified;
        if !command.skip_verification {
            self.try_credentials(&name.tenant, &host, &secret).await?;
            state = ConnectionState::Ready;
        }
        let uid = uuid::Uuid::new_v4().to_string();
        let tenant = name.tenant.as_str().to_owned();
        let access = input.access.unwrap_or(ConnectionAccess::Administrators);
        if command.validate_only {
            return Ok(not_stored(name, input, access, consent, state, actor));
        }
        // Keys first: an unused key file is harmless, a row without its key is not.
        let secret = self.store_secret(&tenant, &uid, 1, secret).await?;
        let (file, identity) = (key_id(&tenant, &uid, Purpose::File)?, key_id(&tenant, "", Purpose::Identity)?);
        self.keys(move |vault| vault.ensure_key(&file).and_then(|()| vault.ensure_key(&identity))).await?;
        let new = NewConnection {
            uid: uid.clone(),
            display_name: input.display_name,
            destination_type: input.destination_type,
            host,
            secret,
            access,
            consent,
            run_as: actor.subject().to_owned(),
            state,
        };
        let stored = self
            .granted(|store| Ok(store.connection_create(permit::<CreateConnection>(actor, name)?, new, write)))?
            .await;
        if !stored.as_ref().is_ok_and(|connection| connection.uid == uid) {
            let gone = matches!(&stored, Err(Error::NotFound { kind: "tenant", .. }));
            // A tenant that was removed meanwhile must not get a key back.
            let unused = move |vault: &Vault| {
                if gone { vault.destroy_tenant(&tenant) } else { vault.destroy_connection(&tenant, &uid).map(|_| ()) }
            };
            self.keys(unused).await?;
        }
        stored
    }

    fn check_new(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        input: &ConnectionInput,
        violations: &mut Violations,
    ) -> Option<(GivenSecret, Consent)> {
        display_name("connection.display_name", &input.display_name, violations);
        let Some(kind) = descriptor(&input.destination_type) else {
            let known: Vec<&str> = descriptors().iter().map(|descriptor| descriptor.id).collect();
            violations.add("connection.destination_type", format!("must be one of: {}", known.join(", ")));
            return None;
        };
        self.check_host(&input.host, violations);
        let secret = self.given_secret(tenant, input, violations);
        let consent = self.check_consent(actor, kind, input.consent.as_ref(), violations);
        secret.zip(consent)
    }

    pub(crate) fn check_host(&self, host: &str, violations: &mut Violations) {
        const FIELD: &str = "connection.settings.activecampaign.host";
        match HostName::parse(host) {
            Err(error) => violations.add(FIELD, error.to_string()),
            Ok(host) => {
                if let Err(refused) = self.parts.egress.destination(&host) {
                    violations.add_because(Reason::HostNotAllowed, FIELD, refused.to_string());
                }
            }
        }
    }

    pub(crate) fn check_consent(
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

    async fn try_credentials(&self, tenant: &TenantId, host: &str, secret: &GivenSecret) -> Result<()> {
        let _probe = self.probes.begin(tenant)?;
        let key = self.given_value(tenant, secret).await?;
        let answer = self.destination_with(host, key).await?.verify().await?;
        answer.map(|_| ()).map_err(|error| {
            let (reason, message) = call_failure(&error, &format!("`{host}`"));
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
        let (connection, secret) = self
            .granted(|store| Ok(store.connection_credentials(permit::<VerifyConnection>(actor, name.clone())?)))?
            .await?;
        let _probe = self.probes.begin(&name.tenant)?;
        let reason = match self.destination(actor, &connection, &secret).await {
            Ok(destination) => destination.verify().await?.err().map(|error| call_failure(&error, &connection.host).0),
            Err(Error::FailedPrecondition { reason, .. }) => Some(reason),
            Err(error) => return Err(error),
        };
        let about = match reason {
            None => Verdict::Taken,
            Some(reason @ (Reason::CredentialsRefused | Reason::AccountLapsed | Reason::SecretUnavailable)) => {
                Verdict::Refused(reason)
            }
            // A host that cannot be reached says nothing about the key.
            Some(_) => Verdict::Nothing,
        };
        let verdict = (about, connection.secret_version);
        let write = self.write("", &())?;
        let stored = self
            .granted(|store| Ok(store.connection_verified(permit::<VerifyConnection>(actor, name)?, verdict, write)))?
            .await?;
        Ok((stored, reason))
    }

    /// What kinds of destinations there are.
    pub fn list_destination_types(&self, actor: &Actor, parent: &str) -> Result<&'static [DestinationDescriptor]> {
        let name = parse_tenant("parent", parent)?;
        permit::<ListDestinationTypes>(actor, name)?.spend();
        Ok(descriptors())
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
        secret_reference: (!input.secret_reference.is_empty()).then_some(input.secret_reference),
        secret_version: 1,
        secret_set_time: consent.accept_time,
        access,
        run_as: actor.subject().to_owned(),
        state,
        attention: None,
        generation: 1,
        version: 0,
        create_time: consent.accept_time,
        update_time: consent.accept_time,
        consent,
    }
}

pub(crate) fn parse(field: &str, text: &str) -> Result<ConnectionName> {
    ConnectionName::parse(text).map_err(|error| Error::invalid(field, error.to_string()))
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
