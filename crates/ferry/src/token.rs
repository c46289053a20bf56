//! `ferry token`: access tokens for development. Production tokens come from an identity provider.

use anyhow::Context;
use clap::Args;
use ferry_server::authn::DevelopmentIssuer;
use std::path::PathBuf;
use std::time::Duration;

/// The issuer and audience that development tokens carry unless told otherwise.
pub(crate) const DEVELOPMENT_ISSUER: &str = "https://issuer.ferry.test";
/// See [`DEVELOPMENT_ISSUER`].
pub(crate) const DEVELOPMENT_AUDIENCE: &str = "ferry";

#[derive(Args)]
pub(crate) struct TokenArgs {
    /// The folder of the development issuer: its signing key and `jwks.json`; both are made if missing.
    #[arg(long)]
    issuer_dir: PathBuf,
    /// Who the token is for.
    #[arg(long, default_value = "developer")]
    subject: String,
    /// A role in a tenant, as `acme=administrator`; may be repeated.
    #[arg(long = "tenant", value_name = "TENANT=ROLE")]
    tenants: Vec<String>,
    /// Open the operator's plane instead of any tenant.
    #[arg(long)]
    operator: bool,
    /// The token's issuer.
    #[arg(long, default_value = DEVELOPMENT_ISSUER)]
    issuer: String,
    /// The token's audience.
    #[arg(long, default_value = DEVELOPMENT_AUDIENCE)]
    audience: String,
    /// How long it is valid, in seconds; at most a day.
    #[arg(long, default_value_t = 3_600)]
    lifetime_s: u64,
}

pub(crate) fn run(args: TokenArgs) -> anyhow::Result<()> {
    let issuer = DevelopmentIssuer::open(&args.issuer_dir)?;
    let tenants = args.tenants.iter().map(|text| tenant_role(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let lifetime = Duration::from_secs(args.lifetime_s);
    let token = issuer.mint(&args.subject, &tenants, args.operator, (&args.issuer, &args.audience), lifetime)?;
    eprintln!("a token for development, signed by a key in {}", args.issuer_dir.display());
    println!("{token}");
    Ok(())
}

fn tenant_role(text: &str) -> anyhow::Result<(String, String)> {
    let (tenant, role) =
        text.split_once('=').with_context(|| format!("`{text}` is not TENANT=ROLE, like acme=administrator"))?;
    let known = ferry_domain::authz::Role::parse(role)
        .with_context(|| format!("`{role}` is no role; there are viewer, contributor and administrator"))?;
    Ok((tenant.to_owned(), known.as_str().to_owned()))
}
