//! Origins of pages: scheme, host and port, as browsers send them.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Request};
use std::str::FromStr;
use url::Url;

/// The origin of a page, as a browser writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Every origin at once.
    #[error("every page of the world would be allowed; name each origin, like https://portal.example.com")]
    Every,
    /// Not of that form.
    #[error("an origin is https:// or http://, a host and perhaps a port, like https://portal.example.com")]
    NoOrigin,
    /// An address of which the origin is a part, or the same in other letters.
    #[error("browsers write this origin as {0}; give it so")]
    Written(String),
}

impl Origin {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The origin of an address of a server: https, or http on this machine.
    pub(crate) fn of_server(address: &str) -> Option<Self> {
        let url = Url::parse(address).ok()?;
        let here = ["localhost", "127.0.0.1", "[::1]"].contains(&url.host_str()?);
        let safe = url.scheme() == "https" || (url.scheme() == "http" && here);
        let bare = url.username().is_empty() && url.password().is_none() && url.query().or(url.fragment()).is_none();
        let origin = Self(url.origin().ascii_serialization());
        (safe && bare && origin.is_plain()).then_some(origin)
    }

    /// A host may hold characters that end a directive of the content security policy.
    fn is_plain(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/[]".contains(&byte))
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text.contains('*') {
            return Err(OriginError::Every);
        }
        let url = Url::parse(text).map_err(|_| OriginError::NoOrigin)?;
        let known = ["http", "https"].contains(&url.scheme());
        let origin = Self(url.origin().ascii_serialization());
        if !known || !url.username().is_empty() || url.password().is_some() || !origin.is_plain() {
            return Err(OriginError::NoOrigin);
        }
        if origin.0 == text { Ok(origin) } else { Err(OriginError::Written(origin.0)) }
    }
}

/// Whose page a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No page, or one that need not say so.
    None,
    /// One that this server serves.
    Same,
    /// One that is on the list.
    Allowed,
    /// Any other.
    Foreign,
}

/// The pages that may call.
pub(crate) struct Origins {
    allowed: Vec<Origin>,
    tls: bool,
}

impl Origins {
    pub(crate) fn new(allowed: Vec<Origin>, tls: bool) -> Self {
        Self { allowed, tls }
    }

    pub(crate) fn of<B>(&self, request: &Request<B>) -> Standing {
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Standing::None };
        let (Ok(origin), None) = (origin.to_str(), origins.next()) else { return Standing::Foreign };
        let authority = request.uri().authority().map(http::uri::Authority::as_str).or(host(request.headers()));
        if authority.is_some_and(|authority| self.is_same(origin, authority)) {
            Standing::Same
        } else if self.allowed.iter().any(|allowed| allowed.0 == origin) {
            Standing::Allowed
        } else {
            Standing::Foreign
        }
    }

    /// Whether a page lies where it calls. Behind a proxy that ends TLS, the scheme is not known here.
    fn is_same(&self, origin: &str, authority: &str) -> bool {
        let Some((scheme, host)) = origin.split_once("://") else { return false };
        let port = match scheme {
            "https" => ":443",
            "http" if !self.tls => ":80",
            _ => return false,
        };
        let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
        bare(host) == bare(authority)
    }
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST).and_then(|host| host.to_str().ok())
}
