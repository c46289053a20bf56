//! (c) A second run after every hundredth profile was changed.

use crate::Size;
use crate::data::{self, Mixture};
use crate::measure::{self, Reading};
use crate::service::Bench;
use crate::unthrottled;

const ROWS: u64 = 250;

pub(crate) async fn run(size: &Size) -> anyhow::Result<()> {
    let mixture = Mixture::of(size.profiles);
    let bench = Bench::start(1, size.profiles, size.unanswered).await?;
    let export = bench.set_up(0).await?;
    let mut client = bench.client(0).await?;
    unthrottled::first_run(&bench, &mut client, &export, mixture).await?;
    data::write(&bench.segments(0), size.profiles, true)?;
    let before = Reading::take(&bench)?;
    let run = measure::begin(&mut client, &export).await?;
    let run = measure::through(&bench, &mut client, &run.name).await?;
    let counts = before.print(&bench, "1 % changed", mixture.members)?;
    let changed = mixture.changed();
    measure::check(&run, &[("confirmed", changed), ("unchanged", mixture.sent() - changed)])?;
    anyhow::ensure!(counts.all_contacts() == changed, "{} contacts arrived", counts.all_contacts());
    anyhow::ensure!(counts.imports == changed.div_ceil(ROWS), "{} imports were made", counts.imports);
    Ok(())
}
