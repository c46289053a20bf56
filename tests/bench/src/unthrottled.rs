//! (a) One run of all profiles, as fast as this machine can.

use crate::Size;
use crate::data::Mixture;
use crate::measure::{self, Reading};
use crate::service::Bench;

/// The least that each contact has as JSON, on average.
const CONTACT_BYTES: u64 = 150;

pub(crate) async fn run(size: &Size) -> anyhow::Result<()> {
    let mixture = Mixture::of(size.profiles);
    let bench = Bench::start(1, size.profiles, size.unanswered).await?;
    let export = bench.set_up(0).await?;
    let mut client = bench.client(0).await?;
    first_run(&bench, &mut client, &export, mixture).await
}

/// Runs an export that has never run, and checks that everybody arrived once.
pub(crate) async fn first_run(
    bench: &Bench,
    client: &mut ferry_testkit::Client,
    export: &str,
    mixture: Mixture,
) -> anyhow::Result<()> {
    let before = Reading::take(bench)?;
    let run = measure::begin(client, export).await?;
    let run = measure::through(bench, client, &run.name).await?;
    let counts = before.print(bench, "unthrottled", mixture.members)?;
    let Mixture { members, twins, rejected } = mixture;
    let expected = [("members", members), ("twins", twins), ("rejected", rejected), ("confirmed", mixture.sent())];
    measure::check(&run, &expected)?;
    anyhow::ensure!(counts.all_contacts() == mixture.sent(), "{} contacts arrived", counts.all_contacts());
    anyhow::ensure!(counts.polls >= counts.imports, "{} batches were not asked for", counts.imports);
    anyhow::ensure!(counts.bytes >= CONTACT_BYTES * mixture.sent(), "{} bytes are too few", counts.bytes);
    Ok(())
}
