//! The filter of a list of entries: `kind = "…" AND create_time >= "…"`.

use ferry_domain::{Error, Result, Timestamp};
use ferry_store::AuditFilter;

const FIELDS: &str = "only `kind`, `actor` and `object` with `=`, and `create_time` with `>=` and `<`, can be asked for, \
                      each once";

/// Reads a filter. An empty one lets everything through.
pub(super) fn parse(text: &str) -> Result<AuditFilter> {
    let mut filter = AuditFilter::default();
    if text.trim().is_empty() {
        return Ok(filter);
    }
    for term in text.split(" AND ") {
        let at = term.find(['=', '<', '>']).ok_or_else(|| wrong("a term has the form field operator \"value\""))?;
        let (field, rest) = term.split_at(at);
        let operator = ["=", ">=", "<"].into_iter().find(|operator| {
            let after = rest.strip_prefix(operator);
            after.is_some_and(|after| after.trim_start().starts_with('"'))
        });
        let operator =
            operator.ok_or_else(|| wrong("a value stands in double quotes, after one of `=`, `>=` and `<`"))?;
        let value = rest[operator.len()..].trim().strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.filter(|value| !value.contains('"'));
        let value = value.ok_or_else(|| wrong("a value stands in double quotes and holds none"))?;
        let new = match (field.trim(), operator) {
            ("kind", "=") => filter.kind.replace(value.to_owned()).is_none(),
            ("actor", "=") => filter.actor.replace(value.to_owned()).is_none(),
            ("object", "=") => filter.object.replace(value.to_owned()).is_none(),
            ("create_time", ">=") => filter.from.replace(time(value)?).is_none(),
            ("create_time", "<") => filter.before.replace(time(value)?).is_none(),
            _ => false,
        };
        if !new {
            return Err(wrong(FIELDS));
        }
    }
    Ok(filter)
}

fn time(text: &str) -> Result<Timestamp> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| wrong("`create_time` is no time of RFC 3339, like 2026-11-28T13:45:00Z"))
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
        let text = r#"kind = "RUN_ENDED" AND actor="ada" AND create_time >= "2026-01-01T00:00:00Z" AND create_time<"2026-02-01T00:00:00Z""#;
        let filter = parse(text).unwrap();
        assert_eq!((filter.kind.as_deref(), filter.actor.as_deref()), (Some("RUN_ENDED"), Some("ada")));
        assert!(filter.from.unwrap() < filter.before.unwrap() && filter.object.is_none());
        assert_eq!(parse(" ").unwrap(), AuditFilter::default());
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for bad in [
            "x",
            r#"kind = RUN"#,
            r#"kind = "A" AND kind = "B""#,
            r#"kind >= "A""#,
            r#"kind = "A" OR actor = "b""#,
            r#"create_time = "2026-01-01T00:00:00Z""#,
            r#"create_time >= "yesterday""#,
            r#"create_time > "2026-01-01T00:00:00Z""#,
            r#"create_time <= "2026-01-01T00:00:00Z""#,
            r#"kind = "A" AND"#,
            r#"reason = "A""#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
