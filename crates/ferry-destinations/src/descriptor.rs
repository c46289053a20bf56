//! A destination as data.

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// Text.
    Text,
    /// A host name without a scheme.
    HostName,
    /// A positive number.
    Number,
    /// Yes or no.
    Boolean,
}

/// A setting of a connection or an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the API.
    pub name: &'static str,
    /// What it holds.
    pub kind: SettingKind,
    /// Never read back.
    pub secret: bool,
    /// Must be given.
    pub required: bool,
    /// Cannot be changed later.
    pub immutable: bool,
}

/// A field of the destination that a column can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappableField {
    /// Its name in a mapping.
    pub name: &'static str,
    /// Must be mapped.
    pub required: bool,
}

/// Over what a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitScope {
    /// All keys and integrations of one account together.
    Account,
}

/// So many requests in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// What is counted.
    pub what: &'static str,
    /// How many.
    pub requests: u32,
    /// In how many seconds.
    pub seconds: u32,
    /// Over what.
    pub scope: LimitScope,
}

/// What the destination can do for Ferry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Add and change people.
    pub upsert: bool,
    /// Take people off a list.
    pub remove_from_list: bool,
    /// Delete people.
    pub delete: bool,
    /// Say what became of each person.
    pub read_back: bool,
    /// Sending the same twice changes nothing.
    pub repeat_is_harmless: bool,
}

/// A kind of marketing tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestinationDescriptor {
    /// The word in `destination_type`.
    pub id: &'static str,
    /// For people.
    pub display_name: &'static str,
    /// What a connection needs.
    pub connection_settings: &'static [Setting],
    /// What an export needs.
    pub export_settings: &'static [Setting],
    /// What can be mapped, besides custom fields by number.
    pub fields: &'static [MappableField],
    /// People in a request.
    pub rows_per_request: u32,
    /// Bytes of a request's body.
    pub bytes_per_request: u32,
    /// People in a run.
    pub profiles_per_run: u64,
    /// How fast it may be asked.
    pub rate_limits: &'static [RateLimit],
    /// What it can do.
    pub abilities: Abilities,
    /// What an administrator agrees to.
    pub consent_text: &'static str,
    /// Which text that is.
    pub consent_text_version: &'static str,
}

const fn setting(name: &'static str, kind: SettingKind) -> Setting {
    Setting { name, kind, secret: false, required: true, immutable: false }
}

const ACTIVECAMPAIGN: DestinationDescriptor = DestinationDescriptor {
    id: "activecampaign",
    display_name: "ActiveCampaign",
    connection_settings: &[
        setting("host", SettingKind::HostName),
        Setting { secret: true, ..setting("api_key", SettingKind::Text) },
    ],
    export_settings: &[
        setting("list_id", SettingKind::Number),
        Setting { required: false, ..setting("exclude_automations", SettingKind::Boolean) },
    ],
    fields: &[
        MappableField { name: "email", required: true },
        MappableField { name: "first_name", required: false },
        MappableField { name: "last_name", required: false },
        MappableField { name: "phone", required: false },
    ],
    rows_per_request: crate::activecampaign::ROWS_PER_REQUEST as u32,
    bytes_per_request: crate::activecampaign::BYTES_PER_REQUEST as u32,
    profiles_per_run: 1_000_000,
    rate_limits: &[
        RateLimit { what: "imports of several contacts", requests: 100, seconds: 60, scope: LimitScope::Account },
        RateLimit { what: "imports of one contact", requests: 20, seconds: 60, scope: LimitScope::Account },
        RateLimit { what: "requests", requests: 5, seconds: 1, scope: LimitScope::Account },
    ],
    abilities: Abilities {
        upsert: true,
        remove_from_list: true,
        delete: false,
        read_back: true,
        repeat_is_harmless: true,
    },
    consent_text: "When you enable this connection, you allow data to be transferred to ActiveCampaign, outside of the \
        compliance boundary of this service, including potentially sensitive data such as personal data. Ferry \
        transfers this data on your instruction. You are responsible for making sure that ActiveCampaign meets any \
        privacy or security obligations that you have. An administrator can remove this destination at any time.",
    consent_text_version: "2026-11-01",
};

/// Every kind of destination.
#[must_use]
pub fn descriptors() -> &'static [DestinationDescriptor] {
    &[ACTIVECAMPAIGN]
}

/// The kind with this id.
#[must_use]
pub fn descriptor(id: &str) -> Option<&'static DestinationDescriptor> {
    descriptors().iter().find(|descriptor| descriptor.id == id)
}
