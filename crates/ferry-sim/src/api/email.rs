//! Which addresses the service takes, by its documentation.

/// Whether the address is refused at once: no local part, a character that cannot be in one, no domain, or a domain
/// with special characters.
pub(crate) fn is_malformed(email: &str) -> bool {
    let Some((local, domain)) = email.split_once('@') else { return true };
    let odd_local = local.chars().any(|c| c.is_whitespace() || c.is_control() || "\"(),:;<>@[\\]".contains(c));
    let odd_domain = domain.chars().any(|c| !(c.is_alphanumeric() || c == '-' || c == '.'));
    let empty_label = domain.split('.').any(str::is_empty);
    let short_end = domain.rsplit_once('.').is_some_and(|(_, end)| {
        end.chars().count() < 2 || !end.chars().all(|c| c.is_alphabetic() || c == '-' || c.is_ascii_digit())
    });
    local.is_empty() || odd_local || odd_domain || empty_label || short_end
}

/// Whether the address fails when its batch is processed: the documentation shows a domain without a dot and an
/// apostrophe failing there; one that was let through although malformed fails too.
pub(crate) fn fails_later(email: &str) -> bool {
    let (local, domain) = email.split_once('@').unwrap_or_default();
    !domain.contains('.') || local.contains('\'') || is_malformed(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearly_malformed_addresses_are_seen() {
        for email in ["", "a", "@b.de", "a@", "a@b.c", "a@b..de", "a b@c.de", "a@b@c.de", "a(b@c.de", "a@b_c.de"] {
            assert!(is_malformed(email), "{email}");
        }
        for email in ["a@b.de", "A.b+c@d-e.museum", "o'brien@example.com", "a@localhost", "ü@bücher.de"] {
            assert!(!is_malformed(email), "{email}");
        }
    }

    #[test]
    fn the_documented_examples_fail_later() {
        assert!(fails_later("a@localhost"));
        assert!(fails_later("o'brien@example.com"));
        assert!(!fails_later("a@b.de"));
    }
}
