//! K14: a change is committed, and the process dies before anybody was told.

use super::{Asked, Seen, Watch, on_record, run_of, small};
use ferry_proto::v1 as pb;

/// What one stream brings until it breaks, and its last token.
async fn until_broken(mut watch: Watch, seen: &mut Seen) -> String {
    let mut token = String::new();
    while let Ok(Some(message)) = watch.next().await {
        run_of(&message).into_iter().for_each(|run| seen.take(run));
        token = message.resume_token;
    }
    token
}

#[tokio::test]
async fn k14_killed_when_a_change_is_committed_and_no_watcher_told() {
    let mut untold = 0;
    for read in 2..=5 {
        let (mut stage, export) = small().await;
        stage.kill();
        // Each read of the publisher passes by; those after the first one find changes.
        stage.start_to_die(&format!("changes-read:{read}")).await;
        // On a slow machine it has died before the stream was begun: a crash that tells nothing.
        let Ok(watch) = Watch::open(&stage.client("viewer").await, &Asked::all()).await else { continue };
        let mut client = stage.client("administrator").await;
        let request = pb::RunExportRequest { name: export, ..Default::default() };
        let _the_process_may_die = client.exports.run_export(request).await;
        let mut seen = Seen::default();
        let token = until_broken(watch, &mut seen).await;
        stage.died().await;
        let runs = super::column(&stage, "SELECT DISTINCT run FROM run_changes").await;
        let Some(id) = runs.first() else { continue };
        let run = format!("tenants/acme/exports/weekly/runs/{id}");
        let committed = on_record(&stage, &run).await.len();
        assert!(seen.of(&run).len() <= committed);
        untold += committed - seen.of(&run).len();
        stage.start().await;
        let client = stage.client("viewer").await;
        let mut watch = Watch::open(&client, &Asked::all().from(&token)).await.unwrap();
        while !seen.has_ended(&run) {
            run_of(&watch.must().await).into_iter().for_each(|run| seen.take(run));
        }
        assert_eq!(seen.of(&run), on_record(&stage, &run).await, "killed at read {read}");
    }
    assert!(untold > 0, "no crash came between a commit and its telling");
}
