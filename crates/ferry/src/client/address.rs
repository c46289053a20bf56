//! Where a service is.

use std::fmt;
use std::net::IpAddr;
use tonic::transport::Uri;

/// A host and a port, and whether TLS is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    url: String,
    tls: bool,
}

impl Address {
    /// Reads `HOST:PORT` or a URL. Without a scheme, only loopback is spoken to without TLS.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let shape = || format!("`{text}` is not HOST:PORT, like ferry.example.com:443");
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| shape())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(shape)?;
        if uri.path() != "/" || rest.contains(['@', '?', '#']) {
            return Err(shape());
        }
        let is_loopback = host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let tls = match scheme {
            Some("https") => true,
            Some("http") if is_loopback => false,
            Some("http") => {
                return Err(format!(
                    "the token would travel to {host} in the clear; write https://{rest}, or use a tunnel to loopback"
                ));
            }
            Some(other) => return Err(format!("`{other}` is no scheme of a service; there are https and http")),
            None if uri.port_u16().is_none() => return Err(shape()),
            None => !is_loopback,
        };
        let url = format!("{}://{rest}", if tls { "https" } else { "http" });
        Ok(Self { url, tls })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn loopback_alone_goes_without_tls() {
        for (text, url) in [
            ("127.0.0.1:50051", "http://127.0.0.1:50051"),
            ("[::1]:50051", "http://[::1]:50051"),
            ("localhost:1", "http://localhost:1"),
            ("10.0.0.7:50051", "https://10.0.0.7:50051"),
            ("ferry.example.com:443", "https://ferry.example.com:443"),
            ("https://ferry.example.com/", "https://ferry.example.com"),
            ("http://127.0.0.1:7", "http://127.0.0.1:7"),
        ] {
            assert_eq!(Address::parse(text).unwrap().url(), url);
        }
        for text in ["", ":1", "ferry.example.com", "a b:1", "http://10.0.0.7:1", "ftp://a:1", "a:1/b", "u@a:1"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        assert!(Address::parse("http://10.0.0.7:1").unwrap_err().contains("in the clear"));
    }
}
