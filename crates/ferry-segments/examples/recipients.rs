//! Measures recipients files: `cargo run --release -p ferry-segments --example recipients -- [people]` folds a run of so
//! many people twice, then looks a thousand of them up, and opens the file for each, as FindRecipients does.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a measurement")]

use ferry_segments::{
    FieldSet, FileKey, FolderLock, Holder, Left, NewRow, Outcome, Outcomes, PlanIndex, PlanWriter, RecipientsFile,
    RecipientsFold, RecipientsReader, Removals, SentTimes, Standing, fold_recipients,
};
use std::path::Path;
use std::time::{Duration, Instant};

fn identity(number: u64) -> [u8; 16] {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut identity = [0; 16];
    identity[..8].copy_from_slice(&spread.to_be_bytes());
    identity[8..].copy_from_slice(&number.to_be_bytes());
    identity
}

fn plan(folder: &Path, people: u64) -> PlanIndex {
    let mut identities: Vec<[u8; 16]> = (0..people).map(identity).collect();
    identities.sort_unstable();
    let path = folder.join("plan.parquet");
    let mut writer = PlanWriter::create(&path, &FileKey::new([1; 32]), b"aad").unwrap();
    for identity in identities {
        // Removals are rows like any other to an index.
        let standing = Standing::Left(Left::Unsubscribed);
        writer.push(&NewRow { identity, standing, email: "a@b.cd", body: b"{}" }).unwrap();
    }
    let digest = writer.finish().unwrap();
    PlanIndex::open(&folder.join("plan.index"), &digest).unwrap()
}

fn main() {
    let people: u64 = std::env::args().nth(1).map_or(1_000_000, |number| number.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let index = plan(folder.path(), people);
    let mut outcomes = Outcomes::none_sent(people);
    outcomes.set(0..people, Outcome::Confirmed);
    let mut base: Option<RecipientsFile> = None;
    for number in 1..=2 {
        let to = folder.path().join(format!("recipients-{number}.bin"));
        let lock = FolderLock::take(&to).unwrap();
        let fields = FieldSet::new(["email".to_owned(), "first_name".to_owned()], "Newsletter");
        let text = str::to_owned;
        let spec = RecipientsFold {
            base: base.as_ref(),
            index: &index,
            holder: Holder {
                connection: text("ac"),
                connection_uid: text("c"),
                host: text("acme.api-us1.com"),
                list: 3,
                export: text("weekly"),
                export_uid: text("e"),
            },
            members: fields.clone(),
            removals: Removals::Send(fields),
            times: SentTimes::new(number),
            to: to.clone(),
        };
        let begun = Instant::now();
        let folded = fold_recipients(&spec, &outcomes, &lock).unwrap();
        println!("fold {number}: {} people in {:?}", folded.rows, begun.elapsed());
        base = Some(RecipientsFile { path: to, digest: folded.digest });
    }
    let base = base.unwrap();
    let mut times: Vec<Duration> = (0..1_000)
        .map(|turn: u64| {
            let person = identity(turn.wrapping_mul(7_919) % people);
            let begun = Instant::now();
            assert!(RecipientsReader::open(&base).unwrap().find(&person).unwrap().is_some());
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("look-ups: half within {:?}, 95 % within {:?}, all within {:?}", times[500], times[950], times[999]);
}
