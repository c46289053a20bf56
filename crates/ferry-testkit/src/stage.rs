//! A whole Ferry for one test: the service as a process, the simulator beside it, a tenant, an administrator.

use crate::{Client, Process, canary, eventually};
use ferry_proto::v1 as pb;
use ferry_server::authn::DevelopmentIssuer;
use ferry_sim::{AccountConfig, Sim, SimConfig};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// The simulator's account.
pub const HOST: &str = "demo.ferry-sim.test";
/// A second account at the simulator, with the same key and the same list.
pub const OTHER_HOST: &str = "second.ferry-sim.test";
/// The tenant of a stage.
pub const TENANT: &str = "acme";
/// The account's list.
pub const LIST: u32 = 3;
const ISSUER: (&str, &str) = ("https://issuer.ferry.test", "ferry");
const START: Duration = Duration::from_secs(30);
/// In a stage's folder, what holds people or keys by its nature and is no part of what the service writes.
const SOURCES: [&str; 3] = ["segments", "secrets", JOURNAL];
/// Where the binary, built for tests, looks for the place at which it shall die.
const FAILPOINT: &str = "FERRY_FAILPOINT";
const JOURNAL: &str = "journal.jsonl";

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
    /// Of the simulator's accounts.
    hosts: Vec<String>,
    /// The account's API key.
    pub api_key: String,
    issuer: DevelopmentIssuer,
    /// Where the service reads the issuer's key set.
    jwks: String,
    service: Option<Process>,
    addr: SocketAddr,
    /// Where the account's host is.
    destination: SocketAddr,
    /// Arguments of the service beside those of every stage.
    args: Vec<String>,
    /// Variables that the service finds in its environment beside our own.
    environment: Vec<(String, String)>,
}

/// All that any library tells, spans too: no canary may stand in it. A release build is there to be measured.
const LOG: &str = if cfg!(debug_assertions) { "trace" } else { "info" };

/// Tests ask faster than a tenant may.
const USUAL: [&str; 3] = ["--listen=127.0.0.1:0", "--tenant-rate=100000", "--tenant-burst=100000"];

impl Stage {
    /// A stage as usual.
    pub async fn new() -> Self {
        Self::with(StageOptions::default()).await
    }

    /// A stage that differs.
    pub async fn with(options: StageOptions) -> Self {
        Self::with_sim(options, |_| ()).await
    }

    /// A stage whose simulator differs; the service knows all its accounts.
    pub async fn with_sim(options: StageOptions, change: impl FnOnce(&mut SimConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let api_key = canary::API_KEY.to_owned();
        let mut account = AccountConfig::new(HOST, &api_key).with_list(LIST, "Newsletter").with_field(1, "Value");
        account.excluded = vec![canary::email("excluded")];
        account.opted_out = vec![(canary::email("opted.out"), LIST)];
        let journal = folder.path().join(JOURNAL);
        let mut config = SimConfig { time_scale: options.time_scale, ..SimConfig::new(account, journal) };
        config.accounts.push(AccountConfig::new(OTHER_HOST, &api_key).with_list(LIST, "Newsletter"));
        change(&mut config);
        let hosts = config.accounts.iter().map(|account| account.host.clone()).collect();
        let sim = ferry_sim::start(config).await.unwrap();
        std::fs::write(folder.path().join("ca.pem"), sim.ca_pem()).unwrap();
        std::fs::create_dir_all(folder.path().join("segments").join(TENANT)).unwrap();
        let issuer = DevelopmentIssuer::open(&folder.path().join("issuer")).unwrap();
        let jwks = issuer.jwks().display().to_string();
        let keys = ["keys", "create", "--keys-dir"].map(str::to_owned);
        let keys_dir = folder.path().join("keys").display().to_string();
        let made = std::process::Command::new(crate::binary("ferry")).args(keys).arg(keys_dir).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        let (destination, args, environment) = (sim.addr(), USUAL.map(str::to_owned).to_vec(), Vec::new());
        let service = None;
        let mut stage = Self {
            folder,
            options,
            sim,
            hosts,
            api_key,
            issuer,
            jwks,
            service,
            addr: unset,
            destination,
            args,
            environment,
        };
        stage.start().await;
        let tenant = pb::Tenant { display_name: "Acme".to_owned(), ..pb::Tenant::default() };
        let request =
            pb::CreateTenantRequest { tenant_id: TENANT.to_owned(), tenant: Some(tenant), request_id: String::new() };
        stage.operator().await.tenants.create_tenant(request).await.unwrap();
        stage
    }

    /// Starts the service on the stage's folders.
    pub async fn start(&mut self) {
        self.spawn();
        assert!(self.listens().await, "the service ended:\n{}", end_of(&self.log()));
        let mut findings = Vec::new();
        // A test that gives secrets to the environment knows that they are there.
        if self.environment.is_empty() {
            canary::search_process(self.service().id(), &mut findings);
        }
        assert!(findings.is_empty(), "{findings:#?}");
    }

    /// Starts the service, to kill itself at a failpoint: `POINT:PASSAGE`. It may die before it listens.
    pub async fn start_to_die(&mut self, point: &str) {
        self.environment.push((FAILPOINT.to_owned(), point.to_owned()));
        self.spawn();
        self.environment.pop();
        self.listens().await;
    }

    /// Starts the service, which must refuse to start. Returns the end of its log.
    pub async fn start_refused(&mut self) -> String {
        self.spawn();
        assert!(!self.listens().await, "it starts");
        drop(self.service.take());
        end_of(&self.log())
    }

    /// Runs another command of the binary on the stage's folders. Returns what it printed; it must succeed.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> String {
        let (data, keys) = (self.path("data"), self.path("keys"));
        let mut command = std::process::Command::new(crate::binary("ferry"));
        command.args(words).arg("--data-dir").arg(data).arg("--keys-dir").arg(keys);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Waits until the service has killed itself.
    pub async fn died(&mut self) {
        let service = std::sync::Mutex::new(self.service.take().unwrap());
        let status = eventually(START, || async { service.lock().unwrap().ended().ok_or("it still runs") }).await;
        assert_eq!(status.signal(), Some(9), "{status}:\n{}", end_of(&self.log()));
    }

    fn spawn(&mut self) {
        let addr_out = self.path("addr");
        let _none = std::fs::remove_file(&addr_out);
        let text = |path: PathBuf| path.display().to_string();
        let destination = |host: &str| format!("{host}={}={}", self.destination, text(self.path("ca.pem")));
        let destinations =
            self.hosts.iter().flat_map(|host| ["--development-destination".to_owned(), destination(host)]);
        let arguments = [
            [format!("--log={LOG}"), "serve".to_owned()],
            ["--data-dir".to_owned(), text(self.path("data"))],
            ["--keys-dir".to_owned(), text(self.path("keys"))],
            ["--segments-dir".to_owned(), text(self.path("segments"))],
            ["--addr-out".to_owned(), text(addr_out.clone())],
            ["--issuer".to_owned(), ISSUER.0.to_owned()],
            ["--audience".to_owned(), ISSUER.1.to_owned()],
            ["--jwks".to_owned(), self.jwks.clone()],
            ["--development-time-scale".to_owned(), self.options.time_scale.to_string()],
        ];
        // So that tests need not wait for a checkpoint.
        let interval = ["--checkpoint-interval=1".to_owned()];
        let arguments = [&arguments.concat()[..], &interval, &destinations.collect::<Vec<_>>(), &self.args].concat();
        self.service = Some(Process::start_in("ferry", &arguments, &self.environment, &self.log()));
    }

    /// Waits until the service listens; false if it has ended before.
    async fn listens(&mut self) -> bool {
        let (addr_out, log) = (self.path("addr"), self.log());
        let service = std::sync::Mutex::new(self.service.take().unwrap());
        let addr: Option<SocketAddr> = eventually(START, || async {
            match std::fs::read_to_string(&addr_out) {
                Ok(text) => Ok(Some(text.parse().unwrap())),
                Err(_) if service.lock().unwrap().ended().is_some() => Ok(None),
                Err(_) => Err(end_of(&log)),
            }
        })
        .await;
        self.service = Some(service.into_inner().unwrap());
        self.addr = addr.unwrap_or(self.addr);
        addr.is_some()
    }

    /// Starts the service anew with these arguments beside the usual ones, and these variables in its environment.
    pub async fn restart_and(&mut self, args: &[String], environment: &[(&str, &str)]) {
        self.environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self.args = [USUAL.map(str::to_owned).as_slice(), args].concat();
        self.kill();
        self.start().await;
    }

    /// Starts the service anew with arguments of its own, in the place of the usual ones.
    pub async fn restart_with(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.kill();
        self.start().await;
    }

    /// Starts the service anew with the issuer's key set at another place.
    pub async fn restart_with_keys_at(&mut self, jwks: &str) {
        jwks.clone_into(&mut self.jwks);
        self.kill();
        self.start().await;
    }

    /// Asks the service to stop; what it answers with is its exit code.
    #[must_use]
    pub fn stop(&mut self) -> tokio::task::JoinHandle<Option<i32>> {
        let service = self.service.take().unwrap();
        tokio::task::spawn_blocking(move || service.stop())
    }

    /// `kill -9` of the service.
    pub fn kill(&mut self) {
        self.service.take().unwrap().kill();
    }

    /// Starts the service anew with the account's host where nobody listens.
    pub async fn unplug(&mut self) {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        self.restart_through(closed).await;
    }

    /// Starts the service anew with the account's host at another address.
    pub async fn restart_through(&mut self, destination: SocketAddr) {
        self.destination = destination;
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

    /// The simulator's journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path(JOURNAL)
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

    /// A token of the stage's issuer with any claims beside `sub` and those that make it valid.
    #[must_use]
    pub fn sign(&self, subject: &str, claims: &[(&str, serde_json::Value)]) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let mut all = serde_json::json!({
            "iss": ISSUER.0, "aud": ISSUER.1, "sub": subject, "iat": now, "exp": now + 3_600,
        });
        for (name, value) in claims {
            all[*name] = value.clone();
        }
        self.issuer.sign(&all).unwrap()
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

/// The canaries of the stage, by the search that ends it: nothing that the service wrote anywhere holds one.
impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.service.take());
        let mut findings = Vec::new();
        canary::search_folder(self.folder.path(), &SOURCES, &mut findings);
        assert!(std::thread::panicking() || findings.is_empty(), "a canary shows:\n{}", findings.join("\n"));
    }
}

/// The last lines of a log.
fn end_of(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Both equations of the account.
#[must_use]
pub fn adds_up(counts: &pb::RunCounts) -> bool {
    let c = counts;
    let members = c.rejected + c.twins + c.excluded + c.unchanged + c.confirmed + c.refused + c.unknown + c.not_sent;
    let removals = c.removals_confirmed + c.removals_refused + c.removals_unknown + c.removals_not_sent;
    c.queued == 0 && c.members == members && c.removals == removals
}
