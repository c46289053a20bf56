//! The service and the sink as processes, with tenants that are ready to run.

use crate::data;
use crate::sink::{self, Counts};
use anyhow::Context;
use ferry_proto::v1 as pb;
use ferry_server::authn::DevelopmentIssuer;
use ferry_testkit::{Client, Process, binary, eventually};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const ISSUER: (&str, &str) = ("https://issuer.ferry.test", "ferry");
const START: Duration = Duration::from_secs(30);
const LIFETIME: Duration = Duration::from_secs(3_600);
const API_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000000bench";

/// See the module.
pub(crate) struct Bench {
    folder: TempDir,
    issuer: DevelopmentIssuer,
    sink: Process,
    sink_addr: SocketAddr,
    service: Process,
    addr: SocketAddr,
}

/// A tenant's name.
pub(crate) fn tenant(number: u64) -> String {
    format!("tenant-{number:03}")
}

fn host(number: u64) -> String {
    format!("account-{number:03}.ferry-bench.test")
}

impl Bench {
    /// Both processes, and a snapshot of `members` for each of the tenants.
    pub(crate) async fn start(tenants: u64, members: u64, unanswered: u16) -> anyhow::Result<Self> {
        let pace = ["--development-time-scale=100".to_owned(), format!("--development-unlimited={unanswered}")];
        Self::start_with(tenants, members, &pace).await
    }

    /// The same, with what says how fast the service goes.
    pub(crate) async fn start_with(tenants: u64, members: u64, pace: &[String]) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let beside = program.parent().context("a program is in a folder")?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(beside)?;
        let path = |name: &str| folder.path().join(name);
        for number in 0..tenants {
            data::write(&path("segments").join(tenant(number)), members, false)?;
        }
        let arguments = ["sink".to_owned(), format!("--addr-out={}", path("sink.addr").display())];
        let sink = Process::start("ferry-bench", &arguments, &path("sink.log"));
        let sink_addr = address(path("sink.addr")).await;
        let issuer = DevelopmentIssuer::open(&path("issuer"))?;
        let keys = format!("--keys-dir={}", path("keys").display());
        let made = std::process::Command::new(binary("ferry")).args(["keys", "create", &keys]).output()?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut arguments = vec![
            "--log=warn".to_owned(),
            "serve".to_owned(),
            keys,
            format!("--data-dir={}", path("data").display()),
            format!("--segments-dir={}", path("segments").display()),
            format!("--addr-out={}", path("addr").display()),
            format!("--issuer={}", ISSUER.0),
            format!("--audience={}", ISSUER.1),
            format!("--jwks={}", issuer.jwks().display()),
            "--listen=127.0.0.1:0".to_owned(),
            "--tenant-rate=100000".to_owned(),
            "--tenant-burst=100000".to_owned(),
            "--max-connections-per-peer=5000".to_owned(),
        ];
        arguments.extend_from_slice(pace);
        arguments.extend((0..tenants).map(|number| format!("--development-destination={}={sink_addr}", host(number))));
        let service = Process::start("ferry", &arguments, &path("ferry.log"));
        let addr = address(path("addr")).await;
        Ok(Self { folder, issuer, sink, sink_addr, service, addr })
    }

    /// The measured process.
    pub(crate) fn service(&self) -> &Process {
        &self.service
    }

    /// The other one.
    pub(crate) fn sink(&self) -> &Process {
        &self.sink
    }

    /// What the sink has counted.
    pub(crate) fn counts(&self) -> anyhow::Result<Counts> {
        sink::counts(self.sink_addr)
    }

    /// Where the service listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A token of somebody who may look at a tenant's runs.
    pub(crate) fn token_of(&self, number: u64, subject: &str) -> anyhow::Result<String> {
        let roles = [(tenant(number), "viewer".to_owned())];
        Ok(self.issuer.mint(subject, &roles, false, ISSUER, LIFETIME)?)
    }

    /// The folder of a tenant's segments.
    pub(crate) fn segments(&self, number: u64) -> PathBuf {
        self.folder.path().join("segments").join(tenant(number))
    }

    /// A client of a tenant's administrator.
    pub(crate) async fn client(&self, number: u64) -> anyhow::Result<Client> {
        // A token tells all roles of its subject, so each tenant has an administrator of its own.
        let (subject, roles) = (tenant(number), [(tenant(number), "administrator".to_owned())]);
        Ok(Client::connect(self.addr, &self.issuer.mint(&subject, &roles, false, ISSUER, LIFETIME)?).await)
    }

    /// Makes a tenant with a connection to its account and an export of its segment, whose name is the answer.
    pub(crate) async fn set_up(&self, number: u64) -> anyhow::Result<String> {
        let operator = self.issuer.mint("operator", &[], true, ISSUER, LIFETIME)?;
        let request = pb::CreateTenantRequest {
            tenant_id: tenant(number),
            tenant: Some(pb::Tenant { display_name: tenant(number), ..pb::Tenant::default() }),
            request_id: String::new(),
        };
        Client::connect(self.addr, &operator).await.tenants.create_tenant(request).await?;
        let mut client = self.client(number).await?;
        let connection = pb::CreateConnectionRequest {
            parent: format!("tenants/{}", tenant(number)),
            connection_id: "newsletter".to_owned(),
            connection: Some(connection(number)),
            skip_verification: true,
            ..pb::CreateConnectionRequest::default()
        };
        client.connections.create_connection(connection).await?;
        self.add_export(number, "weekly", "people").await
    }

    /// Makes an export of a segment, whose name is the answer.
    pub(crate) async fn add_export(&self, number: u64, id: &str, segment: &str) -> anyhow::Result<String> {
        let mut client = self.client(number).await?;
        let export = pb::CreateExportRequest {
            parent: format!("tenants/{}", tenant(number)),
            export_id: id.to_owned(),
            export: Some(export(number, segment)),
            ..pb::CreateExportRequest::default()
        };
        let export = client.exports.create_export(export).await?.into_inner().export;
        Ok(export.context("an export was made")?.name)
    }
}

/// What the service warned of belongs to what was measured.
impl Drop for Bench {
    fn drop(&mut self) {
        let log = std::fs::read_to_string(self.folder.path().join("ferry.log")).unwrap_or_default();
        if !log.is_empty() {
            println!("the service wrote:\n{log}");
        }
    }
}

fn connection(number: u64) -> pb::Connection {
    let settings = pb::ActiveCampaignConnection {
        host: host(number),
        api_key: API_KEY.to_owned(),
        ..pb::ActiveCampaignConnection::default()
    };
    let consent = pb::Consent { accepted: true, text_version: "2026-11-01".to_owned(), ..pb::Consent::default() };
    pb::Connection {
        display_name: "Newsletter".to_owned(),
        destination_type: "activecampaign".to_owned(),
        settings: Some(pb::ConnectionSettings {
            settings: Some(pb::connection_settings::Settings::Activecampaign(settings)),
        }),
        consent: Some(consent),
        ..pb::Connection::default()
    }
}

fn export(number: u64, segment: &str) -> pb::Export {
    let settings = pb::ActiveCampaignExport { list_id: "3".to_owned(), exclude_automations: None };
    let mapping = |field: &str, column: &str| pb::FieldMapping {
        destination_field: field.to_owned(),
        profile_column: column.to_owned(),
    };
    pb::Export {
        display_name: "Weekly".to_owned(),
        connection: format!("tenants/{}/connections/newsletter", tenant(number)),
        segments: vec![format!("tenants/{}/segments/{segment}", tenant(number))],
        settings: Some(pb::ExportSettings { settings: Some(pb::export_settings::Settings::Activecampaign(settings)) }),
        field_mappings: vec![
            mapping("email", "email"),
            mapping("first_name", "first_name"),
            mapping("last_name", "last_name"),
            mapping("phone", "phone"),
            mapping("1", "level"),
        ],
        ..pb::Export::default()
    }
}

async fn address(path: PathBuf) -> SocketAddr {
    eventually(START, || async { read_address(&path) }).await
}

fn read_address(path: &Path) -> Result<SocketAddr, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.parse().map_err(|_| text)
}
