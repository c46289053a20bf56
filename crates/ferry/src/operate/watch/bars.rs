//! What is watched as bars on a terminal: a line for each run that goes on, and above them what has ended.

use super::super::phrases;
use super::lines::what;
use super::pace::Pace;
use super::{Moment, Screen};
use console::{Term, pad_str, truncate_str};
use ferry_proto::v1 as pb;
use ferry_proto::v1::watch_runs_response::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;

/// Lines of the terminal that hold no bar.
const SPARE: usize = 3;
/// Narrower than this there is no room for a bar.
const NARROW: usize = 64;
const NAME: usize = 16;
const DOING: usize = 9;

/// See the module.
pub(super) struct Bars {
    all: MultiProgress,
    /// What is watched, and how the connection is.
    foot: ProgressBar,
    watched: String,
    /// One run is watched, and its end is the end.
    is_one: bool,
    runs: BTreeMap<String, Shown>,
    /// Rows and columns; nothing asks the terminal.
    size: Option<(usize, usize)>,
    complete: bool,
}

struct Shown {
    run: pb::Run,
    pace: Pace,
    /// None where the terminal has no room for it.
    bar: Option<ProgressBar>,
    /// The widest that its figures were: the bar does not change its length with each of them.
    figures: usize,
}

impl Bars {
    pub(super) fn new(watched: String, is_one: bool) -> anyhow::Result<Self> {
        Self::on(ProgressDrawTarget::stdout(), None, (watched, is_one))
    }

    fn on(
        target: ProgressDrawTarget,
        size: Option<(usize, usize)>,
        (watched, is_one): (String, bool),
    ) -> anyhow::Result<Self> {
        let all = MultiProgress::with_draw_target(target);
        let foot = all.add(ProgressBar::new_spinner());
        foot.set_style(ProgressStyle::with_template("{wide_msg}")?);
        let bars = Self { all, foot, watched, is_one, runs: BTreeMap::new(), size, complete: false };
        bars.draw_foot();
        Ok(bars)
    }

    fn size(&self) -> (usize, usize) {
        let asked = || {
            let (rows, columns) = Term::stdout().size();
            (usize::from(rows), usize::from(columns))
        };
        self.size.unwrap_or_else(asked)
    }

    fn take(&mut self, run: &pb::Run, now: Moment) -> anyhow::Result<()> {
        if phrases::has_ended(run) {
            if let Some(bar) = self.runs.remove(&run.name).and_then(|shown| shown.bar) {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
            self.all.println(format!("{} {} {}", phrases::export_of(run), phrases::short_id(run), what(run, now)))?;
            self.promote(now)?;
        } else {
            let (done, _) = phrases::progress(run);
            let new = || Shown { run: run.clone(), pace: Pace::default(), bar: None, figures: 0 };
            let shown = self.runs.entry(run.name.clone()).or_insert_with(new);
            shown.run = run.clone();
            shown.pace.note(now.instant, done);
            self.promote(now)?;
            self.draw(&run.name, now)?;
        }
        self.draw_foot();
        Ok(())
    }

    /// Gives bars to as many runs as there is room for.
    fn promote(&mut self, now: Moment) -> anyhow::Result<()> {
        let room = self.size().0.saturating_sub(SPARE).max(1);
        let with = self.runs.values().filter(|shown| shown.bar.is_some()).count();
        let without = self.runs.iter().filter(|(_, shown)| shown.bar.is_none()).map(|(name, _)| name.clone());
        for name in without.take(room.saturating_sub(with)).collect::<Vec<_>>() {
            if let Some(shown) = self.runs.get_mut(&name) {
                shown.bar = Some(self.all.insert_before(&self.foot, ProgressBar::new(0)));
            }
            self.draw(&name, now)?;
        }
        Ok(())
    }

    fn draw(&mut self, name: &str, now: Moment) -> anyhow::Result<()> {
        let (_, columns) = self.size();
        let Some(Shown { run, pace, bar: Some(bar), figures: widest }) = self.runs.get_mut(name) else { return Ok(()) };
        let (done, total) = phrases::progress(run);
        let export = truncate_str(phrases::export_of(run), NAME, "…");
        bar.set_prefix(pad_str(&export, NAME, console::Alignment::Left, None).into_owned());
        let waits = phrases::waits_for(run);
        let figures = figures(run, pace, now);
        if waits.is_some() || total == 0 || columns < NARROW {
            bar.set_style(ProgressStyle::with_template("{prefix} {wide_msg}")?);
            let counts = if total > 0 { format!(" {figures}") } else { String::new() };
            bar.set_message(format!("{}{counts}", waits.unwrap_or_else(|| what(run, now))));
        } else {
            let doing = phrases::doing(run);
            let style = format!("{{prefix}} {doing:<DOING$} [{{wide_bar}}] {{msg}}");
            bar.set_style(ProgressStyle::with_template(&style)?.progress_chars("=> "));
            *widest = figures.len().max(*widest);
            bar.set_message(format!("{figures:<0$}", *widest));
        }
        bar.set_length(total.cast_unsigned());
        bar.set_position(done.min(total).cast_unsigned());
        bar.tick();
        Ok(())
    }

    fn draw_foot(&self) {
        let hidden = self.runs.values().filter(|shown| shown.bar.is_none()).count();
        let text = match (self.runs.len(), hidden) {
            (0, _) if self.complete && !self.is_one => format!("no run of {} goes on; Ctrl-C ends", self.watched),
            (0, _) => format!("{} …", self.watched),
            (_, 0) => format!("{}; Ctrl-C ends", self.watched),
            (_, hidden) => format!("{hidden} more of {} go on; Ctrl-C ends", self.watched),
        };
        self.foot.set_message(text);
        self.foot.tick();
    }
}

/// Counts, rate and time left.
fn figures(run: &pb::Run, pace: &mut Pace, now: Moment) -> String {
    let (done, total) = phrases::progress(run);
    let mut text = format!("{}/{}", phrases::number(done), phrases::number(total));
    if let Some(rate) = pace.per_minute(now.instant) {
        text = format!("{text} {}/min", phrases::number(rate));
    }
    match (pace.left(now.instant, total), phrases::estimate(run, now.wall)) {
        (Some(left), _) => format!("{text} {} left", phrases::rough(left)),
        (None, Some(left)) => format!("{text} about {} left", phrases::rough(left)),
        (None, None) => text,
    }
}

impl Screen for Bars {
    fn event(&mut self, message: &pb::WatchRunsResponse, now: Moment) -> anyhow::Result<()> {
        match &message.event {
            Some(Event::Run(run)) => self.take(run, now)?,
            Some(Event::SnapshotComplete(_)) => {
                self.complete = true;
                self.draw_foot();
            }
            _ => {}
        }
        Ok(())
    }

    fn note(&mut self, text: &str) {
        self.all.suspend(|| eprintln!("ferry: {text}"));
    }

    fn tick(&mut self, now: Moment) -> anyhow::Result<()> {
        let names: Vec<String> = self.runs.keys().cloned().collect();
        names.iter().try_for_each(|name| self.draw(name, now))
    }

    /// What goes on stays on the terminal as it was last seen, above the next prompt.
    fn close(&mut self) {
        self.foot.finish_and_clear();
        for bar in self.runs.values().filter_map(|shown| shown.bar.as_ref()) {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::super::tests::{after, message, run};
    use super::*;
    use indicatif::InMemoryTerm;

    fn bars(rows: u16, columns: u16) -> (Bars, InMemoryTerm) {
        let terminal = InMemoryTerm::new(rows, columns);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let size = Some((usize::from(rows), usize::from(columns)));
        (Bars::on(target, size, ("tenants/acme".to_owned(), false)).unwrap(), terminal)
    }

    fn named(export: &str, done: u64) -> pb::Run {
        let run = run(done);
        pb::Run { name: run.name.replace("weekly", export), ..run }
    }

    #[test]
    fn a_run_is_a_line_with_bar_counts_rate_and_time_left() {
        let (mut bars, terminal) = bars(24, 80);
        for second in 0..=10 {
            bars.event(&message(run(second * 100)), after(second)).unwrap();
        }
        bars.tick(after(10)).unwrap();
        let lines: Vec<String> = terminal.contents().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].starts_with("weekly           sending   [=="), "{lines:#?}");
        assert!(lines[0].ends_with("] 1,000/5,000 6,000/min 40s left"), "{lines:#?}");
        assert_eq!(lines[1], "tenants/acme; Ctrl-C ends");
    }

    #[test]
    fn a_waiting_run_says_what_for_on_one_line() {
        let (mut bars, terminal) = bars(24, 60);
        let approval = pb::Approval { reasons: vec!["it would remove ".repeat(20)], ..pb::Approval::default() };
        let held = pb::Run { state: pb::run::State::AwaitingApproval.into(), approval: Some(approval), ..run(0) };
        bars.event(&message(held), after(0)).unwrap();
        let contents = terminal.contents();
        assert!(contents.starts_with("weekly           waits for another administrator's approval"), "{contents}");
        assert_eq!(contents.lines().count(), 2, "{contents}");
    }

    #[test]
    fn what_has_ended_stands_above_what_goes_on() {
        let (mut bars, terminal) = bars(24, 80);
        bars.event(&message(named("first", 100)), after(0)).unwrap();
        bars.event(&message(named("second", 100)), after(0)).unwrap();
        let mut ended = named("first", 5_000);
        ended.state = pb::run::State::Succeeded.into();
        ended.end_time = ended.create_time;
        bars.event(&message(ended), after(1)).unwrap();
        bars.close();
        let lines: Vec<String> = terminal.contents().lines().map(str::to_owned).collect();
        assert!(lines[0].starts_with("first a1b2c3d4e5f6 succeeded: 5,000 of 5,000 people confirmed"), "{lines:#?}");
        assert!(lines[1].starts_with("second "), "{lines:#?}");
        assert_eq!(lines.len(), 2, "{lines:#?}");
    }

    #[test]
    fn more_runs_than_lines_are_counted() {
        let (mut bars, terminal) = bars(6, 80);
        for export in ["aaaa", "bbbb", "cccc", "dddd", "eeee"] {
            bars.event(&message(named(export, 100)), after(0)).unwrap();
        }
        bars.tick(after(1)).unwrap();
        let contents = terminal.contents();
        assert!(contents.ends_with("2 more of tenants/acme go on; Ctrl-C ends"), "{contents}");
        assert_eq!(contents.lines().count(), 4, "{contents}");
    }
}
