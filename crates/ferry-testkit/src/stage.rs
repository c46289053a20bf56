//! A whole Ferry for one test: the service as a process, the simulator beside it, a tenant, an administrator.

use crate::{Client, Process, eventually};
use ferry_proto::v1 as pb;
use ferry_server::authn::DevelopmentIssuer;
use ferry_sim::{AccountConfig, Sim, SimConfig};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The simulator's account.
pub const HOST: &str = "demo.ferry-sim.test";
/// The tenant of a stage.
pub const TENANT: &str = "acme";
/// The account's list.
pub const LIST: u32 = 3;
const ISSUER: (&str, &str) = ("https://issuer.ferry.test", "ferry");
const START: Duration = Duration::from_secs(30);

/// How a stage differs from the usual one.
#[derive(Debug, Clone, Copy)]
pub struct StageOptions {
    /// How many times faster than real the simulator's clock runs.
    pub time_scale: f64,
}

impl Default for StageOptions {
    fn default() -> Self {
        Self { time_scale: 100.0 }
    }
}

/// See the module.
pub struct Stage {
    folder: TempDir,
    options: StageOptions,
    /// The simulator.
    pub sim: Sim,
    /// The account's API key.
    pub api_key: String,
    issuer: DevelopmentIssuer,
    service: Option<Process>,
    addr: SocketAddr,
    /// Where the account's host is.
    destination: SocketAddr,
}

impl Stage {
    /// A stage as usual.
    pub async fn new() -> Self {
        Self::with(StageOptions::default()).await
    }

    /// A stage that differs.
    pub async fn with(options: StageOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let api_key = uuid::Uuid::new_v4().simple().to_string();
        let mut account = AccountConfig::new(HOST, &api_key).with_list(LIST, "Newsletter").with_field(1, "Value");
        account.excluded = vec!["excluded@example.com".to_owned()];
        account.opted_out = vec![("opted.out@example.com".to_owned(), LIST)];
        let journal = folder.path().join("journal.jsonl");
        let config = SimConfig { time_scale: options.time_scale, ..SimConfig::new(account, journal) };
        let sim = ferry_sim::start(config).await.unwrap();
        std::fs::write(folder.path().join("ca.pem"), sim.ca_pem()).unwrap();
        std::fs::create_dir_all(folder.path().join("segments").join(TENANT)).unwrap();
        let issuer = DevelopmentIssuer::open(&folder.path().join("issuer")).unwrap();
        let keys = ["keys", "create", "--keys-dir"].map(str::to_owned);
        let keys_dir = folder.path().join("keys").display().to_string();
        let made = std::process::Command::new(crate::binary("ferry")).args(keys).arg(keys_dir).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        let destination = sim.addr();
        let mut stage = Self { folder, options, sim, api_key, issuer, service: None, addr: unset, destination };
        stage.start().await;
        let tenant = pb::Tenant { display_name: "Acme".to_owned(), ..pb::Tenant::default() };
        let request =
            pb::CreateTenantRequest { tenant_id: TENANT.to_owned(), tenant: Some(tenant), request_id: String::new() };
        stage.operator().await.tenants.create_tenant(request).await.unwrap();
        stage
    }

    /// Starts the service on the stage's folders.
    pub async fn start(&mut self) {
        let addr_out = self.path("addr");
        let _none = std::fs::remove_file(&addr_out);
        let text = |path: PathBuf| path.display().to_string();
        let destination = format!("{HOST}={}={}", self.destination, text(self.path("ca.pem")));
        let arguments = [
            ["--log".to_owned(), "info".to_owned()],
            ["serve".to_owned(), "--listen=127.0.0.1:0".to_owned()],
            ["--data-dir".to_owned(), text(self.path("data"))],
            ["--keys-dir".to_owned(), text(self.path("keys"))],
            ["--segments-dir".to_owned(), text(self.path("segments"))],
            ["--addr-out".to_owned(), text(addr_out.clone())],
            ["--issuer".to_owned(), ISSUER.0.to_owned()],
            ["--audience".to_owned(), ISSUER.1.to_owned()],
            ["--jwks".to_owned(), text(self.issuer.jwks().to_owned())],
            ["--development-destination".to_owned(), destination],
            ["--development-time-scale".to_owned(), self.options.time_scale.to_string()],
        ];
        self.service = Some(Process::start("ferry", &arguments.concat(), &self.log()));
        let log = self.log();
        self.addr = eventually(START, || {
            let (addr_out, log) = (addr_out.clone(), log.clone());
            async move {
                let text = std::fs::read_to_string(addr_out).map_err(|_| std::fs::read_to_string(log))?;
                Ok::<SocketAddr, Result<String, std::io::Error>>(text.parse().unwrap())
            }
        })
        .await;
    }

    /// `kill -9` of the service.
    pub fn kill(&mut self) {
        self.service.take().unwrap().kill();
    }

    /// Starts the service anew with the account's host where nobody listens.
    pub async fn unplug(&mut self) {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        self.destination = closed;
        self.kill();
        self.start().await;
    }

    /// The running service.
    #[must_use]
    pub fn service(&self) -> &Process {
        self.service.as_ref().unwrap()
    }

    /// Where the service listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A path in the stage's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the service wrote.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path("ferry.log")
    }

    /// A token with a role in the stage's tenant.
    #[must_use]
    pub fn token(&self, role: &str) -> String {
        self.token_in(TENANT, role)
    }

    /// A token with a role in any tenant.
    #[must_use]
    pub fn token_in(&self, tenant: &str, role: &str) -> String {
        let tenants = [(tenant.to_owned(), role.to_owned())];
        self.issuer.mint(role, &tenants, false, ISSUER, Duration::from_secs(3_600)).unwrap()
    }

    /// A client with a role in the stage's tenant.
    pub async fn client(&self, role: &str) -> Client {
        Client::connect(self.addr, &self.token(role)).await
    }

    /// A client on the operator's plane.
    pub async fn operator(&self) -> Client {
        let token = self.issuer.mint("operator", &[], true, ISSUER, Duration::from_secs(3_600)).unwrap();
        Client::connect(self.addr, &token).await
    }

    /// Puts a segment's file and the catalogue that names it into the tenant's folder.
    pub fn segment(&self, id: &str, format: &str, content: &[u8]) {
        self.segment_written(id, format, |path| std::fs::write(path, content).unwrap());
    }

    /// The same, with the file written by the caller.
    pub fn segment_written(&self, id: &str, format: &str, write: impl FnOnce(&Path)) {
        let folder = self.path("segments").join(TENANT);
        write(&folder.join(id));
        let entry =
            format!("[[segment]]\nid = \"{id}\"\ndisplay_name = \"{id}\"\nformat = \"{format}\"\npath = \"{id}\"\n\n");
        let catalogue = folder.join("catalogue.toml");
        let before = std::fs::read_to_string(&catalogue).unwrap_or_default();
        std::fs::write(catalogue, before + &entry).unwrap();
    }

    /// A connection as a request would make it.
    #[must_use]
    pub fn connection(&self) -> pb::Connection {
        let settings = pb::ActiveCampaignConnection {
            host: HOST.to_owned(),
            api_key: self.api_key.clone(),
            ..pb::ActiveCampaignConnection::default()
        };
        pb::Connection {
            display_name: "Newsletter".to_owned(),
            destination_type: "activecampaign".to_owned(),
            settings: Some(pb::ConnectionSettings {
                settings: Some(pb::connection_settings::Settings::Activecampaign(settings)),
            }),
            consent: Some(pb::Consent {
                accepted: true,
                text_version: "2026-11-01".to_owned(),
                ..pb::Consent::default()
            }),
            ..pb::Connection::default()
        }
    }

    /// Stores a connection without asking the destination.
    pub async fn create_connection(&self, id: &str) -> pb::Connection {
        let request = pb::CreateConnectionRequest {
            parent: format!("tenants/{TENANT}"),
            connection_id: id.to_owned(),
            connection: Some(self.connection()),
            skip_verification: true,
            ..pb::CreateConnectionRequest::default()
        };
        let mut client = self.client("administrator").await;
        client.connections.create_connection(request).await.unwrap().into_inner().connection.unwrap()
    }

    /// An export of a segment as a request would make it: e-mail and first name, to list 3.
    #[must_use]
    pub fn export(&self, connection: &str, segment: &str) -> pb::Export {
        let settings = pb::ActiveCampaignExport { list_id: "3".to_owned(), exclude_automations: None };
        let mapping = |field: &str, column: &str| pb::FieldMapping {
            destination_field: field.to_owned(),
            profile_column: column.to_owned(),
        };
        pb::Export {
            display_name: "Export".to_owned(),
            connection: format!("tenants/{TENANT}/connections/{connection}"),
            segments: vec![format!("tenants/{TENANT}/segments/{segment}")],
            settings: Some(pb::ExportSettings {
                settings: Some(pb::export_settings::Settings::Activecampaign(settings)),
            }),
            field_mappings: vec![mapping("email", "email"), mapping("first_name", "first_name")],
            ..pb::Export::default()
        }
    }

    /// Stores an export.
    pub async fn create_export(&self, id: &str, export: pb::Export) -> pb::Export {
        let request = pb::CreateExportRequest {
            parent: format!("tenants/{TENANT}"),
            export_id: id.to_owned(),
            export: Some(export),
            ..pb::CreateExportRequest::default()
        };
        let mut client = self.client("administrator").await;
        client.exports.create_export(request).await.unwrap().into_inner().export.unwrap()
    }

    /// Queues a run.
    pub async fn run(&self, export: &str) -> pb::Run {
        let request = pb::RunExportRequest { name: export.to_owned(), ..pb::RunExportRequest::default() };
        let mut client = self.client("administrator").await;
        client.exports.run_export(request).await.unwrap().into_inner().run.unwrap()
    }

    /// Reads a run.
    pub async fn get_run(&self, name: &str) -> pb::Run {
        let mut client = self.client("administrator").await;
        client.runs.get_run(pb::GetRunRequest { name: name.to_owned() }).await.unwrap().into_inner().run.unwrap()
    }

    /// Waits for a run's end.
    pub async fn ended(&self, name: &str, limit: Duration) -> pb::Run {
        let client = self.client("administrator").await;
        eventually(limit, || {
            let mut client = client.clone();
            async move {
                let request = pb::GetRunRequest { name: name.to_owned() };
                let run = client.runs.get_run(request).await.unwrap().into_inner().run.unwrap();
                if run.end_time.is_some() { Ok(run) } else { Err(run) }
            }
        })
        .await
    }

    /// A segment, a connection and an export named `weekly` of it, run to its end.
    pub async fn run_csv(&self, csv: &str) -> pb::Run {
        self.segment("people", "csv", csv.as_bytes());
        self.create_connection("newsletter").await;
        let export = self.create_export("weekly", self.export("newsletter", "people")).await;
        let run = self.run(&export.name).await;
        self.ended(&run.name, Duration::from_secs(60)).await
    }
}

/// Both equations of the account.
#[must_use]
pub fn adds_up(counts: &pb::RunCounts) -> bool {
    let c = counts;
    let members = c.rejected + c.twins + c.excluded + c.unchanged + c.confirmed + c.refused + c.unknown + c.not_sent;
    let removals = c.removals_confirmed + c.removals_refused + c.removals_unknown + c.removals_not_sent;
    c.queued == 0 && c.members == members && c.removals == removals
}
