//! What `ferry serve` gives browsers: the dashboard, and which pages may call.

use anyhow::{Context, bail};
use clap::Args;
use ferry_server::{OidcClient, Origin, WebConfig};

#[derive(Args, Default)]
pub(crate) struct WebArgs {
    /// Pages of this origin may call by gRPC-Web, like https://portal.example.com. The dashboard needs no entry.
    #[arg(
        help_heading = "Server",
        long = "allow-origin",
        env = "FERRY_ALLOW_ORIGIN",
        value_delimiter = ',',
        value_name = "ORIGIN"
    )]
    allow_origin: Vec<Origin>,
    /// Serve no dashboard. The API is the same without it.
    #[arg(help_heading = "Dashboard", long, env = "FERRY_NO_DASHBOARD")]
    no_dashboard: bool,
    /// The dashboard's client id at --issuer, for people to sign in by OpenID Connect: a public client that comes back to
    /// this server's `/`. Without it, people paste a token.
    #[arg(help_heading = "Dashboard", long, env = "FERRY_DASHBOARD_CLIENT_ID", value_name = "ID")]
    dashboard_client_id: Option<String>,
    /// What the dashboard asks the issuer for, with spaces between.
    #[arg(
        help_heading = "Dashboard",
        long,
        env = "FERRY_DASHBOARD_SCOPE",
        value_name = "SCOPES",
        default_value = "openid"
    )]
    dashboard_scope: String,
    /// The service's name that the dashboard tells the issuer, for issuers that make a token for it only then.
    #[arg(
        help_heading = "Dashboard",
        long,
        env = "FERRY_DASHBOARD_AUDIENCE",
        value_name = "NAME",
        requires = "dashboard_client_id"
    )]
    dashboard_audience: Option<String>,
    /// The origin of the issuer's token end point, where it is another than the issuer's own.
    #[arg(
        help_heading = "Dashboard",
        long,
        env = "FERRY_DASHBOARD_TOKEN_ORIGIN",
        value_name = "ORIGIN",
        requires = "dashboard_client_id"
    )]
    dashboard_token_origin: Option<Origin>,
}

impl WebArgs {
    /// What browsers get.
    pub(crate) fn config(&self, issuer: &str, time_scale: f64) -> anyhow::Result<WebConfig> {
        let page = !self.no_dashboard;
        Ok(WebConfig { page, origins: self.allow_origin.clone(), oidc: self.oidc(issuer)?, time_scale })
    }

    fn oidc(&self, issuer: &str) -> anyhow::Result<Option<OidcClient>> {
        let Some(id) = &self.dashboard_client_id else { return Ok(None) };
        if id.trim().is_empty() || self.dashboard_scope.trim().is_empty() {
            bail!("--dashboard-client-id and --dashboard-scope must not be empty");
        }
        let mut client = OidcClient::new(issuer, id, &self.dashboard_scope).with_context(|| {
            format!(
                "nobody can be sent to the issuer `{issuer}` to sign in: with --dashboard-client-id it must be an https \
                 address, or an http one on this machine"
            )
        })?;
        client.audience.clone_from(&self.dashboard_audience);
        client.token_origin.clone_from(&self.dashboard_token_origin);
        Ok(Some(client))
    }
}
