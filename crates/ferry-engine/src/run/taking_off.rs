//! Planning of a run that takes people off a list and reads no segment. It asks for nobody's approval.

use super::RunContext;
use super::plan::held_elsewhere;
use super::reading::{self, Known};
use crate::failure::Stop;
use ferry_segments::layout::RunFile;
use ferry_segments::{PlanSummary, TakingOffSpec, plan_taking_off};
use ferry_store::TakesOff;
use std::sync::Arc;

/// Writes the plan, from the state.
pub(super) async fn plan(context: &Arc<RunContext>, known: Known, whom: TakesOff) -> Result<PlanSummary, Stop> {
    reading::in_a_thread(context, move |context, control| {
        let layout = reading::layout(context);
        let spec = TakingOffSpec {
            base: known.base,
            others: known.others,
            one: match whom {
                TakesOff::Everybody => None,
                TakesOff::One(person) => Some(person),
            },
            digest_key: context.files.identity_key(),
            pack: reading::pack(context),
            plan: context.files.of_run(RunFile::Plan),
        };
        plan_taking_off(&spec, &|email, out| layout.render_left(email, out), control)
    })
    .await
}

/// What whoever looks at the run may not expect. For people; it holds no personal data.
pub(super) fn warnings(made: &PlanSummary, distrust: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if made.held_elsewhere > 0 {
        warnings.push(held_elsewhere(made));
    }
    if distrust {
        warnings.push(
            "not everybody whom this export put on the list is known: the plan of an earlier run could not be read at its \
             end; who is not known stays there"
                .to_owned(),
        );
    }
    warnings
}
