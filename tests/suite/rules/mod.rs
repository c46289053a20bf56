//! The rules that keep the account true (`crates/ARCHITECTURE.md`), each by a test that names it. The simulator's
//! contacts are the judge of what is at the destination, its report of what was sent.

mod difference;
mod leavers;
mod paused;
mod plans;
mod refused;
mod taking_off;

use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_sim::ContactView;
use ferry_testkit::{HOST, LIST, Stage, StageOptions, TENANT, adds_up, canary, eventually};
use std::time::Duration;

/// A list of the account beside the usual one.
const SECOND_LIST: u32 = 4;
const SOON: Duration = Duration::from_secs(60);

/// A stage with a segment `people`, a connection `newsletter` and an export `weekly` between them.
struct Scene {
    stage: Stage,
    export: pb::Export,
}

/// A person of a segment and their first name.
type Person<'a> = (&'a str, &'a str);

impl Scene {
    async fn new(people: &[Person<'_>]) -> Self {
        Self::with(people, |_| {}).await
    }

    /// A scene whose export differs from the usual one.
    async fn with(people: &[Person<'_>], change: impl FnOnce(&mut pb::Export)) -> Self {
        let second =
            |config: &mut ferry_sim::SimConfig| config.accounts[0].lists.push((SECOND_LIST, "Second".to_owned()));
        let stage = Stage::with_sim(StageOptions::default(), second).await;
        stage.segment("people", "csv", csv(people).as_bytes());
        stage.create_connection("newsletter").await;
        let mut export = stage.export("newsletter", "people");
        change(&mut export);
        let export = stage.create_export("weekly", export).await;
        Self { stage, export }
    }

    /// The segment was refreshed: now these are in it.
    fn members(&self, people: &[Person<'_>]) {
        self.write("people", &csv(people));
    }

    fn write(&self, segment: &str, content: &str) {
        std::fs::write(self.stage.path("segments").join(TENANT).join(segment), content).unwrap();
    }

    async fn run(&self) -> pb::Run {
        self.run_as(pb::RunExportRequest::default()).await
    }

    /// Runs the export as asked to the end, or until somebody has to act.
    async fn run_as(&self, request: pb::RunExportRequest) -> pb::Run {
        let request = pb::RunExportRequest { name: self.export.name.clone(), ..request };
        let mut client = self.stage.client("administrator").await;
        let run = client.exports.run_export(request).await.unwrap().into_inner().run.unwrap();
        self.rests(&run.name).await
    }

    async fn rests(&self, run: &str) -> pb::Run {
        let rest = [State::AwaitingApproval, State::Paused];
        let run = eventually(SOON, || async {
            let run = self.stage.get_run(run).await;
            if run.end_time.is_some() || rest.contains(&run.state()) { Ok(run) } else { Err(run) }
        })
        .await;
        assert!(run.end_time.is_none() || adds_up(run.counts.as_ref().unwrap()), "{:?}", run.counts);
        run
    }

    /// Runs the export to a good end and tells its counts.
    async fn succeeds(&self) -> pb::RunCounts {
        let run = self.run().await;
        assert_eq!(run.state(), State::Succeeded, "{:?}", run.error);
        run.counts.unwrap()
    }

    async fn plan(&self) -> pb::Run {
        let request = pb::PlanExportRequest { name: self.export.name.clone(), ..Default::default() };
        let mut client = self.stage.client("administrator").await;
        let run = client.exports.plan_export(request).await.unwrap().into_inner().run.unwrap();
        self.rests(&run.name).await
    }

    /// Lets a held run go on, as an administrator other than the one who started it.
    async fn approve(&self, run: &str) -> pb::Run {
        let claims = [("tenants", serde_json::json!({ TENANT: "administrator" }))];
        let token = self.stage.sign("second administrator", &claims);
        let mut client = ferry_testkit::Client::connect(self.stage.addr(), &token).await;
        let request = pb::ApproveRunRequest { name: run.to_owned(), ..Default::default() };
        client.runs.approve_run(request).await.unwrap();
        self.rests(run).await
    }

    async fn update(&mut self, paths: &[&str], change: impl FnOnce(&mut pb::Export)) {
        change(&mut self.export);
        let mask = prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        let export = pb::Export { etag: String::new(), ..self.export.clone() };
        let request = pb::UpdateExportRequest { export: Some(export), update_mask: Some(mask), ..Default::default() };
        let mut client = self.stage.client("administrator").await;
        self.export = client.exports.update_export(request).await.unwrap().into_inner().export.unwrap();
    }

    /// Stage and reason of each row that did not go.
    async fn rows(&self, run: &str) -> Vec<(&'static str, String)> {
        let request = pb::ListRejectedProfilesRequest { name: run.to_owned(), ..Default::default() };
        let mut client = self.stage.client("administrator").await;
        let rows = client.runs.list_rejected_profiles(request).await.unwrap().into_inner().rejected_profiles;
        rows.into_iter().map(|row| (row.stage().as_str_name(), row.reason)).collect()
    }

    fn contact(&self, person: &str) -> Option<ContactView> {
        self.stage.sim.contact(HOST, &canary::email(person))
    }

    /// Whether a person is on the export's list.
    fn is_on_list(&self, person: &str) -> bool {
        let email = canary::email(person);
        self.stage.sim.contacts(HOST, LIST).iter().any(|contact| contact.email.eq_ignore_ascii_case(&email))
    }

    /// Imports that the simulator took.
    fn imports(&self) -> u64 {
        self.stage.sim.report().batches_accepted
    }

    fn first_name(&self, person: &str) -> String {
        self.contact(person).map(|contact| contact.first_name).unwrap_or_default()
    }
}

fn csv(people: &[Person<'_>]) -> String {
    canary::csv(people.iter().map(|(person, name)| format!("{},{}\n", canary::email(person), canary::name(name))))
}

fn to_list(list: u32) -> Option<pb::ExportSettings> {
    let settings = pb::ActiveCampaignExport { list_id: list.to_string(), exclude_automations: None };
    Some(pb::ExportSettings { settings: Some(pb::export_settings::Settings::Activecampaign(settings)) })
}
