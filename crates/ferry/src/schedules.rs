//! What is due by itself, and what becomes of it when nobody looked.

use clap::{Args, ValueEnum};
use ferry_control::Control;
use ferry_store::Missed;
use tokio_util::sync::CancellationToken;

#[derive(Args, Default)]
pub(crate) struct ScheduleArgs {
    /// What becomes of scheduled runs that were due more than five minutes before the service looked, since it did not
    /// run: each schedule runs once, however many were missed, or waits for its next time.
    #[arg(
        long,
        help_heading = "Schedules",
        env = "FERRY_MISSED_SCHEDULES",
        value_enum,
        value_name = "HOW",
        default_value_t
    )]
    missed_schedules: MissedSchedules,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum MissedSchedules {
    #[default]
    RunOnce,
    Skip,
}

impl ScheduleArgs {
    fn missed(&self) -> Missed {
        match self.missed_schedules {
            MissedSchedules::RunOnce => Missed::RunOnce,
            MissedSchedules::Skip => Missed::Skip,
        }
    }

    /// Attends to what is due in the background until the end.
    pub(crate) fn start(&self, control: &Control, stop: &CancellationToken) {
        let (control, until, missed) = (control.clone(), stop.clone(), self.missed());
        tokio::spawn(async move { until.run_until_cancelled(control.keep_schedules(missed)).await });
    }
}
