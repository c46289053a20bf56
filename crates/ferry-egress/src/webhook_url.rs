//! Where a tenant wants its events: an https URL at a public host name, port 443.
//!
//! What a URL parser makes of the text decides, not the text: host and path are read once, and the request is built from
//! these alone.

use crate::host::{HostName, HostNameError};
use url::{Position, Url};

/// A URL that may be a webhook's, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    host: HostName,
    path_and_query: String,
}

/// Why a text is no such URL. The text is not repeated: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    /// Not a URL, or one of another scheme.
    #[error("must be an https URL, like https://hooks.example.com/ferry")]
    NotHttps,
    /// A user or a password.
    #[error("must not hold a user or a password")]
    UserInfo,
    /// Another port.
    #[error("must not name another port than 443")]
    Port,
    /// A fragment, which is never sent.
    #[error("must not hold a fragment")]
    Fragment,
    /// Its host is an address, or no public name.
    #[error("the host {0}")]
    Host(HostNameError),
}

impl WebhookUrl {
    /// Checks the text. That the name leads to public addresses alone is asked for each connection.
    pub fn parse(text: &str) -> Result<Self, WebhookUrlError> {
        // A parser drops or turns what is not plain; who wrote that meant something else, or nothing good.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(WebhookUrlError::NotHttps);
        }
        let url = Url::parse(text).map_err(|_| WebhookUrlError::NotHttps)?;
        if url.scheme() != "https" {
            return Err(WebhookUrlError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::UserInfo);
        }
        // The scheme's own port is none to the parser.
        if url.port().is_some() {
            return Err(WebhookUrlError::Port);
        }
        if url.fragment().is_some() {
            return Err(WebhookUrlError::Fragment);
        }
        let host = HostName::parse(url.host_str().unwrap_or_default()).map_err(WebhookUrlError::Host)?;
        let path_and_query = url[Position::BeforePath..Position::AfterQuery].to_owned();
        Ok(Self { host, path_and_query })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// What is asked there.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }
}

/// The path may hold a secret.
impl std::fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookUrl").field("host", &self.host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_public_https_url_is_taken_apart() {
        for (text, host, path) in [
            ("https://hooks.example.com", "hooks.example.com", "/"),
            ("https://Hooks.Example.com:443/ferry?token=a%20b", "hooks.example.com", "/ferry?token=a%20b"),
            ("https://hooks.example.com/a/../b", "hooks.example.com", "/b"),
            ("https://xn--bcher-kva.example/x", "xn--bcher-kva.example", "/x"),
        ] {
            let url = WebhookUrl::parse(text).unwrap();
            assert_eq!((url.host().as_str(), url.path_and_query()), (host, path));
            assert!(!format!("{url:?}").contains("token"));
        }
    }

    #[test]
    fn anything_else_is_refused_for_its_cause() {
        use WebhookUrlError::{Fragment, Host, NotHttps, Port, UserInfo};
        for (text, cause) in [
            ("", NotHttps),
            ("hooks.example.com", NotHttps),
            ("http://hooks.example.com/", NotHttps),
            ("ftp://hooks.example.com/", NotHttps),
            ("https:\\\\hooks.example.com", NotHttps),
            ("https://hooks.example.com/a b", NotHttps),
            ("https://hooks.example.com/\n", NotHttps),
            ("https://hooks。example.com/", NotHttps),
            ("https://me@hooks.example.com/", UserInfo),
            ("https://:pw@hooks.example.com/", UserInfo),
            ("https://hooks.example.com:8443/", Port),
            ("https://hooks.example.com:80/", Port),
            ("https://hooks.example.com/#x", Fragment),
        ] {
            assert_eq!(WebhookUrl::parse(text), Err(cause), "{text}");
        }
        let inside = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "169.254.169.254",
            "localhost",
            "metadata",
            "hooks.example.com.",
            "%31%32%37.0.0.1",
        ];
        for host in inside {
            let refused = WebhookUrl::parse(&format!("https://{host}/"));
            assert!(matches!(refused, Err(Host(_))), "{host}: {refused:?}");
        }
    }
}
