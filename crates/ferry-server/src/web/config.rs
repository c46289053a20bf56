//! What an operator says of browsers, and what the page is told of it.

use super::origin::Origin;
use serde::Serialize;

/// What browsers get. Nothing is said of the API: it is the same for all.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// Whether the dashboard is served.
    pub page: bool,
    /// Pages elsewhere that may call.
    pub origins: Vec<Origin>,
    /// How people sign in; without it they paste a token.
    pub oidc: Option<OidcClient>,
    /// How many times as fast as real the destination's clock runs: 1 outside of development.
    pub time_scale: f64,
}

/// The dashboard as a client of an OpenID Connect issuer: a public one, without a secret.
#[derive(Debug, Clone)]
pub struct OidcClient {
    issuer: String,
    issuer_origin: Origin,
    /// Its id at the issuer.
    pub client_id: String,
    /// What it asks for, with spaces between.
    pub scope: String,
    /// The service's name at the issuer, for issuers that want to be told.
    pub audience: Option<String>,
    /// Where the issuer gives out tokens, if that is another origin than its own.
    pub token_origin: Option<Origin>,
}

impl OidcClient {
    /// A client of this issuer; nothing if a page must not be sent there: it is no address with https, nor one with http
    /// on this machine.
    #[must_use]
    pub fn new(issuer: &str, client_id: &str, scope: &str) -> Option<Self> {
        Some(Self {
            issuer: issuer.to_owned(),
            issuer_origin: Origin::of_server(issuer)?,
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            audience: None,
            token_origin: None,
        })
    }
}

/// `/config.json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    oidc: Option<ToldOidc<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    development_time_scale: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldOidc<'a> {
    issuer: &'a str,
    client_id: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<&'a str>,
}

impl WebConfig {
    /// What the page reads first.
    pub(crate) fn told(&self) -> String {
        let oidc = self.oidc.as_ref().map(|oidc| ToldOidc {
            issuer: &oidc.issuer,
            client_id: &oidc.client_id,
            scope: &oidc.scope,
            audience: oidc.audience.as_deref(),
        });
        let development_time_scale = (self.time_scale > 1.0).then_some(self.time_scale);
        serde_json::json!(Told { oidc, development_time_scale }).to_string()
    }

    /// The content security policy: the page takes code and style from its own files alone, and talks to nobody but
    /// this server and the issuer.
    pub(crate) fn policy(&self) -> String {
        let origins = self.oidc.iter().flat_map(|oidc| std::iter::once(&oidc.issuer_origin).chain(&oidc.token_origin));
        let issuers: String = origins.map(|origin| format!(" {}", origin.as_str())).collect();
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{issuers}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    }
}
