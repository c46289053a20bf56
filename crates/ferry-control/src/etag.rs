//! Etags: the quoted version of a row.

use ferry_domain::Violations;

/// The etag of a version.
#[must_use]
pub fn of(version: i64) -> String {
    format!("\"{version}\"")
}

/// The version that a caller has seen; nothing if it sent no etag.
pub(crate) fn parse(field: &str, etag: &str, violations: &mut Violations) -> Option<i64> {
    if etag.is_empty() {
        return None;
    }
    let version = etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|number| number.parse().ok());
    if version.is_none() {
        violations.add(field, "is not an etag of this service; send the one that was read, quotes included");
    }
    version
}
