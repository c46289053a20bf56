//! A plan for people: what is there and what shall be, as lines of a file.

use super::plan::{Action, Change, Plan, Step};
use super::yaml;
use crate::client::plain;
use console::style;

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Stays,
    Comes,
    Goes,
}

/// The plan's lines, coloured where a terminal reads them.
pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &plan.steps {
        let (sign, note) = match step.action {
            Action::Create => ("+", ""),
            Action::Update => ("~", ""),
            Action::Remove => ("-", "  (removed; what is at the destination stays there)"),
        };
        lines.push(style(plain(&format!("{sign} {}{note}", step.title()))).bold().to_string());
        for (mark, text) in step.changes.iter().flat_map(difference) {
            let text = plain(&text);
            lines.push(match mark {
                Mark::Stays => format!("  {text}"),
                Mark::Comes => style(format!("+ {text}")).green().to_string(),
                Mark::Goes => style(format!("- {text}")).red().to_string(),
            });
        }
        lines.extend(consequence(step).map(|text| format!("  # {text}")));
    }
    lines
}

/// What the lines alone do not tell.
fn consequence(step: &Step) -> Option<&'static str> {
    let changes = |path: &str| step.action == Action::Update && step.mask.contains(&path);
    if changes("settings.activecampaign.host") {
        return Some("a new host ends the runs that go on, and its exports begin anew there");
    }
    if changes("connection") {
        let gone = step
            .changes
            .iter()
            .any(|change| change.field == "connection" && change.after == Some(yaml::Yaml::word("null")));
        return Some(if gone {
            "detached: nothing runs until it is attached again"
        } else {
            "nothing is known of what is at the other connection: its next run sends everybody"
        });
    }
    changes("settings").then_some("another list begins with an empty state: its next run sends everybody")
}

/// `2 to make, 1 to change, 0 to remove; 97 as declared`.
pub(super) fn summary(plan: &Plan) -> String {
    let count = |action: Action| plan.steps.iter().filter(|step| step.action == action).count();
    format!(
        "{} to make, {} to change, {} to remove; {} as declared",
        count(Action::Create),
        count(Action::Update),
        count(Action::Remove),
        plan.unchanged
    )
}

/// What is there and not declared.
pub(super) fn left_alone(plan: &Plan) -> Option<String> {
    const SHOWN: usize = 10;
    let names = &plan.left_alone;
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = names.iter().take(SHOWN).map(|name| plain(name)).collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| format!("not declared, left alone: {shown}{more}"))
}

/// A change as lines, those that stay among them.
pub(super) fn difference(change: &Change) -> Vec<(Mark, String)> {
    let lines = |value: &Option<yaml::Yaml>| {
        value.as_ref().map(|value| yaml::lines(change.field, value, 1)).unwrap_or_default()
    };
    let (before, after) = (lines(&change.before), lines(&change.after));
    // How many lines the two have in common from here on.
    let mut common = vec![vec![0_usize; after.len() + 1]; before.len() + 1];
    for (at, line) in before.iter().enumerate().rev() {
        for (to, other) in after.iter().enumerate().rev() {
            common[at][to] =
                if line == other { common[at + 1][to + 1] + 1 } else { common[at + 1][to].max(common[at][to + 1]) };
        }
    }
    let (mut at, mut to, mut marked) = (0, 0, Vec::new());
    while at < before.len() || to < after.len() {
        let goes = to == after.len() || (at < before.len() && common[at + 1][to] >= common[at][to + 1]);
        if at < before.len() && to < after.len() && before[at] == after[to] {
            marked.push((Mark::Stays, before[at].clone()));
            (at, to) = (at + 1, to + 1);
        } else if goes {
            marked.push((Mark::Goes, before[at].clone()));
            at += 1;
        } else {
            marked.push((Mark::Comes, after[to].clone()));
            to += 1;
        }
    }
    marked
}
