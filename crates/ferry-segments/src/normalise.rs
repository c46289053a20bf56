//! E-mail addresses: what is sent, what is the identity, and what cannot go.
//!
//! An address is sent as it is written, without the white space and invisible characters around it. Its identity is
//! that in lower case. The rules for what ActiveCampaign's bulk import takes are from its page: a local part of at
//! least one character, none of `"(),:;<>@[\]` in it, one `@`, a domain with a dot before at least two letters. Ferry
//! also refuses white space and control characters inside, and lengths above those of RFC 5321.
//!
//! Other values lose the white space around them and the control characters inside; an empty value is no value.

use aws_lc_rs::hmac;

/// Why a row cannot go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// No address.
    EmailMissing,
    /// Not an address that the destination takes.
    EmailMalformed,
    /// Longer than an address may be.
    EmailTooLong,
    /// It has more or fewer cells than the header.
    RowRagged,
    /// Its bytes are not UTF-8.
    RowNotUtf8,
    /// It is no JSON object, or a mapped value in it is one.
    RowNotJson,
    /// By itself larger than a request may be.
    RowTooLarge,
}

impl RejectReason {
    /// The word that Ferry shows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmailMissing => "EMAIL_MISSING",
            Self::EmailMalformed => "EMAIL_MALFORMED",
            Self::EmailTooLong => "EMAIL_TOO_LONG",
            Self::RowRagged => "ROW_RAGGED",
            Self::RowNotUtf8 => "ROW_NOT_UTF8",
            Self::RowNotJson => "ROW_NOT_JSON",
            Self::RowTooLarge => "ROW_TOO_LARGE",
        }
    }
}

/// An address that can go. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    written: String,
    identity: String,
}

const LOCAL_BYTES: usize = 64;
const ADDRESS_BYTES: usize = 254;

impl Email {
    /// Checks an address.
    pub fn parse(raw: &str) -> Result<Self, RejectReason> {
        let written = trim(raw);
        if written.is_empty() {
            return Err(RejectReason::EmailMissing);
        }
        let (local, domain) = written.rsplit_once('@').ok_or(RejectReason::EmailMalformed)?;
        if written.len() > ADDRESS_BYTES || local.len() > LOCAL_BYTES {
            return Err(RejectReason::EmailTooLong);
        }
        if !is_local(local) || !is_domain(domain) {
            return Err(RejectReason::EmailMalformed);
        }
        Ok(Self { written: written.to_owned(), identity: written.to_lowercase() })
    }

    /// What is sent.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What makes two rows the same person.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }
}

fn is_local(local: &str) -> bool {
    let forbidden = |c: char| "\"(),:;<>@[\\]".contains(c) || c.is_whitespace() || is_invisible(c);
    !local.is_empty() && !local.contains(forbidden)
}

fn is_domain(domain: &str) -> bool {
    let special = |c: char| !(c.is_alphanumeric() || c == '-' || c == '.');
    let Some((before, last)) = domain.rsplit_once('.') else { return false };
    let labels = before.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    labels && !domain.contains(special) && last.chars().count() >= 2 && last.chars().all(char::is_alphabetic)
}

/// A value without the white space around it and the control characters inside; nothing if that leaves nothing.
pub(crate) fn value(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
    let trimmed = trim(raw);
    let control = |c: char| c.is_control() && c != '\t' && c != '\n';
    let clean = if trimmed.contains(control) {
        std::borrow::Cow::Owned(trim(&trimmed.replace(control, "")).to_owned())
    } else {
        std::borrow::Cow::Borrowed(trimmed)
    };
    (!clean.is_empty()).then_some(clean)
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Control characters and those without width: NUL, byte order mark, zero-width space and joiners, direction marks.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The keyed digest of an identity: equal for the same person within a tenant, meaningless without its key.
#[must_use]
pub fn identity_digest(key: &[u8; 32], email: &Email) -> [u8; 16] {
    digest(&hmac::Key::new(hmac::HMAC_SHA256, key), email)
}

pub(crate) fn digest(key: &hmac::Key, email: &Email) -> [u8; 16] {
    let tag = hmac::sign(key, email.identity.as_bytes());
    let mut digest = [0; 16];
    digest.copy_from_slice(&tag.as_ref()[..16]);
    digest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;

    fn outcome(raw: &str) -> Result<String, RejectReason> {
        Email::parse(raw).map(|email| email.written)
    }

    #[test]
    fn good_addresses_are_sent_as_written() {
        for good in ["a@b.cd", "João.Silva+news@exämple.com", "o'neill@example.ie", "A.B@C.DE", "x@sub.domain.example"]
        {
            assert_eq!(outcome(good), Ok(good.to_owned()));
        }
        assert_eq!(outcome(" \u{a0}a@b.cd\u{200b}\r\n"), Ok("a@b.cd".to_owned()));
        assert_eq!(Email::parse("A@B.CD").unwrap().identity(), "a@b.cd");
    }

    #[test]
    fn addresses_that_cannot_go_have_a_reason() {
        for missing in ["", "   ", "\u{feff}"] {
            assert_eq!(outcome(missing), Err(RejectReason::EmailMissing));
        }
        for malformed in [
            "a",
            "@b.cd",
            "a@",
            "a@b",
            "a@b.c",
            "a@b.c1",
            "a@.cd",
            "a@b..cd",
            "a b@c.de",
            "a\n@c.de",
            "a@@b.cd",
            "a@b@c.de",
            "\"a\"@b.cd",
            "a,b@c.de",
            "a@b_c.de",
            "a@-b.cd",
            "a@b-.cd",
            "a@[127.0.0.1]",
            "a＠b.cd",
            "a\u{200b}b@c.de",
        ] {
            assert_eq!(outcome(malformed), Err(RejectReason::EmailMalformed), "{malformed:?}");
        }
        assert_eq!(outcome(&format!("{}@b.cd", "a".repeat(65))), Err(RejectReason::EmailTooLong));
        assert_eq!(outcome(&format!("a@{}.cd", "b".repeat(250))), Err(RejectReason::EmailTooLong));
    }

    #[test]
    fn values_lose_what_is_around_them() {
        assert_eq!(value(" x\0y ").as_deref(), Some("xy"));
        assert_eq!(value("\t \u{a0}"), None);
        assert_eq!(value("\u{1b}"), None);
    }

    proptest! {
        #[test]
        fn normalising_again_changes_nothing(raw in ".*") {
            if let Ok(email) = Email::parse(&raw) {
                let again = Email::parse(email.written());
                prop_assert!(again.is_ok_and(|again| again == email));
            }
            if let Some(once) = value(&raw) {
                prop_assert_eq!(value(&once), Some(once.clone()));
            }
        }
    }
}
