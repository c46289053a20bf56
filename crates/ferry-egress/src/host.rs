//! Host names, and nothing that merely looks like one.
//!
//! A field that takes "a host" is an invitation to reach inside: URL parsers take `127.1`, `0x7f000001`, full-width
//! digits, `user@host`, `host#fragment` and more. So the text must be a plain name by its own rules first, and the URL
//! that is built from it must then hold exactly that name.

use url::{Host, Url};

/// A lower-case DNS name with at least two labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

/// Why a text is not a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostNameError {
    /// Nothing there, or more than DNS allows.
    #[error("must have 1 to 253 characters")]
    Length,
    /// It has a scheme, port, path, user or anything else besides the name.
    #[error("must be a host name alone, like account.api-us1.com, without https://, port or path")]
    NotAlone,
    /// An address instead of a name, in any spelling.
    #[error("must be a host name, not an address")]
    Address,
    /// A label breaks the rules of DNS.
    #[error("must consist of at least two labels of letters, digits and hyphens, separated by dots")]
    Labels,
}

impl HostName {
    /// Checks the text. Letters are taken in either case and kept in lower case.
    pub fn parse(text: &str) -> Result<Self, HostNameError> {
        if text.is_empty() || text.len() > 253 {
            return Err(HostNameError::Length);
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if !text.chars().all(plain) {
            return Err(HostNameError::NotAlone);
        }
        let name = text.to_ascii_lowercase();
        let labels: Vec<&str> = name.split('.').collect();
        if labels.len() < 2 || !labels.iter().all(|label| is_label(label)) {
            return Err(HostNameError::Labels);
        }
        // No top-level domain begins with a digit; what ends in a number is an address to a URL parser.
        if labels.last().is_none_or(|last| last.starts_with(|c: char| c.is_ascii_digit())) {
            return Err(HostNameError::Address);
        }
        let url = Url::parse(&format!("https://{name}/")).map_err(|_| HostNameError::NotAlone)?;
        match url.host() {
            Some(Host::Domain(domain)) if domain == name => Ok(Self(name)),
            _ => Err(HostNameError::Address),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for HostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
}
