//! The paths of the API.

use http::Method;

use crate::faults::Endpoint;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    UsersMe,
    SettingsAccount,
    Lists,
    List(u32),
    CreateList,
    DeleteList(u32),
    Fields,
    Field(u32),
    Import,
    ImportTotals,
    ImportInfo,
    Contacts,
    Contact(u32),
    CreateContact,
    SyncContact,
    DeleteContact(u32),
    SetMembership,
    Unknown,
}

impl Route {
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let Some(rest) = path.strip_prefix("/api/3/") else { return Self::Unknown };
        let segments: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
        let id = segments.get(1).and_then(|id| id.parse().ok());
        let (get, post, delete) = (method == Method::GET, method == Method::POST, method == Method::DELETE);
        match (segments.as_slice(), id) {
            (["users", "me"], _) if get => Self::UsersMe,
            (["settings", "account"], _) if get => Self::SettingsAccount,
            (["lists"], _) if get => Self::Lists,
            (["lists"], _) if post => Self::CreateList,
            (["lists", _], Some(id)) if get => Self::List(id),
            (["lists", _], Some(id)) if delete => Self::DeleteList(id),
            (["fields"], _) if get => Self::Fields,
            (["fields", _], Some(id)) if get => Self::Field(id),
            (["import", "bulk_import"], _) if post => Self::Import,
            (["import", "bulk_import"], _) if get => Self::ImportTotals,
            (["import", "info"], _) if get => Self::ImportInfo,
            (["contacts"], _) if get => Self::Contacts,
            (["contacts"], _) if post => Self::CreateContact,
            (["contacts", _], Some(id)) if get => Self::Contact(id),
            (["contacts", _], Some(id)) if delete => Self::DeleteContact(id),
            (["contact", "sync"], _) if post => Self::SyncContact,
            (["contactLists"], _) if post => Self::SetMembership,
            _ => Self::Unknown,
        }
    }

    /// The class that faults are aimed at.
    pub(crate) fn endpoint(self) -> Endpoint {
        match self {
            Self::Import => Endpoint::Import,
            Self::ImportTotals | Self::ImportInfo => Endpoint::Status,
            Self::UsersMe
            | Self::SettingsAccount
            | Self::Lists
            | Self::List(_)
            | Self::CreateList
            | Self::DeleteList(_)
            | Self::Fields
            | Self::Field(_)
            | Self::Contacts
            | Self::Contact(_)
            | Self::CreateContact
            | Self::SyncContact
            | Self::DeleteContact(_)
            | Self::SetMembership
            | Self::Unknown => Endpoint::Other,
        }
    }

    /// The name in the journal, without ids.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UsersMe => "GET users/me",
            Self::SettingsAccount => "GET settings/account",
            Self::Lists => "GET lists",
            Self::List(_) => "GET lists/{id}",
            Self::CreateList => "POST lists",
            Self::DeleteList(_) => "DELETE lists/{id}",
            Self::Fields => "GET fields",
            Self::Field(_) => "GET fields/{id}",
            Self::Import => "POST import/bulk_import",
            Self::ImportTotals => "GET import/bulk_import",
            Self::ImportInfo => "GET import/info",
            Self::Contacts => "GET contacts",
            Self::Contact(_) => "GET contacts/{id}",
            Self::CreateContact => "POST contacts",
            Self::SyncContact => "POST contact/sync",
            Self::DeleteContact(_) => "DELETE contacts/{id}",
            Self::SetMembership => "POST contactLists",
            Self::Unknown => "unknown",
        }
    }
}
