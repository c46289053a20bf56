//! When a batch is worth a look. ActiveCampaign does not say how fast it works, so each lane learns it from its own
//! batches: a poll that comes too early costs a request that an import could have had, one that comes late costs time.

use std::time::Duration;

const FIRST_GUESS: Duration = Duration::from_secs(8);
/// An answer about a batch younger than a second is `false` at best (bulk import status page).
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(120);

/// The age at which a batch is probably done.
#[derive(Debug)]
pub(crate) struct CompletionAge {
    expected: Duration,
}

impl CompletionAge {
    pub(crate) fn new() -> Self {
        Self { expected: FIRST_GUESS }
    }

    pub(crate) fn expected(&self) -> Duration {
        self.expected
    }

    /// Done: look a little earlier next time. Not done: at least that age and a quarter more.
    pub(crate) fn learn(&mut self, age: Duration, done: bool) {
        let next = if done { self.expected.mul_f64(0.98) } else { self.expected.max(age.mul_f64(1.25)) };
        self.expected = next.clamp(SHORTEST, LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_settles_near_the_true_age() {
        let truth = Duration::from_secs(20);
        let mut age = CompletionAge::new();
        let mut early = 0;
        for _ in 0..500 {
            let look = age.expected();
            early += u32::from(look < truth);
            age.learn(look, look >= truth);
        }
        assert!(age.expected() >= Duration::from_secs(18) && age.expected() <= Duration::from_secs(30));
        assert!(early < 60, "{early} of 500 polls came too early");
    }
}
