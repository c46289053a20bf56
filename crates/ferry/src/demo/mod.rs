//! `ferry demo`: a real export on this machine, into a simulator of ActiveCampaign's API.

mod profiles;
mod show;

use crate::checkpoints::CheckpointArgs;
use crate::client::Client;
use crate::keys;
use crate::listen::ListenArgs;
use crate::observe::TelemetryArgs;
use crate::schedules::ScheduleArgs;
use crate::secrets::SecretArgs;
use crate::serve::{self, ServeArgs, Service};
use crate::streams::StreamArgs;
use crate::token::{DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER};
use crate::web::WebArgs;
use anyhow::{Context, bail};
use clap::Args;
use ferry_proto::v1 as pb;
use ferry_server::authn::DevelopmentIssuer;
use ferry_sim::{AccountConfig, Sim, SimConfig};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TENANT: &str = "demo";
const HOST: &str = "demo.ferry-sim.test";
const LIST: u32 = 3;
/// A folder with this file was made by an earlier demo and may be made anew.
const MARK: &str = ".ferry-demo";
const CUSTOMERS: &[u8] = include_bytes!("../../../../deploy/example/segments/demo/chinook-customers.csv");
const CATALOGUE: &[u8] = include_bytes!("../../../../deploy/example/segments/demo/catalogue.toml");
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 3_600);

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// End after the export instead of serving on.
    #[arg(long)]
    once: bool,
    /// Export this many made-up profiles instead of the 59 real ones.
    #[arg(long, value_name = "N")]
    profiles: Option<u64>,
    /// Everything the demo makes is in this folder; one of an earlier demo is made anew.
    #[arg(long, default_value = "ferry-demo")]
    dir: PathBuf,
    /// Where the service listens.
    #[arg(long, default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// How many times faster than real the simulator's clock runs: 10, or 100 with --profiles, unless given.
    #[arg(long)]
    time_scale: Option<f64>,
}

/// What the demo stands on.
struct Stage {
    sim: Sim,
    service: Service,
    client: Client,
    api_key: String,
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let scale = args.time_scale.unwrap_or(if args.profiles.is_some() { 100.0 } else { 10.0 });
    prepare_folder(&args.dir)?;
    let segment = write_segments(&args.dir.join("segments").join(TENANT), args.profiles)?;
    let stage = set_up(&args, scale).await?;
    let export = configure(&stage, segment).await?;
    show::begin(&export, &stage, scale, &args.dir);
    let run = show::follow(&stage.client, &export).await?;
    show::outcome(&run, &stage.sim.report(), stage.sim.contacts(HOST, LIST).len());
    check(&run)?;
    if !args.once {
        show::how_to_go_on(&args.dir, stage.service.addr, stage.sim.addr(), &export, &run.name);
        tokio::signal::ctrl_c().await?;
        println!();
    }
    stage.service.stop().await?;
    stage.sim.stop().await;
    Ok(())
}

fn prepare_folder(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        if !dir.join(MARK).exists() {
            bail!("{} exists and was not made by a demo; choose another with --dir", dir.display());
        }
        std::fs::remove_dir_all(dir)?;
    }
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join(MARK), "Made by `ferry demo`; the next demo makes it anew.\n")?;
    Ok(())
}

/// Writes the segment's file and its catalogue, and returns the segment's id.
fn write_segments(folder: &Path, count: Option<u64>) -> anyhow::Result<&'static str> {
    std::fs::create_dir_all(folder)?;
    let Some(count) = count else {
        std::fs::write(folder.join("chinook-customers.csv"), CUSTOMERS)?;
        std::fs::write(folder.join("catalogue.toml"), CATALOGUE)?;
        return Ok("customers");
    };
    let mixture = profiles::write(&folder.join("profiles.csv"), count)?;
    println!(
        "made up {} profiles, {} without a usable address, {} twins",
        mixture.members, mixture.rejected, mixture.twins
    );
    let catalogue = format!(
        "[[segment]]\nid = \"profiles\"\ndisplay_name = \"Made-up profiles\"\nformat = \"csv\"\npath = \"profiles.csv\"\nmember_count = {count}\n"
    );
    std::fs::write(folder.join("catalogue.toml"), catalogue)?;
    Ok("profiles")
}

async fn set_up(args: &DemoArgs, scale: f64) -> anyhow::Result<Stage> {
    let dir = &args.dir;
    let api_key = uuid::Uuid::new_v4().simple().to_string();
    let account = AccountConfig::new(HOST, &api_key).with_list(LIST, "Newsletter").with_field(1, "Lifetime value");
    let journal = dir.join("simulator-journal.jsonl");
    let sim = ferry_sim::start(SimConfig { time_scale: scale, ..SimConfig::new(account, journal) }).await?;
    let ca_file = dir.join("simulator-ca.pem");
    std::fs::write(&ca_file, sim.ca_pem())?;
    let keys_dir = dir.join("keys");
    keys::create(&keys_dir)?;
    let issuer = DevelopmentIssuer::open(&dir.join("issuer"))?;
    let key_config = keys::file_config(&keys_dir);
    let args = ServeArgs {
        config: None,
        data_dir: dir.join("data"),
        keys_dir,
        segments_dir: dir.join("segments"),
        addr_out: None,
        issuer: DEVELOPMENT_ISSUER.to_owned(),
        audience: DEVELOPMENT_AUDIENCE.to_owned(),
        jwks: issuer.jwks().display().to_string(),
        streams: StreamArgs::default(),
        secrets: SecretArgs::default(),
        allow_suffix: Vec::new(),
        name_server: Vec::new(),
        development_destination: vec![format!("{HOST}={}={}", sim.addr(), ca_file.display())],
        development_time_scale: scale,
        development_unlimited: None,
        listen: ListenArgs::plain(args.listen),
        limits: ferry_server::Limits::DEFAULT.into(),
        // Who tries the verifier right after the run finds all of it covered.
        checkpoints: CheckpointArgs::each(2),
        schedules: ScheduleArgs::default(),
        telemetry: TelemetryArgs::default(),
        web: WebArgs::default(),
    };
    let service = serve::start(args, &key_config).await?;
    let mint = |subject: &str, tenants: &[(String, String)], operator: bool| {
        issuer.mint(subject, tenants, operator, (DEVELOPMENT_ISSUER, DEVELOPMENT_AUDIENCE), TOKEN_LIFETIME)
    };
    let operator = mint("demo-operator", &[], true)?;
    let administrator = mint("demo-administrator", &[(TENANT.to_owned(), "administrator".to_owned())], false)?;
    write_private(&dir.join("operator.token"), &operator)?;
    write_private(&dir.join("administrator.token"), &administrator)?;
    let mut operating = Client::connect(service.addr, &operator).await?;
    let tenant = pb::Tenant { display_name: "Demo".to_owned(), ..pb::Tenant::default() };
    let request =
        pb::CreateTenantRequest { tenant_id: TENANT.to_owned(), tenant: Some(tenant), request_id: String::new() };
    operating.tenants.create_tenant(request).await?;
    let client = Client::connect(service.addr, &administrator).await?;
    Ok(Stage { sim, service, client, api_key })
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Makes the connection and the export, and returns the export's name.
async fn configure(stage: &Stage, segment: &str) -> anyhow::Result<String> {
    let parent = format!("tenants/{TENANT}");
    let mut client = stage.client.clone();
    let kinds = pb::ListDestinationTypesRequest { parent: parent.clone() };
    let kinds = client.connections.list_destination_types(kinds).await?.into_inner().destination_types;
    let kind = kinds.into_iter().find(|kind| kind.id == "activecampaign").context("there is no activecampaign")?;
    let settings = pb::ActiveCampaignConnection {
        host: HOST.to_owned(),
        api_key: stage.api_key.clone(),
        ..pb::ActiveCampaignConnection::default()
    };
    let connection = pb::Connection {
        display_name: "Newsletter account".to_owned(),
        destination_type: kind.id,
        settings: Some(pb::ConnectionSettings {
            settings: Some(pb::connection_settings::Settings::Activecampaign(settings)),
        }),
        consent: Some(pb::Consent {
            accepted: true,
            text_version: kind.consent_text_version,
            ..pb::Consent::default()
        }),
        ..pb::Connection::default()
    };
    let request = pb::CreateConnectionRequest {
        parent: parent.clone(),
        connection_id: "newsletter".to_owned(),
        connection: Some(connection),
        ..pb::CreateConnectionRequest::default()
    };
    let connection = client.connections.create_connection(request).await?.into_inner().connection.unwrap_or_default();
    let settings = pb::ActiveCampaignExport { list_id: LIST.to_string(), exclude_automations: None };
    let mapping = |field: &str, column: &str| pb::FieldMapping {
        destination_field: field.to_owned(),
        profile_column: column.to_owned(),
    };
    let export = pb::Export {
        display_name: "All customers to the newsletter".to_owned(),
        connection: connection.name,
        segments: vec![format!("{parent}/segments/{segment}")],
        settings: Some(pb::ExportSettings { settings: Some(pb::export_settings::Settings::Activecampaign(settings)) }),
        field_mappings: vec![
            mapping("email", "email"),
            mapping("first_name", "first_name"),
            mapping("last_name", "last_name"),
            mapping("phone", "phone"),
            mapping("1", "lifetime_value"),
        ],
        ..pb::Export::default()
    };
    let request = pb::CreateExportRequest {
        parent,
        export_id: "all-customers".to_owned(),
        export: Some(export),
        ..pb::CreateExportRequest::default()
    };
    Ok(client.exports.create_export(request).await?.into_inner().export.unwrap_or_default().name)
}

fn check(run: &pb::Run) -> anyhow::Result<()> {
    if run.state() != pb::run::State::Succeeded {
        let why = run.error.as_ref().map(|error| error.reason.clone()).unwrap_or_default();
        bail!("the run ended as {} {why}", run.state().as_str_name());
    }
    Ok(())
}
