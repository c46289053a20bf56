//! What the metrics are told of a run that has ended.

use crate::entity::run;
use ferry_domain::{Counts, RunState};
use ferry_telemetry::{Account, Outcome, Removals, Telemetry};

/// A run with its account.
pub(crate) struct EndedRun {
    state: &'static str,
    tenant: String,
    /// Nothing for a dry run: it sends nobody, and a run that carries its plan out counts them.
    counts: Option<Counts>,
}

impl EndedRun {
    pub(crate) fn new(row: &run::Model, state: RunState, counts: Counts) -> Self {
        let counts = (!row.dry_run).then_some(counts);
        Self { state: state.as_str(), tenant: row.tenant.clone(), counts }
    }

    pub(crate) fn count(&self, telemetry: &Telemetry) {
        let counts = self.counts.unwrap_or_default();
        let members = [
            (Outcome::Rejected, counts.rejected),
            (Outcome::Twin, counts.twins),
            (Outcome::Excluded, counts.excluded),
            (Outcome::Unchanged, counts.unchanged),
            (Outcome::Confirmed, counts.confirmed),
            (Outcome::Refused, counts.refused),
            (Outcome::Unknown, counts.unknown),
            (Outcome::NotSent, counts.not_sent),
        ];
        let removals = Removals {
            confirmed: counts.removals_confirmed,
            refused: counts.removals_refused,
            unknown: counts.removals_unknown,
            not_sent: counts.removals_not_sent,
        };
        telemetry.run_ended(Account { state: self.state, tenant: &self.tenant, members: &members, removals });
    }
}
