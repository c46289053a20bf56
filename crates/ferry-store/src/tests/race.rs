//! Two processes race for what is due. They are processes of the operating system: this test starts its own binary twice
//! more, and each of the two runs the one function of it that claims.

use super::schedules::{MINUTE, every_minute, make, new_run};
use super::*;
use ferry_domain::authz::action::ListRuns;
use ferry_domain::name::RunParent;
use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tells a process that it is a racer, and on which database.
const RACER: &str = "FERRY_TEST_RACER";
const RACERS: [&str; 2] = ["first", "second"];
const TICKS: usize = 1_000;
/// Claims that a racer makes before the other has its chance.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a file, as for a shot that starts a race.
async fn appears(file: &Path) {
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < PATIENCE, "{} does not appear", file.display());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The lock keeps a second process out by the name of the file. Under another name it is let in.
fn start_racer(folder: &Path, name: &str) -> Child {
    let database = folder.join(name).with_extension("db");
    std::os::unix::fs::symlink(folder.join("ferry.db"), &database).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::race::a_racer_claims_while_there_is_something_due", "--nocapture"])
        .env(RACER, &database)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// Claims until nothing is due; how many it won is written beside its database. Nothing to do but in a racer.
#[tokio::test]
async fn a_racer_claims_while_there_is_something_due() {
    let Some(database) = std::env::var_os(RACER) else { return };
    let path = std::path::PathBuf::from(database);
    let store = Store::open(&StoreConfig { path: path.clone() }).await.unwrap();
    std::fs::write(path.with_extension("ready"), "").unwrap();
    appears(&path.with_file_name("start")).await;
    let mut won = 0;
    loop {
        let (begun, won_before) = (Instant::now(), won);
        let due = store.ticks_due(at(MINUTE)).await.unwrap();
        if due.is_empty() {
            break;
        }
        let some = due.into_iter().take(AT_ONCE);
        let claims = some.map(|tick| store.tick_claim(tick, Missed::RunOnce, new_run, at(MINUTE)));
        for claimed in futures::future::join_all(claims).await {
            match claimed {
                Ok(Ticked::Queued) => won += 1,
                // The other was first; or it kept the database for so long that nothing was begun here.
                Ok(Ticked::Gone) | Err(Error::Unavailable(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        // A file's database is had by who asks while it is free, and who waits asks seldom. It is free for as long as it
        // was taken; and a racer that has won goes on when the other has won too, however the two were started.
        if won_before == 0 && won > 0 {
            std::fs::write(path.with_extension("began"), "").unwrap();
            for other in RACERS {
                appears(&path.with_file_name(other).with_extension("began")).await;
            }
        }
        tokio::time::sleep(begun.elapsed()).await;
    }
    std::fs::write(path.with_extension("won"), won.to_string()).unwrap();
}

#[tokio::test]
async fn s12_two_processes_race_a_thousand_ticks_and_there_are_a_thousand_runs() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let names: Vec<String> = (0..TICKS).map(|number| format!("export-{number:04}")).collect();
    futures::future::join_all(names.iter().map(|name| make(&store, name, every_minute(), &[]))).await;
    let mut processes = RACERS.map(|name| start_racer(folder.path(), name));
    for name in RACERS {
        appears(&folder.path().join(name).with_extension("ready")).await;
    }
    std::fs::write(folder.path().join("start"), "").unwrap();
    for process in &mut processes {
        let ended = process.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
    let won = RACERS.map(|name| {
        let text = std::fs::read_to_string(folder.path().join(name).with_extension("won")).unwrap();
        text.parse::<usize>().unwrap()
    });
    assert_eq!(won.iter().sum::<usize>(), TICKS, "{won:?}");
    assert!(won.iter().all(|won| *won > 0), "one of them did nothing, so nothing was raced: {won:?}");
    let seen = exports_that_ran(&store).await;
    assert_eq!(seen.len(), TICKS);
    assert!(store.ticks_due(at(2 * MINUTE - 1)).await.unwrap().is_empty());
    assert_eq!(store.ticks_due(at(2 * MINUTE)).await.unwrap().len(), 256, "the next ones, some at a time");
}

/// The exports of all runs, each of which must have one.
async fn exports_that_ran(store: &Store) -> BTreeSet<String> {
    let parent = RunParent::Tenant(TenantId::parse("acme").unwrap());
    let (mut seen, mut page) = (BTreeSet::new(), Page { after: None, size: 500 });
    loop {
        let permit = permit::<ListRuns>(&administrator(), parent.clone()).unwrap();
        let listed = store.run_list(permit, page).await.unwrap();
        for run in &listed.items {
            assert_eq!((run.trigger, run.started_by.as_str(), run.state), (Trigger::Schedule, "ada", RunState::Queued));
            assert!(seen.insert(run.export().to_string()), "{} was run twice", run.export());
        }
        let Some(next) = listed.next else { return seen };
        page = Page { after: Some(next), size: 500 };
    }
}
