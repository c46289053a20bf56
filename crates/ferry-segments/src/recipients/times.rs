//! When the rows of a plan were sent, as far as batches tell.

/// When each row of a plan was sent: a step a batch, so that it takes no memory a row.
#[derive(Debug, Clone)]
pub struct SentTimes {
    otherwise: i64,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    end: u64,
    first_ms: i64,
    last_ms: i64,
}

impl SentTimes {
    /// All at one time, in milliseconds since 1970, but for what is added.
    #[must_use]
    pub fn new(otherwise_ms: i64) -> Self {
        Self { otherwise: otherwise_ms, steps: Vec::new() }
    }

    /// The rows before `end` that are in no earlier step: when they were first sent, and when last. Steps come in the
    /// order of their ends.
    pub fn push(&mut self, end: u64, first_ms: i64, last_ms: i64) {
        self.steps.push(Step { end, first_ms, last_ms });
    }

    /// When a row was first sent, and when last.
    pub(super) fn of(&self, ordinal: u64) -> (i64, i64) {
        let step = self.steps.partition_point(|step| step.end <= ordinal);
        self.steps.get(step).map_or((self.otherwise, self.otherwise), |step| (step.first_ms, step.last_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_the_times_of_its_step() {
        let mut times = SentTimes::new(7);
        assert_eq!(times.of(0), (7, 7));
        times.push(3, 10, 11);
        times.push(5, 20, 20);
        let found: Vec<_> = (0..7).map(|ordinal| times.of(ordinal)).collect();
        assert_eq!(found, [(10, 11), (10, 11), (10, 11), (20, 20), (20, 20), (7, 7), (7, 7)]);
    }
}
