//! E-mail addresses and values: what is sent, what is the identity, and what cannot go.
//!
//! An address is sent as it is written, without the white space and invisible characters around it. Its identity is
//! that in lower case (Unicode). The rules for what ActiveCampaign's bulk import takes are from its page: a local part
//! of at least one character, none of `"(),:;<>@[\]` in it, one `@`, a domain with a dot before at least two letters.
//! Ferry also refuses white space, control and invisible characters inside, labels of a domain that are empty or begin
//! or end with a hyphen, and lengths above those of RFC 5321. A last label in punycode (`xn--…`) is letters too.
//!
//! A value loses the white space and invisible characters around it, and the control characters (C0, DEL and C1, so NUL,
//! ESC and CR too) inside, but keeps tabs and line feeds. A value that this leaves empty is none. Nothing is cut off, and
//! no other character is changed.
//!
//! Both are stable: normalising what was normalised changes nothing. [`NORMALISER_VERSION`] is raised when the same
//! input would get another identity or value; it is written into every plan.

use aws_lc_rs::hmac;

/// Raised when the same row would become another.
pub const NORMALISER_VERSION: u32 = 1;

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
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    let Some((_, last)) = domain.rsplit_once('.') else { return false };
    !domain.contains(special) && domain.split('.').all(is_label) && is_last_label(last)
}

fn is_last_label(label: &str) -> bool {
    let punycode = label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    punycode || (label.chars().count() >= 2 && label.chars().all(char::is_alphabetic))
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

/// Control characters and those without width: NUL, byte order mark, soft hyphen, zero-width space and joiners,
/// direction marks.
fn is_invisible(c: char) -> bool {
    let without_width = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{feff}');
    let direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}');
    c.is_control() || without_width || direction
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
        for good in [
            "a@b.cd",
            "João.Silva+news@exämple.com",
            "o'neill@example.ie",
            "A.B@C.DE",
            "x@sub.domain.example",
            "a@xn--e1afmkfd.xn--p1ai",
        ] {
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
            "a@b.xn--",
            "a\u{ad}b@c.de",
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
        assert_eq!(value(" x\0y\u{1b}[31m ").as_deref(), Some("xy[31m"));
        assert_eq!(value("a\tb\r\nc").as_deref(), Some("a\tb\nc"), "tabs and line feeds stay");
        assert_eq!(
            value("=1+1||2 \u{1f468}\u{200d}\u{1f469} e\u{301}").as_deref(),
            Some("=1+1||2 \u{1f468}\u{200d}\u{1f469} e\u{301}")
        );
        assert_eq!(value("\t \u{a0}"), None);
        assert_eq!(value("\u{1b}"), None);
        assert_eq!(value(&"x".repeat(1 << 20)).map(|text| text.len()), Some(1 << 20), "nothing is cut off");
    }

    #[test]
    fn the_identity_digest_joins_cases_and_parts_tenants() {
        let digest = |key: u8, raw: &str| identity_digest(&[key; 32], &Email::parse(raw).unwrap());
        assert_eq!(digest(1, "Ada@B.cd"), digest(1, " aDA@b.CD"));
        assert_ne!(digest(1, "ada@b.cd"), digest(2, "ada@b.cd"));
        assert_ne!(digest(1, "ada@b.cd"), digest(1, "adam@b.cd"));
    }

    fn is_stable(raw: &str) -> Result<(), TestCaseError> {
        if let Ok(email) = Email::parse(raw) {
            let again = Email::parse(email.written());
            prop_assert!(again.is_ok_and(|again| again == email));
            prop_assert_eq!(email.identity().to_lowercase(), email.identity());
        }
        if let Some(once) = value(raw) {
            prop_assert_eq!(value(&once), Some(once.clone()));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn normalising_again_changes_nothing(raw in any::<String>()) {
            is_stable(&raw)?;
        }

        #[test]
        fn normalising_what_is_almost_an_address_again_changes_nothing(
            raw in "[\\s\u{200b}\u{a0}]{0,3}[A-Za-zİΣßé.+'\"\u{0}-]{1,6}@{1,2}[A-Za-zİΣ-]{1,5}\\.?[A-Za-zé1-]{1,4}[\\s\u{feff}]{0,3}"
        ) {
            is_stable(&raw)?;
        }
    }
}
