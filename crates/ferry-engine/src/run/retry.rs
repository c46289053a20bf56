//! How long to wait before the next attempt, and when to give up.

use std::time::Duration;

/// Attempts of one batch, the first included, before it is left as unknown.
pub(super) const ATTEMPTS: u32 = 8;
/// A 403 may be a passing fault on a good key; after this many in a row it is not.
pub(super) const REFUSED_KEYS: u32 = 3;
/// Failures in a row after which one request at a time goes out, until one gets through.
pub(super) const FAILURES_BEFORE_CAUTION: u32 = 4;
/// Attempts of a batch that the destination refuses as a whole without naming a row, before its rows count as refused.
pub(super) const REFUSED_ATTEMPTS: u32 = 3;
/// Looks at a result that fits no row, before the batch is sent again.
pub(super) const STRANGE_RESULTS: u32 = 5;
/// Batches in a row that the destination refused as a whole before the run gives up.
pub(super) const REFUSED_REQUESTS: u32 = 3;

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// The wait before attempt `attempt + 1`, in the destination's time. `random` (0 to 1) spreads the waits of several
/// batches over the whole span, so that they do not come back together.
pub(super) fn backoff(attempt: u32, random: f64) -> Duration {
    let ceiling = FIRST.saturating_mul(1 << attempt.min(5)).min(LONGEST);
    ceiling.div_f64(2.0) + ceiling.mul_f64(random.clamp(0.0, 1.0) / 2.0)
}

/// A number between 0 and 1. It only spreads waits, so the low bits of a random id are random enough.
pub(super) fn random() -> f64 {
    let bits = uuid::Uuid::new_v4().as_u128() & 0xffff;
    f64::from(u32::try_from(bits).unwrap_or(0)) / 65_535.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_minute() {
        assert_eq!(backoff(0, 1.0), Duration::from_secs(2));
        assert_eq!(backoff(0, 0.0), Duration::from_secs(1));
        assert_eq!(backoff(9, 1.0), Duration::from_secs(60));
        assert!((0..100).all(|_| (0.0..=1.0).contains(&random())));
    }
}
