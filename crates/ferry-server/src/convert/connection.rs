//! Connections and destination types.

use super::{count, duration, time};
use ferry_control::connection::ConnectionInput;
use ferry_control::etag;
use ferry_destinations::{DestinationDescriptor, Setting, SettingKind};
use ferry_domain::authz::Role;
use ferry_domain::{Connection, ConnectionAccess, ConnectionState, Reason, RemovalReceipt};
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection_settings::Settings;
use std::time::Duration;

/// A connection as this caller may see it: a contributor sees its name, display name and type.
pub(crate) fn connection(connection: Connection, role: Option<Role>) -> pb::Connection {
    let mut shown = pb::Connection {
        name: connection.name.to_string(),
        display_name: connection.display_name,
        destination_type: connection.destination_type,
        ..pb::Connection::default()
    };
    if role != Some(Role::Administrator) {
        return shown;
    }
    shown.uid = connection.uid;
    shown.settings = Some(pb::ConnectionSettings {
        settings: Some(Settings::Activecampaign(pb::ActiveCampaignConnection {
            host: connection.host,
            api_key: String::new(),
            secret_reference: connection.secret_reference.unwrap_or_default(),
            api_key_set_time: Some(time(connection.secret_set_time)),
        })),
    });
    shown.access = match connection.access {
        ConnectionAccess::Administrators => pb::connection::Access::Administrators,
        ConnectionAccess::AdministratorsAndContributors => pb::connection::Access::AdministratorsAndContributors,
    }
    .into();
    shown.consent = Some(pb::Consent {
        accepted: true,
        text_version: connection.consent.text_version,
        accept_time: Some(time(connection.consent.accept_time)),
        accepted_by: connection.consent.accepted_by,
    });
    shown.run_as = connection.run_as;
    shown.state = match connection.state {
        ConnectionState::Unverified => pb::connection::State::Unverified,
        ConnectionState::Ready => pb::connection::State::Ready,
        ConnectionState::NeedsAttention => pb::connection::State::NeedsAttention,
    }
    .into();
    shown.state_reason = connection.attention.map_or_else(String::new, Reason::as_str);
    shown.etag = etag::of(connection.version);
    shown.create_time = Some(time(connection.create_time));
    shown.update_time = Some(time(connection.update_time));
    shown
}

/// What a removal did, and what is still to come.
pub(crate) fn removal_receipt(receipt: RemovalReceipt) -> pb::RemovalReceipt {
    pb::RemovalReceipt {
        covered_from: count(receipt.covered_from()),
        connection: receipt.connection,
        detached_exports: receipt.detached_exports,
        stopped_runs: receipt.stopped_runs,
        requests_in_flight: count(receipt.requests_in_flight),
        audit_entries: receipt.audit_entries.into_iter().map(count).collect(),
        remove_time: receipt.remove_time.map(time),
        retraction_runs: receipt.retraction_runs,
        keys_destroyed: count(receipt.keys_destroyed),
    }
}

/// A connection as the caller wrote it.
pub(crate) fn connection_input(written: Option<pb::Connection>) -> ConnectionInput {
    let written = written.unwrap_or_default();
    let access = match written.access() {
        pb::connection::Access::Unspecified => None,
        pb::connection::Access::Administrators => Some(ConnectionAccess::Administrators),
        pb::connection::Access::AdministratorsAndContributors => Some(ConnectionAccess::AdministratorsAndContributors),
    };
    let settings = match written.settings.and_then(|settings| settings.settings) {
        Some(Settings::Activecampaign(settings)) => settings,
        None => pb::ActiveCampaignConnection::default(),
    };
    ConnectionInput {
        display_name: written.display_name,
        destination_type: written.destination_type,
        host: settings.host,
        api_key: settings.api_key,
        secret_reference: settings.secret_reference,
        access,
        consent: written.consent.map(|consent| (consent.accepted, consent.text_version)),
    }
}

/// A kind of destination.
pub(crate) fn destination_type(kind: &DestinationDescriptor) -> pb::DestinationType {
    use pb::destination_type as types;
    pb::DestinationType {
        id: kind.id.to_owned(),
        display_name: kind.display_name.to_owned(),
        connection_settings: kind.connection_settings.iter().map(setting).collect(),
        export_settings: kind.export_settings.iter().map(setting).collect(),
        fields: kind
            .fields
            .iter()
            .map(|field| types::MappableField { name: field.name.to_owned(), required: field.required })
            .collect(),
        rate_limits: kind
            .rate_limits
            .iter()
            .map(|limit| types::RateLimit {
                what: limit.what.to_owned(),
                requests: limit.requests.cast_signed(),
                window: Some(duration(Duration::from_secs(u64::from(limit.seconds)))),
            })
            .collect(),
        rows_per_request: kind.rows_per_request.cast_signed(),
        bytes_per_request: kind.bytes_per_request.cast_signed(),
        profiles_per_run: count(kind.profiles_per_run),
        abilities: Some(types::Abilities {
            upsert: kind.abilities.upsert,
            remove_from_list: kind.abilities.remove_from_list,
            delete: kind.abilities.delete,
            read_back: kind.abilities.read_back,
            repeat_is_harmless: kind.abilities.repeat_is_harmless,
        }),
        consent_text: kind.consent_text.to_owned(),
        consent_text_version: kind.consent_text_version.to_owned(),
    }
}

fn setting(setting: &Setting) -> pb::destination_type::Setting {
    let kind = match setting.kind {
        SettingKind::Text => "TEXT",
        SettingKind::HostName => "HOST_NAME",
        SettingKind::Number => "NUMBER",
        SettingKind::Boolean => "BOOLEAN",
    };
    pb::destination_type::Setting {
        name: setting.name.to_owned(),
        kind: kind.to_owned(),
        secret: setting.secret,
        required: setting.required,
        immutable: setting.immutable,
    }
}
