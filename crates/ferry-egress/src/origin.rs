//! Origins that the operator configured.

use url::{Host, Position, Url};

/// A scheme, a host and a port: https, or http on a loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorOrigin(Url);

/// Why a text is not an origin. The text is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not an address at all, or one of another scheme.
    #[error("must be an https address, like https://vault.example.com:8200")]
    NotHttps,
    /// Plain http to another machine, or to a name that may be one.
    #[error("must use https; http is taken for a loopback address alone, like http://127.0.0.1:8200")]
    Plain,
    /// A user or password in the address.
    #[error("must not hold a user or a password")]
    UserInfo,
    /// More than scheme, host and port.
    #[error("must consist of scheme, host and port alone, without path, query or fragment")]
    NotAlone,
}

impl OperatorOrigin {
    /// Checks the text.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let (origin, path_and_query) = Self::split(text)?;
        if path_and_query != "/" || text.contains(['?', '#']) {
            return Err(OriginError::NotAlone);
        }
        Ok(origin)
    }

    /// The origin of an address, and what is asked there.
    pub fn split(text: &str) -> Result<(Self, String), OriginError> {
        let mut url = Url::parse(text).map_err(|_| OriginError::NotHttps)?;
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(OriginError::Plain),
            _ => return Err(OriginError::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OriginError::UserInfo);
        }
        let path_and_query = url[Position::BeforePath..Position::AfterQuery].to_owned();
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        Ok((Self(url), path_and_query))
    }

    pub(crate) fn into_url(self) -> Url {
        self.0
    }
}

impl std::fmt::Display for OperatorOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}
