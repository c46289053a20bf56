//! (d) Runs of many tenants at once on one process, each to an account of its own.

use crate::TenantsArgs;
use crate::data::{Mixture, PERIOD};
use crate::measure::{self, Reading};
use crate::service::Bench;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often all runs are looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) async fn run(args: &TenantsArgs) -> anyhow::Result<()> {
    let members = args.size.profiles / args.tenants / PERIOD * PERIOD;
    anyhow::ensure!(members > 0, "fewer than {PERIOD} profiles for each tenant");
    let mixture = Mixture::of(members);
    let bench = Bench::start(args.tenants, members, args.size.unanswered).await?;
    let mut ready = Vec::new();
    for number in 0..args.tenants {
        let export = bench.set_up(number).await?;
        ready.push((bench.client(number).await?, export));
    }
    let before = Reading::take(&bench)?;
    let begun = Instant::now();
    // All at once: runs that come one by one would be over one by one.
    let mut asked = JoinSet::new();
    for (mut client, export) in ready {
        asked.spawn(async move {
            let run = measure::begin(&mut client, &export).await?;
            anyhow::Ok((client, run.name))
        });
    }
    let mut going_on = asked.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    println!("  {} runs asked for in {:.2} s", args.tenants, begun.elapsed().as_secs_f64());
    let mut first = None;
    while !going_on.is_empty() {
        tokio::time::sleep(LOOK).await;
        let mut left = Vec::new();
        for (mut client, name) in going_on {
            let run = measure::look(&mut client, &name).await?;
            if run.end_time.is_none() {
                left.push((client, name));
                continue;
            }
            first.get_or_insert_with(|| begun.elapsed());
            measure::check(&run, &[("members", members), ("confirmed", mixture.sent())])?;
        }
        going_on = left;
    }
    let first = first.unwrap_or_default().as_secs_f64();
    println!("  the first run ended after {first:.2} s, the last after {:.2} s", begun.elapsed().as_secs_f64());
    let counts = before.print(&bench, "tenants", members * args.tenants)?;
    anyhow::ensure!(counts.contacts.len() as u64 == args.tenants, "{} accounts were used", counts.contacts.len());
    let wrong: Vec<_> = counts.contacts.iter().filter(|(_, contacts)| **contacts != mixture.sent()).collect();
    anyhow::ensure!(wrong.is_empty(), "not what was sent to each account: {wrong:?}");
    Ok(())
}
