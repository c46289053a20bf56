//! `ferry serve` and `ferry migrate`: the service, put together.

use crate::checkpoints::{CheckpointArgs, Keeping};
use crate::listen::{LimitArgs, ListenArgs};
use crate::observe::{self, TelemetryArgs};
use crate::schedules::ScheduleArgs;
use crate::secrets::SecretArgs;
use crate::streams::StreamArgs;
use crate::web::WebArgs;
use crate::{key_keeper, keys};
use anyhow::{Context, bail};
use clap::Args;
use ferry_control::audit::keeper::Keeper;
use ferry_control::{Control, ControlParts};
use ferry_domain::{Error, Timestamp};
use ferry_egress::{DevelopmentDestination, Egress, EgressConfig, HostName};
use ferry_engine::{Engine, EngineParts};
use ferry_lanes::{AccountLimits, Lanes, TimeScale};
use ferry_server::authn::{AuthnConfig, KeySource, Verifier};
use ferry_server::{Server, ServerParts};
use ferry_store::{Store, StoreConfig};
use ferry_telemetry::Running;
use ferry_vault::{Vault, VaultConfig};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// A file with settings (TOML); `ferry config reference` shows every key. The environment and flags go before it.
    #[arg(long, env = "FERRY_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// The address is written here, once it listens (for port 0).
    #[arg(help_heading = "Server", long, value_name = "FILE")]
    pub(crate) addr_out: Option<PathBuf>,
    /// The database and the sealed files of runs.
    #[arg(help_heading = "Store", long, env = "FERRY_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// The key file and the key store; never on the data volume. `ferry keys create` makes it. When the environment holds
    /// the keys, in FERRY_KEYS, there is no key file.
    #[arg(help_heading = "Keys", long, env = "FERRY_KEYS_DIR")]
    pub(crate) keys_dir: PathBuf,
    /// A folder of segments for each tenant, each with its catalogue.toml.
    #[arg(help_heading = "Segments", long, env = "FERRY_SEGMENTS_DIR")]
    pub(crate) segments_dir: PathBuf,
    /// The one issuer of access tokens.
    #[arg(help_heading = "Tokens", long, env = "FERRY_ISSUER")]
    pub(crate) issuer: String,
    /// This service's name in a token's `aud`.
    #[arg(help_heading = "Tokens", long, env = "FERRY_AUDIENCE")]
    pub(crate) audience: String,
    /// The issuer's key set: a file, or an https address.
    #[arg(help_heading = "Tokens", long, env = "FERRY_JWKS")]
    pub(crate) jwks: String,
    /// Suffixes of destinations that are allowed, each with its leading dot; ActiveCampaign's unless given.
    #[arg(help_heading = "Destinations", long = "allow-suffix", env = "FERRY_ALLOW_SUFFIX", value_delimiter = ',')]
    pub(crate) allow_suffix: Vec<String>,
    /// Name servers for the names of destinations, as ADDRESS:PORT; the system's unless given.
    #[arg(
        help_heading = "Destinations",
        long = "name-server",
        env = "FERRY_NAME_SERVER",
        value_delimiter = ',',
        value_name = "ADDRESS:PORT"
    )]
    pub(crate) name_server: Vec<SocketAddr>,
    /// Development: the only destination is a simulator on loopback, as HOST=ADDRESS=CA_FILE, or as HOST=ADDRESS where
    /// it speaks plain HTTP.
    #[arg(help_heading = "Development", long = "development-destination", value_name = "HOST=ADDRESS[=CA_FILE]")]
    pub(crate) development_destination: Vec<String>,
    /// Development: the simulator's clock runs so many times as fast; waits for its sake are as much shorter.
    #[arg(help_heading = "Development", long, default_value_t = 1.0)]
    pub(crate) development_time_scale: f64,
    /// Development: no limit of the destination is kept, and so many imports of an account may be on their way at once,
    /// which is also how many a crash can repeat. For measuring Ferry itself.
    #[arg(help_heading = "Development", long, value_name = "IMPORTS", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) development_unlimited: Option<u16>,
    #[command(flatten)]
    pub(crate) streams: StreamArgs,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) checkpoints: CheckpointArgs,
    #[command(flatten)]
    pub(crate) schedules: ScheduleArgs,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryArgs,
    #[command(flatten)]
    pub(crate) web: WebArgs,
}

#[derive(Args)]
pub(crate) struct MigrateArgs {
    /// The data directory.
    #[arg(long, env = "FERRY_DATA_DIR")]
    data_dir: PathBuf,
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// A running service.
pub(crate) struct Service {
    pub(crate) addr: SocketAddr,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<Result<(), ferry_server::ServeError>>,
    engine: Engine,
    keeping: Keeping,
    telling: Running,
}

impl Service {
    /// Lets requests end, sets runs aside, signs what they left on record, and ends.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.engine.stop().await;
        let served = self.serving.await;
        let kept = self.keeping.stop().await;
        // Last, so that nothing that there was to tell is left out.
        self.telling.stop().await;
        kept?;
        Ok(served??)
    }
}

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    #[cfg(debug_assertions)]
    crate::failpoint::arm()?;
    let addr_out = args.addr_out.clone();
    let keys = keys::config(&args.keys_dir)?;
    let service = start(args, &keys).await?;
    tracing::info!(address = %service.addr, "serving");
    if let Some(path) = addr_out {
        write_whole(&path, &service.addr.to_string())?;
    }
    stop_signal().await?;
    tracing::info!("stopping");
    service.stop().await
}

async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}

/// A reader sees the whole file or none.
pub(crate) fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, text)?;
    Ok(std::fs::rename(temporary, path)?)
}

/// Puts the service together and starts it.
pub(crate) async fn start(args: ServeArgs, keys: &VaultConfig) -> anyhow::Result<Service> {
    let tls = args.listen.tls().await?;
    let web = args.web.config(&args.issuer, args.development_time_scale)?;
    let scale = time_scale(&args)?;
    let account_limits = account_limits(&args)?;
    let egress = Egress::new(egress_config(&args)?)?;
    let secrets = args.secrets.stores(&egress)?;
    let vault = Vault::open(keys).context("the keys cannot be opened")?;
    let telling = args.telemetry.start().await?;
    let telemetry = telling.telemetry();
    let store = Store::open_observed(&database(&args.data_dir), telemetry.clone()).await.map_err(inside)?;
    store.migrate().await.map_err(inside)?;
    let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(now);
    let pins = args.checkpoints.pins(&args.keys_dir)?;
    // Before anything is done for anybody: what was restored must not be signed, nor be sent from.
    let keeper = Keeper::open(args.checkpoints.parts(&store, &vault, &pins, &clock)).await.map_err(inside)?;
    let keys = if args.jwks.contains("://") { KeySource::Url(args.jwks) } else { KeySource::File(args.jwks.into()) };
    let authn = AuthnConfig::new(args.issuer, args.audience, keys);
    let verifier = Verifier::new(authn, egress.clone(), Arc::clone(&clock)).await.map_err(anyhow::Error::msg)?;
    let listen = args.listen.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("{listen} cannot be listened on; choose another with --listen"))?;
    let addr = listener.local_addr()?;
    let lanes = Lanes::new(store.clone(), scale).limited_by(account_limits).observed_by(telemetry.clone());
    let lanes = Arc::new(lanes);
    let stop = CancellationToken::new();
    observe::look(telemetry.clone(), store.clone(), Arc::clone(&lanes), stop.clone());
    let control = Control::new(ControlParts {
        store: store.clone(),
        lanes: Arc::clone(&lanes),
        vault: vault.clone(),
        egress: egress.clone(),
        secrets: secrets.clone(),
        segments_root: args.segments_dir.clone(),
        data_dir: args.data_dir.clone(),
        pins,
        clock: Arc::clone(&clock),
    });
    let keeping = Keeping::start(keeper);
    control.finish_removals().await.map_err(inside)?;
    let engine = Engine::start(EngineParts {
        store,
        vault: vault.clone(),
        egress,
        secrets,
        segments_root: args.segments_dir,
        data_dir: args.data_dir,
        clock,
        lanes,
        worker: uuid::Uuid::new_v4().to_string(),
        telemetry: telemetry.clone(),
    })
    .await
    .map_err(inside)?;
    key_keeper::start(&vault, &stop);
    let retracted = control.clone();
    let stopped = stop.clone();
    tokio::spawn(async move { stopped.run_until_cancelled(retracted.remove_retracted()).await });
    sweep(control.clone(), stop.clone());
    let (attending, until) = (control.clone(), stop.clone());
    tokio::spawn(async move { until.run_until_cancelled(attending.attend()).await });
    let (watching, until) = (control.clone(), stop.clone());
    tokio::spawn(async move { until.run_until_cancelled(watching.keep_watchers()).await });
    args.schedules.start(&control, &stop);
    let (sending, until, told) = (control.clone(), stop.clone(), telemetry.clone());
    tokio::spawn(async move { until.run_until_cancelled(sending.keep_deliveries(told)).await });
    let limits = args.limits.limits();
    let server = Server::new(ServerParts { control, verifier, tls, limits, telemetry, web });
    let serving = tokio::spawn(server.serve(listener, stop.clone()));
    Ok(Service { addr, stop, serving, engine, keeping, telling })
}

/// Applies retention in the background until the end.
fn sweep(control: Control, stop: CancellationToken) {
    tokio::spawn(async move {
        tokio::select! {
            () = control.keep_retention() => {}
            () = stop.cancelled() => {}
        }
    });
}

pub(crate) async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let store = open_store(&args.data_dir).await?;
    let steps = store.migrate().await.map_err(inside)?;
    if steps.is_empty() {
        println!("the database is up to date");
    }
    for step in steps {
        println!("took {step}");
    }
    Ok(())
}

pub(crate) async fn open_store(data_dir: &Path) -> anyhow::Result<Store> {
    Store::open(&database(data_dir)).await.map_err(inside)
}

fn database(data_dir: &Path) -> StoreConfig {
    StoreConfig { path: data_dir.join("ferry.db") }
}

/// The operator is told what callers are not.
pub(crate) fn inside(error: Error) -> anyhow::Error {
    match error {
        Error::Internal(inside) | Error::Unavailable(inside) => anyhow::Error::msg(inside.0),
        other => anyhow::Error::new(other),
    }
}

fn time_scale(args: &ServeArgs) -> anyhow::Result<TimeScale> {
    let factor = args.development_time_scale;
    let scale =
        TimeScale::new(factor).with_context(|| format!("a time scale of {factor} is not between 1 and 1000"))?;
    if !scale.is_real() && args.development_destination.is_empty() {
        bail!(
            "--development-time-scale shortens waits that real destinations ask for; it needs --development-destination"
        );
    }
    Ok(scale)
}

fn account_limits(args: &ServeArgs) -> anyhow::Result<AccountLimits> {
    let Some(imports) = args.development_unlimited else { return Ok(AccountLimits::Documented) };
    if args.development_destination.is_empty() {
        bail!("--development-unlimited keeps no limit of a destination; it needs --development-destination");
    }
    Ok(AccountLimits::Lifted { unanswered_imports: imports.into() })
}

/// All that is wrong with settings that can be told before anything is started.
pub(crate) async fn faults(args: &ServeArgs) -> Vec<anyhow::Error> {
    let egress = egress_config(args).and_then(|config| Ok(Egress::new(config)?));
    let secrets = match &egress {
        Ok(egress) => args.secrets.stores(egress).map(|_| ()),
        Err(_) => Ok(()),
    };
    let found = [
        args.listen.tls().await.map(|_| ()),
        time_scale(args).map(|_| ()),
        account_limits(args).map(|_| ()),
        args.telemetry.check(),
        args.web.config(&args.issuer, args.development_time_scale).map(|_| ()),
        secrets,
        egress.map(|_| ()),
    ];
    found.into_iter().filter_map(Result::err).collect()
}

/// With a development destination there is no other one.
fn egress_config(args: &ServeArgs) -> anyhow::Result<EgressConfig> {
    let mut config = EgressConfig { name_servers: args.name_server.clone(), ..EgressConfig::default() };
    if !args.allow_suffix.is_empty() {
        config.allowed_suffixes.clone_from(&args.allow_suffix);
    }
    if !args.development_destination.is_empty() {
        config.allowed_suffixes.clear();
    }
    for text in &args.development_destination {
        let mut parts = text.splitn(3, '=');
        let (Some(host), Some(addr)) = (parts.next(), parts.next()) else {
            bail!("`{text}` is neither HOST=ADDRESS=CA_FILE nor HOST=ADDRESS");
        };
        let read = |file| std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"));
        config.development.push(DevelopmentDestination {
            host: HostName::parse(host).with_context(|| format!("`{host}`"))?,
            addr: addr.parse().with_context(|| format!("`{addr}` is no address"))?,
            ca_pem: parts.next().map(read).transpose()?,
        });
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn parse(more: &[&str]) -> ServeArgs {
        let needed = ["--data-dir=d", "--keys-dir=k", "--segments-dir=s", "--issuer=i", "--audience=a", "--jwks=j"];
        let all = ["ferry"].iter().chain(&needed).chain(more);
        Only::try_parse_from(all).expect("the arguments are good").args
    }

    #[test]
    fn what_spares_a_real_destination_is_lifted_for_a_development_one_alone() {
        let lifted = ["--development-unlimited=8", "--development-destination=a.test=127.0.0.1:1"];
        let limits = account_limits(&parse(&lifted)).expect("the destination is a development one");
        assert_eq!(limits, AccountLimits::Lifted { unanswered_imports: 8 });
        assert!(account_limits(&parse(&lifted[..1])).is_err());
        assert!(time_scale(&parse(&["--development-time-scale=2"])).is_err());
        let usual = account_limits(&parse(&[])).expect("nothing is asked for");
        assert_eq!(usual, AccountLimits::Documented);
    }

    #[test]
    fn a_development_destination_without_an_authority_is_plain() {
        let config = egress_config(&parse(&["--development-destination=a.test=127.0.0.1:1"])).expect("it is one");
        assert!(config.development[0].ca_pem.is_none() && config.allowed_suffixes.is_empty());
        let refused = egress_config(&parse(&["--development-destination=a.test=127.0.0.1:1=/no/such/file"]));
        assert!(refused.is_err(), "an authority that cannot be read does not mean that there is none");
    }
}
