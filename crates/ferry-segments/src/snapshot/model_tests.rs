//! The difference and the fold against a model that knows no files, no digests and no order: maps of addresses to
//! values.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::tests::{Member, build, kept_back, place, spec_of};
use super::*;
use crate::plan::PlanEntries;
use crate::samples::{Action, read_samples};
use crate::state::{FoldSpec, Outcome, Outcomes, Standing, StateEmails, StateReader, fold};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const DAY: i64 = 24 * 60 * 60 * 1_000;
/// As it is written in the segment, and the value that is meant; the long one does not fit into a request.
const VALUES: [(&str, Option<&str>); 12] = [
    ("Ada", Some("Ada")),
    (" Ada\u{a0}", Some("Ada")),
    ("", None),
    ("\u{200b} ", None),
    ("a||b", Some("a||b")),
    ("=1+1\u{0}\u{1b}[31m", Some("=1+1[31m")),
    ("\"\\</script>'; DROP TABLE x;--", Some("\"\\</script>'; DROP TABLE x;--")),
    ("${jndi:ldap://x}{{7*7}}", Some("${jndi:ldap://x}{{7*7}}")),
    ("\u{1f468}\u{200d}\u{1f469} e\u{301}", Some("\u{1f468}\u{200d}\u{1f469} e\u{301}")),
    ("x\u{202e}y", Some("x\u{202e}y")),
    ("two\r\nlines", Some("two\nlines")),
    ("LONG", None),
];
const LONG: usize = 11;
/// The same letters composed and not are two people; so are an address with a tag and one without.
const PEOPLE: [&str; 8] = [
    "ada@b.cd",
    "ada+tag@b.cd",
    "josé@exämple.com",
    "jose\u{301}@exämple.com",
    "o'neill@x.ie",
    "a@xn--e1afmkfd.xn--p1ai",
    "bea@b.cd",
    "cy@b.cd",
];
const NOBODY: [&str; 9] =
    ["", " \u{feff}", "a@@b.cd", "\"q\"@b.cd", "a(c)@b.cd", "a\r\nBcc: x@b.cd", "a＠b.cd", "null", "a@b"];

/// A row of a segment: whose, in which spelling, with which value. Beyond the people it is nobody's.
#[derive(Debug, Clone)]
struct MadeRow {
    who: usize,
    spelling: u8,
    value: usize,
}

impl MadeRow {
    /// The address as sent, with the person's; nothing for nobody.
    fn email(&self) -> Option<(String, &'static str)> {
        let person = PEOPLE.get(self.who)?;
        let sent = if self.spelling.is_multiple_of(2) { (*person).to_owned() } else { person.to_ascii_uppercase() };
        Some((sent, person))
    }

    fn cells(&self) -> Member {
        let around = ["", " ", "\u{a0}", "\u{200b}", "\r\n"][usize::from(self.spelling) % 5];
        let email = match self.email() {
            Some((sent, _)) => format!("{around}{sent}{around}"),
            None => NOBODY[self.who % NOBODY.len()].to_owned(),
        };
        let value = if self.value == LONG { "x".repeat(5_000) } else { VALUES[self.value].0.to_owned() };
        Member { email, name: value }
    }
}

/// One run: what the segment holds, how it is planned, and what becomes of each row.
#[derive(Debug, Clone)]
struct MadeRun {
    rows: Vec<MadeRow>,
    leavers: u8,
    full_resync: bool,
    days: i64,
    outcomes: Vec<u8>,
}

fn a_run() -> impl Strategy<Value = MadeRun> {
    let row = (0..PEOPLE.len() + 2, any::<u8>(), 0..VALUES.len());
    let row = row.prop_map(|(who, spelling, value)| MadeRow { who, spelling, value });
    let rows = proptest::collection::vec(row, 0..14);
    let outcomes = proptest::collection::vec(0..5_u8, 16);
    (rows, 0..3_u8, proptest::bool::weighted(0.15), 0..25_i64, outcomes)
        .prop_map(|(rows, leavers, full_resync, days, outcomes)| MadeRun { rows, leavers, full_resync, days, outcomes })
}

/// As what somebody stands, in plain values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stand {
    Member(String, Option<String>),
    SetField,
    Unsubscribed,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    confirmed: Option<Stand>,
    maybe: BTreeSet<Stand>,
    refused: Option<(Stand, String, i64)>,
    email: String,
}

impl Known {
    fn any(&self, wanted: impl Fn(&Stand) -> bool) -> bool {
        self.confirmed.iter().chain(&self.maybe).any(wanted)
    }
}

fn is_member(stand: &Stand) -> bool {
    matches!(stand, Stand::Member(..))
}

/// Who is to be added, changed, removed or refused, with what is sent, by person.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    to: BTreeMap<&'static str, (&'static str, Stand)>,
    refused: BTreeSet<&'static str>,
    unchanged: u64,
    twins: u64,
    rejected: u64,
    unreadable: u64,
    refused_before: u64,
}

fn expect(run: &MadeRun, state: &HashMap<&'static str, Known>, now: i64) -> Expected {
    let mut expected = Expected::default();
    let mut wanted: BTreeMap<&'static str, Option<Stand>> = BTreeMap::new();
    for row in &run.rows {
        let Some((sent, person)) = row.email() else {
            expected.unreadable += 1;
            expected.rejected += 1;
            continue;
        };
        if row.value == LONG {
            expected.rejected += 1;
            wanted.entry(person).or_insert(None);
        } else if wanted.get(person).is_some_and(Option::is_some) {
            expected.twins += 1;
        } else {
            wanted.insert(person, Some(Stand::Member(sent, VALUES[row.value].1.map(str::to_owned))));
        }
    }
    let held = |known: &Known, stand: &Stand| {
        let same = known.refused.as_ref().filter(|(refused, _, _)| refused == stand);
        !run.full_resync && same.is_some_and(|(_, _, time)| now - time < 30 * DAY)
    };
    for (person, stand) in &wanted {
        let Some(stand) = stand else { continue };
        let known = state.get(person).cloned().unwrap_or_default();
        if known.any(|stand| *stand == Stand::Unsubscribed) {
            expected.refused.insert(person);
        } else if !run.full_resync && known.confirmed.as_ref() == Some(stand) && known.maybe.is_empty() {
            expected.unchanged += 1;
        } else if held(&known, stand) {
            expected.refused.insert(person);
        } else {
            let action = if known.any(is_member) { "change" } else { "add" };
            expected.to.insert(person, (action, stand.clone()));
        }
    }
    let left = [None, Some(Stand::SetField), Some(Stand::Unsubscribed)][usize::from(run.leavers)].clone();
    for (person, known) in state.iter().filter(|(person, _)| !wanted.contains_key(*person)) {
        let Some(left) = left.clone().filter(|_| known.any(is_member)) else { continue };
        if held(known, &left) {
            expected.refused_before += 1;
        } else {
            expected.to.insert(person, ("remove", left));
        }
    }
    expected
}

fn settle(known: &mut Known, stand: &Stand, outcome: u8, now: i64) {
    let final_before = known.any(|stand| *stand == Stand::Unsubscribed);
    match outcome {
        1 => {
            known.confirmed = Some(stand.clone());
            known.maybe.clear();
            known.refused = None;
            if final_before && *stand != Stand::Unsubscribed {
                known.maybe.insert(Stand::Unsubscribed);
            }
        }
        2 => known.refused = Some((stand.clone(), "UP_FRONT".to_owned(), now)),
        3 => {
            known.refused = Some((stand.clone(), "AFTERWARDS".to_owned(), now));
            known.maybe.insert(stand.clone());
        }
        _ => {
            known.refused = known.refused.take().filter(|(refused, ..)| refused != stand);
            known.maybe.insert(stand.clone());
        }
    }
}

fn outcome(code: u8) -> Outcome<'static> {
    match code {
        0 => Outcome::NotSent,
        1 => Outcome::Confirmed,
        2 => Outcome::Refused { reason: "UP_FRONT", may_be_there: false },
        3 => Outcome::Refused { reason: "AFTERWARDS", may_be_there: true },
        _ => Outcome::Unknown,
    }
}

/// Goes through runs with the real thing and the model side by side.
struct World<'a> {
    folder: &'a Path,
    base: Option<StateFile>,
    state: HashMap<&'static str, Known>,
    /// Which standing each of the model's is; one for one.
    standings: HashMap<Standing, Stand>,
    now: i64,
    generation: u32,
}

fn person(email: &str) -> &'static str {
    PEOPLE.into_iter().find(|person| *person == email.to_lowercase()).unwrap()
}

impl World<'_> {
    fn spec(&self, run: &MadeRun) -> SnapshotSpec {
        let rows: Vec<Member> = run.rows.iter().map(MadeRow::cells).collect();
        let set_field = Leavers::SetField { field: "9".to_owned(), left_value: "no".to_owned() };
        SnapshotSpec {
            base: self.base.clone(),
            leavers: [Leavers::Keep, set_field, Leavers::Unsubscribe][usize::from(run.leavers)].clone(),
            full_resync: run.full_resync,
            now_ms: self.now,
            pack: PackLimits { max_rows: 3, max_bytes: 4_000 },
            ..spec_of(self.folder, &rows)
        }
    }

    fn run(&mut self, run: &MadeRun) -> Result<(), TestCaseError> {
        self.now += run.days * DAY;
        let spec = self.spec(run);
        let summary = build(&spec, &SnapshotControl::default()).unwrap();
        let expected = expect(run, &self.state, self.now);
        let known = self.state.values().filter(|known| known.any(is_member)).count() as u64;
        let counted = |action| expected.to.values().filter(|(found, _)| *found == action).count() as u64;
        prop_assert_eq!(summary.members, run.rows.len() as u64);
        prop_assert_eq!(
            (summary.rejected, summary.unreadable, summary.twins, summary.unchanged),
            (expected.rejected, expected.unreadable, expected.twins, expected.unchanged)
        );
        prop_assert_eq!(
            (summary.refused_before, summary.held_elsewhere),
            (expected.refused_before, 0),
            "no other export is there"
        );
        prop_assert_eq!(
            (summary.adds, summary.changes, summary.removals, summary.excluded, summary.known),
            (counted("add"), counted("change"), counted("remove"), expected.refused.len() as u64, known)
        );
        prop_assert_eq!(summary.planned, summary.adds + summary.changes);
        let buckets = summary.rejected + summary.twins + summary.excluded + summary.unchanged + summary.planned;
        prop_assert_eq!(summary.members, buckets);
        prop_assert_eq!(kept_back(&spec).len() as u64, summary.rejected + summary.excluded);
        prop_assert_eq!(summary.rejected_by.values().sum::<u64>(), summary.rejected);
        self.same_rows(&spec, &summary, &expected)?;
        self.fold(run, &spec, &summary, &expected)
    }

    /// The plan and the samples have exactly the expected people, each once and in order.
    fn same_rows(
        &mut self,
        spec: &SnapshotSpec,
        summary: &PlanSummary,
        expected: &Expected,
    ) -> Result<(), TestCaseError> {
        let mut people = BTreeSet::new();
        for section in [0..summary.planned, summary.planned..summary.planned + summary.removals] {
            let is_removal = section.start == summary.planned;
            let mut entries = PlanEntries::open(&spec.plan, section).unwrap();
            let mut last = None;
            while let Some(entry) = entries.next_entry().unwrap() {
                prop_assert!(last < Some(entry.identity));
                last = Some(entry.identity);
                let person = person(&entry.email);
                let (action, stand) = expected.to.get(person).unwrap();
                prop_assert_eq!(*action == "remove", is_removal && summary.removals > 0);
                prop_assert!(people.insert(person));
                if let Stand::Member(sent, _) = stand {
                    prop_assert_eq!(sent, &entry.email);
                }
                let same = self.standings.entry(entry.standing).or_insert_with(|| stand.clone());
                prop_assert_eq!(&*same, stand);
            }
        }
        prop_assert_eq!(people.len(), expected.to.len());
        prop_assert_eq!(self.standings.values().collect::<BTreeSet<_>>().len(), self.standings.len());
        for sample in read_samples(spec.samples.as_ref().unwrap()).unwrap() {
            let found = expected.to.get(person(&sample.email)).map(|(action, _)| *action);
            match sample.action {
                Action::Add => prop_assert_eq!(found, Some("add")),
                Action::Change => prop_assert_eq!(found, Some("change")),
                Action::Remove => prop_assert_eq!(found, Some("remove")),
                Action::Refuse => prop_assert!(expected.refused.contains(person(&sample.email))),
            }
        }
        Ok(())
    }

    fn fold(
        &mut self,
        run: &MadeRun,
        spec: &SnapshotSpec,
        summary: &PlanSummary,
        expected: &Expected,
    ) -> Result<(), TestCaseError> {
        let rows = summary.planned + summary.removals;
        let mut outcomes = Outcomes::none_sent(rows);
        let mut entries = PlanEntries::open(&spec.plan, 0..rows).unwrap();
        while let Some(entry) = entries.next_entry().unwrap() {
            let code = run.outcomes[usize::try_from(entry.ordinal).unwrap() % run.outcomes.len()];
            outcomes.set(entry.ordinal..entry.ordinal + 1, outcome(code));
            let person = person(&entry.email);
            if code > 0 {
                let known = self.state.entry(person).or_default();
                settle(known, &expected.to[person].1, code, self.now);
                known.email = entry.email;
            }
        }
        self.generation += 1;
        let name = format!("state-{}", self.generation);
        let to = |name: &str| FoldSpec {
            base: self.base.clone(),
            plan: spec.plan.clone(),
            planned: summary.planned,
            to: place(self.folder, name),
            now_ms: self.now,
        };
        let folded = fold(&to(&name), &outcomes).unwrap();
        prop_assert_eq!(folded, fold(&to("again"), &outcomes).unwrap(), "a repetition makes the same state");
        prop_assert_eq!(folded.rows, self.state.len() as u64);
        let members = self.state.values().filter(|known| known.any(is_member)).count();
        prop_assert_eq!(folded.members, members as u64);
        let base = StateFile { place: place(self.folder, &name), digest: folded.digest };
        let mut reader = StateReader::open(&base, StateEmails::Read).unwrap();
        while let Some(entry) = reader.next_entry().unwrap() {
            let stand = |standing: &Standing| self.standings[standing].clone();
            let found = Known {
                confirmed: entry.confirmed.as_ref().map(stand),
                maybe: entry.maybe.iter().map(stand).collect(),
                refused: entry.refused.map(|refused| (stand(&refused.standing), refused.reason, refused.time_ms)),
                email: entry.email.clone(),
            };
            prop_assert_eq!(&found, &self.state[person(&entry.email)]);
        }
        self.base = Some(base);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn plans_and_states_are_those_of_a_model_run_after_run(runs in proptest::collection::vec(a_run(), 1..5)) {
        let folder = tempfile::tempdir().unwrap();
        let (state, standings) = (HashMap::new(), HashMap::new());
        let now = 1_800_000_000_000;
        let mut world = World { folder: folder.path(), base: None, state, standings, now, generation: 0 };
        for run in &runs {
            world.run(run)?;
        }
        // Once everything is confirmed, the same snapshot makes no work.
        let last = MadeRun { outcomes: vec![1], full_resync: false, days: 0, ..runs[runs.len() - 1].clone() };
        world.run(&last)?;
        let summary = build(&world.spec(&last), &SnapshotControl::default()).unwrap();
        prop_assert_eq!((summary.planned, summary.removals), (0, 0));
    }
}
