//! Crashes at random instants. `SEED=` plays one sequence again, as far as two processes can be.
#![allow(clippy::print_stderr, reason = "the seed is for whoever has to find out what happened")]

use super::{Crash, EXTRA_PER_CRASH, EXTRA_PER_FAULT, SOON};
use ferry_sim::{Endpoint, FaultKind, FaultRule, RetryAfter, When};
use std::time::Duration;

/// Slow enough for several crashes in one run.
const SCALE: f64 = 20.0;
/// The longest life of a process, in real milliseconds.
const LONGEST_MS: u64 = 900;
/// How long the simulator takes for an import, so that one is on its way most of the time.
const SLOW: FaultKind = FaultKind::DelayAnswer { delay_ms: 30 };
/// Profiles that a crash at random may send twice on average.
const MEAN: u64 = 500;

/// SplitMix64: enough for instants.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros();
        let seed = seed.unwrap_or_else(|| u64::try_from(now()).unwrap());
        eprintln!("SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Each of them strikes one import in forty.
fn faults() -> [FaultKind; 10] {
    [
        FaultKind::RateLimit429 { retry_after: RetryAfter::Seconds(20) },
        FaultKind::RateLimit400,
        FaultKind::ServerError,
        FaultKind::GatewayTimeoutAfterwards,
        FaultKind::ResetAfterwards,
        FaultKind::DropBefore,
        FaultKind::MissingBatchId,
        FaultKind::RefuseContact { contact: 7, text: "Field 'email' incorrect format".to_owned() },
        FaultKind::BatchFailed,
        FaultKind::BatchInterrupted,
    ]
}

/// Runs until there were so many crashes; how many there were, and how many profiles were sent twice.
async fn random_crashes(wanted: u64, faults: &[FaultKind]) -> (u64, u64) {
    let mut random = Random::seeded();
    let (mut crashes, mut extra) = (0, 0);
    while crashes < wanted {
        let mut crash = Crash::prepared(SCALE).await;
        for kind in faults {
            let rule = FaultRule::once(kind.clone()).on(Endpoint::Import).when(When::Probability(0.025));
            crash.stage.sim.faults().add(rule);
        }
        crash.stage.sim.faults().add(FaultRule::once(SLOW).on(Endpoint::Import).when(When::Always));
        let run = crash.ask().await.unwrap();
        while crash.stage.get_run(&run.name).await.end_time.is_none() && crashes + crash.crashes < wanted {
            tokio::time::sleep(Duration::from_millis(random.below(LONGEST_MS))).await;
            crash.kill().await;
            crash.stage.start().await;
        }
        crashes += crash.crashes;
        crash.stage.ended(&run.name, SOON).await;
        let struck = crash.stage.sim.report().faults;
        let struck: u64 = struck.iter().filter(|(kind, _)| *kind != "delay_answer").map(|(_, times)| times).sum();
        let most = EXTRA_PER_CRASH * crash.crashes + EXTRA_PER_FAULT * struck;
        extra += crash.judged(&format!("{} random crashes, {struck} faults", crash.crashes), most).await.extra;
    }
    (crashes, extra)
}

#[tokio::test]
async fn random_kills_lose_nobody() {
    random_crashes(4, &[]).await;
}

#[tokio::test]
async fn whole_a_hundred_random_kills_lose_nobody() {
    if ferry_testkit::asked() {
        let (crashes, extra) = random_crashes(100, &[]).await;
        eprintln!("{crashes} crashes, {extra} profiles sent twice");
        assert!(extra <= crashes * MEAN, "{extra} profiles sent twice");
    }
}

#[tokio::test]
async fn whole_random_kills_among_faults_lose_nobody() {
    if ferry_testkit::asked() {
        let (crashes, extra) = random_crashes(40, &faults()).await;
        eprintln!("{crashes} crashes among faults, {extra} profiles sent twice");
    }
}
