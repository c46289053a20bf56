//! Identifiers: the last part of a resource's name, each kind its own type.

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier. The text itself is left out: it may be anything a caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Shorter than the kind allows.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// Longer than the kind allows.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// Holds something outside of `[a-z0-9-]`.
    #[error("may hold only a to z, 0 to 9 and hyphens, and must begin and end with a letter or digit")]
    Characters,
}

fn check(text: &str, shortest: usize, longest: usize) -> Result<(), IdError> {
    if text.len() < shortest {
        return Err(IdError::TooShort(shortest));
    }
    if text.len() > longest {
        return Err(IdError::TooLong(longest));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let hyphen_outside = text.starts_with('-') || text.ends_with('-');
    if hyphen_outside || !text.bytes().all(allowed) {
        return Err(IdError::Characters);
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $shortest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks length and characters.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check(text, $shortest, 63)?;
                Ok(Self(text.to_owned()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// A tenant: 4 to 63 of `[a-z0-9-]`.
    TenantId, 4
);
id!(
    /// A connection within a tenant: 4 to 63 of `[a-z0-9-]`.
    ConnectionId, 4
);
id!(
    /// An export within a tenant: 4 to 63 of `[a-z0-9-]`.
    ExportId, 4
);
id!(
    /// A segment within a tenant, named by the tenant's catalogue: 1 to 63 of `[a-z0-9-]`.
    SegmentId, 1
);
id!(
    /// A run of an export: made by the server, ordered by time.
    RunId, 4
);
id!(
    /// A webhook of a tenant: 4 to 63 of `[a-z0-9-]`.
    WebhookId, 4
);
id!(
    /// A notification: made by the server, ordered by time.
    NotificationId, 4
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_characters_are_kept() {
        assert_eq!(TenantId::parse("abc"), Err(IdError::TooShort(4)));
        assert!(TenantId::parse("abcd").is_ok());
        assert!(TenantId::parse(&"a".repeat(63)).is_ok());
        assert_eq!(TenantId::parse(&"a".repeat(64)), Err(IdError::TooLong(63)));
        for bad in ["ABCD", "ab_d", "ab/d", "-abc", "abc-", "äbcd", "ab d", "ab.d"] {
            assert_eq!(TenantId::parse(bad), Err(IdError::Characters), "{bad}");
        }
    }
}
