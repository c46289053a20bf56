//! The filter of a list of exports: `connection = "…" AND segment = "…" AND NOT segment = "…" AND search = "…"`, each at
//! most once, with full names; and its order: a column, perhaps with ` desc` behind it.

use ferry_domain::{ConnectionName, Error, Result, SegmentId, SegmentName, TenantId, limits};
use ferry_store::{ExportColumn, ExportFilter, ExportOrder};

const COLUMNS: [(&str, ExportColumn); 9] = [
    ("create_time", ExportColumn::CreateTime),
    ("display_name", ExportColumn::DisplayName),
    ("settings", ExportColumn::Type),
    ("latest_run_summary.state", ExportColumn::State),
    ("latest_run_summary.end_time", ExportColumn::Refreshed),
    ("schedule", ExportColumn::Schedule),
    ("connection", ExportColumn::Connection),
    ("update_time", ExportColumn::UpdateTime),
    ("updated_by", ExportColumn::UpdatedBy),
];

/// Reads an order. An empty one is that in which they were made.
pub(crate) fn order(text: &str) -> Result<ExportOrder> {
    let (column, descending) = match text.split_once(' ') {
        None => (text, false),
        Some((column, "desc")) => (column, true),
        Some((column, "asc")) => (column, false),
        Some(_) => ("?", false),
    };
    if column.is_empty() && !descending {
        return Ok(ExportOrder::default());
    }
    let found = COLUMNS.iter().find(|(name, _)| *name == column).map(|(_, by)| *by);
    let columns = COLUMNS.map(|(name, _)| name).join(", ");
    let wrong = || Error::invalid("order_by", format!("must be one of {columns}, perhaps followed by ` desc`"));
    Ok(ExportOrder { by: found.ok_or_else(wrong)?, descending })
}

/// Reads a filter. An empty one shows everything.
pub(crate) fn parse(text: &str, tenant: &TenantId) -> Result<ExportFilter> {
    let mut filter = ExportFilter::default();
    if text.trim().is_empty() {
        return Ok(filter);
    }
    for term in text.split(" AND ") {
        let (is_not, term) = term.trim_start().strip_prefix("NOT ").map_or((false, term), |rest| (true, rest));
        let (field, value) = term.split_once('=').ok_or_else(|| wrong("a term has the form field = \"value\""))?;
        let value = value.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = value.ok_or_else(|| wrong("a value stands in double quotes"))?;
        match (field.trim(), is_not) {
            ("connection", false) if filter.connection.is_none() => {
                let name = ConnectionName::parse(value).map_err(|error| wrong(&format!("`connection` {error}")))?;
                same_tenant(&name.tenant, tenant)?;
                filter.connection = Some(name.connection);
            }
            ("segment", false) if filter.segment.is_none() => filter.segment = Some(segment(value, tenant)?),
            ("segment", true) if filter.without_segment.is_none() => {
                filter.without_segment = Some(segment(value, tenant)?);
            }
            ("search", false) if filter.search.is_none() => {
                if !(1..=limits::DISPLAY_NAME_CHARS).contains(&value.chars().count()) || value.contains('"') {
                    return Err(wrong("`search` takes 1 to 200 characters without a double quote"));
                }
                filter.search = Some(value.to_owned());
            }
            _ => return Err(wrong("there are `connection`, `segment`, `NOT segment` and `search`, each once")),
        }
    }
    Ok(filter)
}

fn segment(value: &str, tenant: &TenantId) -> Result<SegmentId> {
    let name = SegmentName::parse(value).map_err(|error| wrong(&format!("`segment` {error}")))?;
    same_tenant(&name.tenant, tenant)?;
    Ok(name.segment)
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
        let text = r#"NOT segment = "tenants/acme/segments/s" AND search = "News letter""#;
        let filter = parse(text, &tenant).unwrap();
        assert_eq!((filter.without_segment.unwrap().as_str(), filter.search.unwrap().as_str()), ("s", "News letter"));
        for bad in [
            "x",
            "state = \"A\"",
            "segment = s",
            r#"segment = "tenants/other/segments/s""#,
            "segment = \"\" AND",
            "search = \"\"",
            "NOT search = \"x\"",
            "search = \"a\" AND search = \"b\"",
        ] {
            assert!(parse(bad, &tenant).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_is_a_column_and_a_direction() {
        assert_eq!(order("").unwrap(), ExportOrder::default());
        assert_eq!(order("create_time").unwrap(), ExportOrder::default());
        let found = order("latest_run_summary.end_time desc").unwrap();
        assert_eq!(found, ExportOrder { by: ExportColumn::Refreshed, descending: true });
        for bad in
            [" desc", "name", "create_time DESC", "create_time, display_name", "create_time  desc", "Create_time"]
        {
            assert!(order(bad).is_err(), "{bad}");
        }
    }
}
