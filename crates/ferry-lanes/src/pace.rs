//! The scale of waiting, and the limits that are waited for. In production a minute is a minute. In development, against
//! a simulator on loopback whose clock runs `N` times as fast, every wait for the destination's sake is `N` times
//! shorter: pacing, polling, Retry-After. Deadlines of requests, leases and send-by times stay real.

use crate::UNANSWERED_IMPORTS;
use std::time::Duration;

/// What of a destination account's limits is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountLimits {
    /// All that are documented.
    Documented,
    /// None, for measuring Ferry against a destination on loopback that has none.
    Lifted {
        /// Imports that may be on their way at once.
        unanswered_imports: usize,
    },
}

impl AccountLimits {
    /// Imports of an account that may be on their way at once.
    pub(crate) fn unanswered_imports(self) -> usize {
        match self {
            Self::Documented => UNANSWERED_IMPORTS,
            Self::Lifted { unanswered_imports } => unanswered_imports,
        }
    }
}

/// How many times faster than real the destination's clock runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeScale(f64);

impl TimeScale {
    /// Real time.
    pub const REAL: Self = Self(1.0);

    /// A scale between 1 and 1,000; nothing for any other number.
    #[must_use]
    pub fn new(factor: f64) -> Option<Self> {
        (1.0..=1_000.0).contains(&factor).then_some(Self(factor))
    }

    /// How long to wait, in real time, for `documented` to pass at the destination.
    #[must_use]
    pub fn real(self, documented: Duration) -> Duration {
        documented.div_f64(self.0)
    }

    /// How much time passed at the destination while `real` passed here.
    #[must_use]
    pub fn documented(self, real: Duration) -> Duration {
        real.mul_f64(self.0)
    }

    /// Whether waits are shortened at all.
    #[must_use]
    pub fn is_real(self) -> bool {
        self.0 <= 1.0
    }
}
