//! What is due by itself: ticks are claimed, runs that waited are queued, refreshes that nobody carries are carried.
//!
//! Nothing here is kept in memory that matters: what is due is a row, and whoever claims it first has it. Several
//! processes may do all of this at once, and one that dies leaves to the others what it has not committed.

use crate::Control;
use crate::export_run::new_run_id;
use ferry_domain::Result;
use ferry_store::{DueTick, Missed, OpenRefresh, Ticked};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often it is looked for what is due.
const LOOK: Duration = Duration::from_secs(1);
/// Whoever asks for a refresh carries it. One that is open for longer has lost its carrier.
const CARRIED: Duration = Duration::from_secs(60);
/// Refreshes that are counted at once.
const REFRESHES: usize = 4;
/// How long rests what has failed: twice as long each time, up to the last.
const RESTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(64));

impl Control {
    /// Attends to what is due until it is dropped. What it was doing then is done by the next start.
    pub async fn keep_schedules(&self, missed: Missed) {
        let (mut carrying, mut failing) = (Carrying::default(), Failing::default());
        loop {
            self.claim_due(missed, &mut failing).await;
            self.queue_waiting().await;
            self.carry_open(&mut carrying, &mut failing).await;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Claims all that is due, many at once: the writer commits together what waits together. What cannot be claimed is
    /// left alone for a while, and what is behind it is claimed all the same.
    async fn claim_due(&self, missed: Missed, failing: &mut Failing) {
        let (now, mut last) = (self.now(), None);
        failing.begin(Instant::now());
        loop {
            let due = match self.store().ticks_due_after(now, last.as_ref()).await {
                Ok(due) => due,
                Err(error) => return tracing::error!(?error, "what is due cannot be read; trying again"),
            };
            last = due.last().cloned();
            if last.is_none() {
                return;
            }
            self.claim_all(missed, due, failing).await;
        }
    }

    async fn claim_all(&self, missed: Missed, due: Vec<DueTick>, failing: &mut Failing) {
        let mut claims = JoinSet::new();
        for tick in due {
            let (of, store, now) = (tick.of(), self.store().clone(), self.now());
            if !failing.rests(&of) {
                claims.spawn(async move { (of, store.tick_claim(tick, missed, new_run_id, now).await) });
            }
        }
        while let Some(claimed) = claims.join_next().await {
            match claimed {
                Ok((of, Ok(Ticked::Missed))) => {
                    tracing::warn!(of, "what was due was missed, and is left out as --missed-schedules says");
                }
                Ok((of, Ok(ticked))) => {
                    failing.resting.remove(&of);
                    tracing::debug!(of, ?ticked, "what was due");
                }
                Ok((of, Err(error))) => {
                    tracing::error!(of, ?error, "what is due cannot be run; trying again");
                    failing.failed(of, Instant::now());
                }
                Err(error) => tracing::error!(?error, "a claim ended badly"),
            }
        }
    }

    /// Queues what has waited for a run or a refresh to end.
    async fn queue_waiting(&self) {
        let waiting = match self.store().ticks_waiting().await {
            Ok(waiting) => waiting,
            Err(error) => return tracing::error!(?error, "what waits cannot be read; trying again"),
        };
        for tick in waiting {
            let of = tick.of();
            if let Err(error) = self.store().tick_serve(tick, new_run_id, self.now()).await {
                tracing::error!(of, ?error, "a run that has waited cannot be queued; trying again");
            }
        }
    }

    /// Carries open refreshes in tasks of their own, so that a large segment holds up nothing that is due.
    async fn carry_open(&self, carrying: &mut Carrying, failing: &mut Failing) {
        while let Some(ended) = carrying.tasks.try_join_next() {
            match ended {
                Ok((id, carried)) => {
                    carrying.ids.remove(&id);
                    if let Err(error) = carried {
                        tracing::error!(refresh = id, ?error, "a refresh does not get on; trying again");
                        failing.failed(id, Instant::now());
                    }
                }
                Err(error) => {
                    tracing::error!(?error, "a refresh ended badly");
                    // Which one is not known any more; those that are still carried are only counted twice.
                    carrying.ids.clear();
                }
            }
        }
        let open = match self.store().refreshes_open().await {
            Ok(open) => open,
            Err(error) => return tracing::error!(?error, "the open refreshes cannot be read; trying again"),
        };
        for refresh in open {
            let is_carried = !refresh.by_itself && self.now().since(refresh.create_time) < CARRIED;
            let waits = is_carried || failing.rests(&refresh.id) || carrying.tasks.len() >= REFRESHES;
            if waits || !carrying.ids.insert(refresh.id.clone()) {
                continue;
            }
            let control = self.clone();
            carrying.tasks.spawn(async move { control.carried(refresh).await });
        }
    }

    async fn carried(self, refresh: OpenRefresh) -> (String, Result<()>) {
        let carried = self.carry_refresh(&refresh).await;
        (refresh.id, carried.map(drop))
    }
}

/// The refreshes that this process carries.
#[derive(Default)]
struct Carrying {
    ids: HashSet<String>,
    tasks: JoinSet<(String, Result<()>)>,
}

/// Ticks that could not be claimed, by what they are for, and refreshes that do not get on, by their ids. It is only a
/// rest: a process that starts tries at once.
#[derive(Default)]
struct Failing {
    /// Until when each rests, and how long it does.
    resting: HashMap<String, (Instant, Duration)>,
    /// When the look began.
    now: Option<Instant>,
}

impl Failing {
    /// Begins a look, and forgets those that were not due again for long.
    fn begin(&mut self, now: Instant) {
        self.now = Some(now);
        self.resting.retain(|_, (until, _)| *until + RESTS.1 > now);
    }

    fn rests(&self, of: &str) -> bool {
        self.resting.get(of).is_some_and(|(until, _)| self.now.is_some_and(|now| *until > now))
    }

    fn failed(&mut self, of: String, now: Instant) {
        let rest = self.resting.get(&of).map_or(RESTS.0, |(_, rest)| (*rest * 2).min(RESTS.1));
        self.resting.insert(of, (now + rest, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_rests_longer_each_time_and_is_forgotten_once_it_fails_no_more() {
        let (mut failing, begun) = (Failing::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        let look = |failing: &mut Failing, seconds| {
            failing.begin(after(seconds));
            failing.rests("a")
        };
        assert!(!look(&mut failing, 0), "it has not failed yet");
        failing.failed("a".to_owned(), after(0));
        assert!(!look(&mut failing, 1), "a second later");
        failing.failed("a".to_owned(), after(1));
        assert!(look(&mut failing, 2) && !look(&mut failing, 3), "two seconds later");
        assert!(!failing.rests("b"));
        for _ in 0..10 {
            failing.failed("a".to_owned(), after(3));
        }
        assert!(look(&mut failing, 66) && !look(&mut failing, 67), "no longer than that");
        look(&mut failing, 200);
        assert!(failing.resting.is_empty());
    }
}
