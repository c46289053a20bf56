//! From the driver's errors to the domain's: what the driver says stays inside.

use ferry_domain::Error;
use ferry_domain::error::Inside;
use sea_orm::DbErr;

/// A failure of the database. Its text is for the log alone.
pub(crate) fn database(error: DbErr) -> Error {
    let inside = Inside(format!("database: {error}"));
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Error::Unavailable(inside),
        _ => Error::Internal(inside),
    }
}

/// A row that does not read back: the database was changed by something else, or by a newer version.
pub(crate) fn corrupt(table: &str, what: impl std::fmt::Display) -> Error {
    Error::internal("a row cannot be read", format!("{table}: {what}"))
}

/// Reads a JSON column.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(table: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| corrupt(table, error))
}

/// Writes a JSON column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::internal("a column cannot be written", error))
}
