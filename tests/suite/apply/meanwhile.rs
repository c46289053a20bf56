//! What happens between the look and the write, and what stops half way.

use super::{KEY, acme, apply, connection, connections, done, export, exports, file, stage, written};
use crate::command_line::{Said, ferry_at, said};
use ferry_proto::v1 as pb;
use ferry_testkit::canary::people;
use ferry_testkit::{Stage, StageOptions, binary, eventually};
use std::time::Duration;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_stops_half_way_is_told_and_the_next_goes_on_from_there() {
    // A run that takes its time, on a busy machine too.
    let stage = Stage::with(StageOptions { time_scale: 4.0 }).await;
    stage.segment("people", "csv", people(20_000).as_bytes());
    let more = connection("other").replace("Newsletter", "Other");
    let first = file(&[export("middle", "")]).replace("exports:\n", &format!("{more}exports:\n"));
    done(&stage, &first).await;
    // An export does not change its connection while a run of it goes on.
    let run = stage.run("tenants/acme/exports/middle").await;
    let moved = export("middle", "").replace("connection: newsletter", "connection: other");
    let all = [export("begin", ""), moved, export("last-one", "")];
    let text = file(&all).replace("exports:\n", &format!("{more}exports:\n"));
    let stopped = apply(&stage, "administrator", &text, &["--yes"]).await;
    stopped.has_failed(
        1,
        &["export middle: ", "RUN_IN_PROGRESS", "1 of 3 were done; not done: export middle, export last-one"],
    );
    let mut client = stage.client("administrator").await;
    let names = |exports: Vec<pb::Export>| exports.into_iter().map(|export| export.name).collect::<Vec<_>>();
    assert_eq!(names(exports(&mut client).await), ["tenants/acme/exports/middle", "tenants/acme/exports/begin"]);
    client.runs.cancel_run(pb::CancelRunRequest { name: run.name.clone(), ..Default::default() }).await.unwrap();
    stage.ended(&run.name, SOON).await;
    let lines = apply(&stage, "administrator", &text, &["--yes", "--output", "json"]).await;
    assert_eq!(lines.code, Some(0), "{lines:?}");
    let outcomes: Vec<_> = lines.json().iter().map(|line| format!("{} {}", line["name"], line["outcome"])).collect();
    assert_eq!(outcomes, ["\"tenants/acme/exports/middle\" \"done\"", "\"tenants/acme/exports/last-one\" \"done\""]);
    let found = exports(&mut client).await;
    assert_eq!((found.len(), found[0].connection.as_str()), (3, "tenants/acme/connections/other"));
    // Detached by a word, and attached again, with another name in the same step.
    let detached = text.replace("connection: other", "connection: null").replace("Export middle", "Renamed");
    done(&stage, &detached).await;
    let found = exports(&mut client).await;
    assert_eq!((found[0].connection.as_str(), found[0].display_name.as_str()), ("", "Renamed"));
    done(&stage, &text).await;
    assert_eq!(exports(&mut client).await[0].connection, "tenants/acme/connections/other");
}

/// The number of a list is one account's own: nothing may run with the number of the other.
#[tokio::test]
async fn between_two_connections_an_export_has_none_while_its_list_changes() {
    let stage = stage().await;
    let more = connection("other").replace("Newsletter", "Other");
    let with = |export: String| file(&[export]).replace("exports:\n", &format!("{more}exports:\n"));
    done(&stage, &with(export("weekly", ""))).await;
    let moved = export("weekly", "").replace("connection: newsletter", "connection: other");
    done(&stage, &with(moved.replace("list_id: 3", "list_id: 4"))).await;
    let request = pb::ListAuditEntriesRequest { parent: acme(), page_size: 500, ..Default::default() };
    let entries = stage.client("administrator").await.audit.list_audit_entries(request).await.unwrap().into_inner();
    let mut of_it: Vec<_> =
        entries.audit_entries.into_iter().filter(|entry| entry.object.ends_with("/weekly")).collect();
    of_it.sort_by_key(|entry| entry.number);
    let kinds: Vec<&str> = of_it.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["EXPORT_CREATED", "EXPORT_DETACHED", "EXPORT_UPDATED", "EXPORT_ATTACHED"]);
}

/// On a terminal; once the question is there, tells so by a file and answers when another file is there.
const TERMINAL: &str = r"
import os, pty, sys, time
asked, answer, program = sys.argv[1], sys.argv[2], sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ['TERM'] = 'xterm'
    os.execv(program[0], program)
seen, told = b'', False
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    seen += data
    if not told and b'is a yes: ' in seen:
        told = True
        open(asked, 'w').close()
        while not os.path.exists(answer):
            time.sleep(0.02)
        os.write(terminal, open(answer, 'rb').read())
sys.stdout.buffer.write(seen)
sys.stdout.buffer.flush()
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
";

/// Applies on a terminal, does something while the question stands, and answers.
async fn answered(stage: &Stage, text: &str, answer: &str, meanwhile: impl AsyncFnOnce()) -> Said {
    let (asked, file, path) = (stage.path("asked"), stage.path("answer"), written(stage, text));
    for old in [&asked, &file] {
        let _none = std::fs::remove_file(old);
    }
    let ferry = ferry_at(stage.addr(), &stage.token("administrator"), &[]);
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL]).args([&asked, &file]).arg(binary("ferry")).args(["apply", "-f"]).arg(path);
    for (name, value) in ferry.as_std().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env(KEY, &stage.api_key).kill_on_drop(true);
    let ending = tokio::spawn(said(command));
    eventually(SOON, || async { if asked.exists() { Ok(()) } else { Err("no question") } }).await;
    meanwhile().await;
    let whole = stage.path("answer.whole");
    std::fs::write(&whole, answer).unwrap();
    std::fs::rename(whole, file).unwrap();
    ending.await.unwrap()
}

#[tokio::test]
async fn a_change_between_the_look_and_the_yes_is_not_overwritten() {
    let stage = stage().await;
    done(&stage, &file(&[export("weekly", "")])).await;
    let text = file(&[export("weekly", "    schedule: off\n")]);
    let mut client = stage.client("administrator").await;
    let no = answered(&stage, &text, "y\n", async || ()).await;
    assert_eq!(no.code, Some(1), "{no:?}");
    assert!(no.out.contains("not applied, nothing was changed"), "{no:?}");
    let name = format!("{}/exports/weekly", acme());
    let rename = pb::UpdateExportRequest {
        export: Some(pb::Export { name, display_name: "Of another".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let raced = answered(&stage, &text, "yes\n", async || {
        stage.client("administrator").await.exports.update_export(rename).await.unwrap();
    });
    let raced = raced.await;
    assert_eq!(raced.code, Some(1), "{raced:?}");
    assert!(raced.out.contains("it was changed meanwhile; run `ferry apply` again"), "{raced:?}");
    let found = exports(&mut client).await;
    assert_eq!((found[0].display_name.as_str(), found[0].etag.as_str()), ("Of another", "\"2\""));
    let yes = answered(&stage, &text, "yes\n", async || ()).await;
    assert_eq!(yes.code, Some(0), "{yes:?}");
    let found = exports(&mut client).await;
    assert_eq!((found[0].display_name.as_str(), found[0].etag.as_str()), ("Export weekly", "\"3\""));
}

#[tokio::test]
async fn a_connection_is_changed_field_by_field_and_keeps_its_key() {
    let stage = stage().await;
    let text = file(&[]).replace("exports:\n", "");
    done(&stage, &text).await;
    let mut client = stage.client("administrator").await;
    let key_set = |found: &pb::Connection| match found.settings.clone().unwrap().settings.unwrap() {
        pb::connection_settings::Settings::Activecampaign(settings) => (settings.host, settings.api_key_set_time),
    };
    let before = connections(&mut client).await.remove(0);
    let renamed = text.replace("display_name: Newsletter", "display_name: Other");
    done(&stage, &renamed).await;
    let after = connections(&mut client).await.remove(0);
    assert_eq!((after.display_name.as_str(), key_set(&after)), ("Other", key_set(&before)));
    assert_eq!(after.state(), before.state(), "nothing was asked, and nothing is unverified");
    let moved = renamed.replace(ferry_testkit::HOST, ferry_testkit::OTHER_HOST);
    let shown = apply(&stage, "administrator", &moved, &["--yes"]).await;
    assert!(shown.code == Some(0) && shown.out.contains("# a new host ends the runs that go on"), "{shown:?}");
    let last = connections(&mut client).await.remove(0);
    assert_eq!(key_set(&last).0, ferry_testkit::OTHER_HOST);
    assert_ne!(key_set(&last).1, key_set(&after).1, "the key came with the host");
}
