//! What holds a run until another administrator lets it go on: who would be removed by it, and by what.

use ferry_domain::{Export, LeavePolicy};
use ferry_segments::PlanSummary;

/// Why a plan has to be approved; empty if it need not be. For people; it holds no personal data.
pub(super) fn held(export: &Export, plan: &PlanSummary) -> Vec<String> {
    if plan.removals == 0 {
        return Vec::new();
    }
    let mut reasons = export.removal_guard.held(plan.removals, plan.known);
    if plan.members == 0 {
        reasons.push(format!("the segments are empty, so all {} people would be removed", plan.removals));
    }
    if plan.unreadable > 0 {
        reasons.push(format!(
            "{} rows of the segments cannot be read, and each may be one of the {} people who seem to have left",
            plan.unreadable, plan.removals
        ));
    }
    if export.leave_policy == LeavePolicy::Unsubscribe && plan.unsubscribed == 0 {
        reasons.push("it is the first run of this export that unsubscribes anybody from this list".to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_domain::{ExportName, ExportSettings, RemovalGuard, Schedule, Timestamp};

    fn export(leave_policy: LeavePolicy) -> Export {
        let now = Timestamp::from_millis(0);
        Export {
            name: ExportName::parse("tenants/acme/exports/weekly").expect("a name"),
            uid: String::new(),
            display_name: String::new(),
            connection: None,
            segments: Vec::new(),
            settings: ExportSettings::Activecampaign { list_id: 3, exclude_automations: true },
            field_mappings: Vec::new(),
            leave_policy,
            removal_guard: RemovalGuard { max_percent: 10, max_number: 100 },
            schedule: Schedule::Off,
            latest_run: None,
            updated_by: String::new(),
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    fn field() -> LeavePolicy {
        LeavePolicy::SetField { field: 1, member_value: "yes".to_owned(), left_value: "no".to_owned() }
    }

    fn plan(members: u64, removals: u64) -> PlanSummary {
        PlanSummary { members, removals, known: 1_000, unsubscribed: 1, ..PlanSummary::default() }
    }

    #[test]
    fn a_plan_that_removes_few_goes_on() {
        assert!(held(&export(field()), &plan(900, 100)).is_empty());
        assert!(held(&export(LeavePolicy::Unsubscribe), &plan(900, 100)).is_empty());
        let unreadable = PlanSummary { unreadable: 5, ..plan(900, 0) };
        assert!(held(&export(field()), &unreadable).is_empty(), "nobody is removed");
    }

    #[test]
    fn each_cause_holds_by_itself() {
        assert_eq!(held(&export(field()), &plan(900, 101)).len(), 2, "share and number");
        assert_eq!(held(&export(field()), &plan(0, 1)).len(), 1, "empty segments");
        assert_eq!(held(&export(field()), &PlanSummary { unreadable: 1, ..plan(900, 1) }).len(), 1);
        let first = PlanSummary { unsubscribed: 0, ..plan(900, 1) };
        assert_eq!(held(&export(LeavePolicy::Unsubscribe), &first).len(), 1);
        assert!(held(&export(field()), &first).is_empty(), "a field can be set back");
    }
}
