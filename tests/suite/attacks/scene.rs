//! One real scene: two tenants, two runs that sent something, refused calls, and checkpoints that somebody keeps.

use super::rows::Chain;
use crate::audit::export::{covered, items, printed};
use crate::audit::{SOON, acme};
use ferry_ledger::checkpoint::{Checkpoint, Signer};
use ferry_proto::v1 as pb;
use ferry_proto::v1::export_audit_log_response::Item;
use ferry_testkit::{Client, Stage, TENANT, canary};
use ferry_vault::{KeySource, Vault, VaultConfig};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;
use tokio::sync::OnceCell;

/// The tenant beside that of the stage.
pub(super) const OTHER: &str = "globex";

/// See the module.
pub(super) struct Scene {
    pub(super) stage: Stage,
    /// The service's own file, as somebody has it who may write it.
    pub(super) database: DatabaseConnection,
    /// Runs that ended, and sent something.
    pub(super) runs: Vec<pb::Run>,
    /// Checkpoints that somebody kept, the oldest first. Each covers all that there was when it was kept.
    pub(super) kept: Vec<pb::Checkpoint>,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let stage = Stage::new().await;
        other_tenant(&stage).await;
        let first = stage.run_csv(&canary::people(300)).await;
        let file = stage.path("data").join("ferry.db");
        let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rw", file.display()));
        options.max_connections(1).sqlx_logging(false);
        let database = Database::connect(options).await.unwrap();
        let mut scene = Self { stage, database, runs: vec![first], kept: Vec::new() };
        scene.keep().await;
        scene.refused(6).await;
        scene.keep().await;
        scene.run(600).await;
        scene.stage.create_connection("another").await;
        scene.refused(4).await;
        scene.keep().await;
        scene
    }

    /// Runs the export once more, over so many people.
    pub(super) async fn run(&mut self, people: usize) {
        std::fs::write(self.stage.path("segments").join(TENANT).join("people"), canary::people(people)).unwrap();
        let run = self.stage.run(&format!("{}/exports/weekly", acme())).await;
        let run = self.stage.ended(&run.name, SOON).await;
        assert!(run.counts.unwrap().confirmed > 0, "it sends nothing: {run:?}");
        self.runs.push(run);
    }

    /// So many calls that are refused: an entry of the tenant each.
    pub(super) async fn refused(&self, count: usize) {
        refuse(&mut self.stage.client("viewer").await, &acme(), count).await;
    }

    /// Waits for a checkpoint that covers all, and keeps it.
    pub(super) async fn keep(&mut self) {
        self.kept.push(covered(&self.stage).await);
    }

    /// No checkpoint is signed until [`Self::release`]: what is recorded meanwhile is not covered.
    pub(super) async fn hold(&self) {
        let held = "CREATE TRIGGER held BEFORE INSERT ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'held'); END";
        self.execute(held).await;
    }

    pub(super) async fn release(&self) {
        self.execute("DROP TRIGGER held").await;
    }

    pub(super) async fn execute(&self, statement: &str) {
        self.database.execute_unprepared(statement).await.unwrap();
    }

    /// The key that whoever verifies trusts.
    pub(super) fn key(&self) -> &str {
        &self.kept[0].public_key
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.kept.iter().map(|checkpoint| checkpoint.note.clone()).collect()
    }

    /// What `GetCheckpoint` answered of each, which says what it covers.
    pub(super) fn receipts(&self) -> Vec<String> {
        self.kept.iter().map(|checkpoint| printed(&[Item::Checkpoint(checkpoint.clone())])).collect()
    }

    /// What the service exports, with the checkpoints that are kept.
    pub(super) async fn items(&self) -> Vec<Item> {
        let sizes: Vec<i64> = self.kept.iter().map(|kept| i64::try_from(parse(&kept.note).size).unwrap()).collect();
        items(&mut self.stage.client("administrator").await, 0, &sizes).await.unwrap()
    }

    /// The same as a file.
    pub(super) async fn file(&self) -> String {
        printed(&self.items().await)
    }

    /// What it exports to somebody who names no checkpoint.
    pub(super) async fn file_without_kept(&self) -> String {
        printed(&items(&mut self.stage.client("administrator").await, 0, &[]).await.unwrap())
    }

    /// The tenant's own chain, as stored.
    pub(super) async fn own(&self) -> Chain {
        Chain::read(&self.database, TENANT, "").await
    }

    /// The chain of one of the runs, as stored.
    pub(super) async fn sent(&self, run: usize) -> Chain {
        Chain::read(&self.database, TENANT, &self.runs[run].uid).await
    }

    /// Puts a chain in the place of the stored one. The end that the service remembers stays.
    pub(super) async fn put(&self, chain: &Chain) {
        chain.write(&self.database).await;
    }

    /// The same, with the end that the service goes on from.
    pub(super) async fn put_whole(&self, chain: &Chain) {
        chain.write(&self.database).await;
        chain.write_head(&self.database).await;
    }

    /// Where a verifier says that something is wrong which only a checkpoint tells: the first entry that the kept
    /// checkpoints before entry `number` do not cover.
    pub(super) fn uncovered_before(&self, number: usize) -> usize {
        uncovered_before(&self.kept, number)
    }

    /// The key that signs, as a thief has it.
    pub(super) fn stolen(&self) -> Signer {
        let keys = self.stage.path("keys");
        let config = VaultConfig { keys: KeySource::File(keys.join("keys.toml")), key_store: keys.join("store") };
        let seeds = Vault::read_audit_seeds(&config).unwrap();
        Signer::new(&parse(&self.kept[0].note).origin, &seeds[0].1).unwrap()
    }
}

fn uncovered_before(kept: &[pb::Checkpoint], number: usize) -> usize {
    let covered = kept.iter().map(|kept| usize::try_from(kept.entries).unwrap());
    covered.filter(|covered| *covered < number).max().unwrap_or(0) + 1
}

/// What a note says.
pub(super) fn parse(note: &str) -> Checkpoint {
    Checkpoint::parse(&note[..=note.rfind("\n\n").unwrap()]).unwrap()
}

async fn refuse(viewer: &mut Client, parent: &str, count: usize) {
    for _ in 0..count {
        let request = pb::ListConnectionsRequest { parent: parent.to_owned(), ..Default::default() };
        viewer.connections.list_connections(request).await.unwrap_err();
    }
}

/// Another tenant, in whose chain there is something too.
async fn other_tenant(stage: &Stage) {
    let tenant = pb::Tenant { display_name: "Globex".to_owned(), ..pb::Tenant::default() };
    let request = pb::CreateTenantRequest { tenant_id: OTHER.to_owned(), tenant: Some(tenant), ..Default::default() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    let token = stage.sign("a viewer of globex", &[("tenants", json!({ OTHER: "viewer" }))]);
    refuse(&mut Client::connect(stage.addr(), &token).await, &format!("tenants/{OTHER}"), 12).await;
}

/// What a scene's service exported, for attacks on the file alone.
pub(super) struct Exported {
    pub(super) items: Vec<Item>,
    pub(super) key: String,
    pub(super) kept: Vec<String>,
    pub(super) stolen: Signer,
    checkpoints: Vec<pb::Checkpoint>,
}

impl Exported {
    /// As [`Scene::uncovered_before`].
    pub(super) fn uncovered_before(&self, number: usize) -> usize {
        uncovered_before(&self.checkpoints, number)
    }

    /// How many entries the checkpoint before this one of the file covers; they are counted from 1.
    pub(super) fn covered_before(&self, checkpoint: usize) -> usize {
        let before = self.checkpoints[..checkpoint - 1].last();
        before.map_or(0, |before| usize::try_from(before.entries).unwrap())
    }
}

/// The same for all tests of the process.
pub(super) async fn exported() -> &'static Exported {
    static EXPORTED: OnceCell<Exported> = OnceCell::const_new();
    let make = async || {
        let scene = Scene::new().await;
        let (items, key, kept) = (scene.items().await, scene.key().to_owned(), scene.notes());
        Exported { items, key, kept, stolen: scene.stolen(), checkpoints: scene.kept.clone() }
    };
    EXPORTED.get_or_init(make).await
}
