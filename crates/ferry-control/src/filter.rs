//! The filter of a list of exports: `connection = "…" AND segment = "…"`, each at most once, with full names.

use ferry_domain::{ConnectionName, Error, Result, SegmentName, TenantId};
use ferry_store::ExportFilter;

/// Reads a filter. An empty one shows everything.
pub(crate) fn parse(text: &str, tenant: &TenantId) -> Result<ExportFilter> {
    let mut filter = ExportFilter::default();
    if text.trim().is_empty() {
        return Ok(filter);
    }
    for term in text.split(" AND ") {
        let (field, value) = term.split_once('=').ok_or_else(|| wrong("a term has the form field = \"value\""))?;
        let value = value.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = value.ok_or_else(|| wrong("a value stands in double quotes"))?;
        match field.trim() {
            "connection" if filter.connection.is_none() => {
                let name = ConnectionName::parse(value).map_err(|error| wrong(&format!("`connection` {error}")))?;
                same_tenant(&name.tenant, tenant)?;
                filter.connection = Some(name.connection);
            }
            "segment" if filter.segment.is_none() => {
                let name = SegmentName::parse(value).map_err(|error| wrong(&format!("`segment` {error}")))?;
                same_tenant(&name.tenant, tenant)?;
                filter.segment = Some(name.segment);
            }
            _ => return Err(wrong("only `connection` and `segment` can be asked for, each once")),
        }
    }
    Ok(filter)
}

fn same_tenant(named: &TenantId, parent: &TenantId) -> Result<()> {
    if named == parent { Ok(()) } else { Err(wrong("names another tenant than `parent`")) }
}

fn wrong(description: &str) -> Error {
    Error::invalid("filter", description)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn terms_are_joined_by_and() {
        let tenant = TenantId::parse("acme").unwrap();
        let text = r#"connection = "tenants/acme/connections/news" AND segment="tenants/acme/segments/s""#;
        let filter = parse(text, &tenant).unwrap();
        assert_eq!(filter.connection.unwrap().as_str(), "news");
        assert_eq!(filter.segment.unwrap().as_str(), "s");
        for bad in
            ["x", "state = \"A\"", "segment = s", r#"segment = "tenants/other/segments/s""#, "segment = \"\" AND"]
        {
            assert!(parse(bad, &tenant).is_err(), "{bad}");
        }
    }
}
