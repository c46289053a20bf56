//! Who may do what: every RPC, from every caller, against a second statement of the rules (`rules`) that knows nothing
//! of the first.

mod ask;
mod calls;
mod cells;
mod fields;
mod isolation;
mod oracle;
mod pages;
mod roles;
mod rules;
mod scene;
mod walk;
mod wire;
mod world;

use cells::{Cell, Claim, Relation, Sharing};
use ferry_testkit::{Stage, TENANT};
use rules::{Outcome, Role};
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, Statement};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OnceCell;
use tonic::Code;
use wire::{Answer, Wire};
use world::Place;

/// A cell and what came of it.
struct Seen {
    cell: Cell,
    answer: Answer,
}

/// What came of all of them.
struct Walk {
    seen: Vec<Seen>,
    /// Entries CALL_DENIED that were written meanwhile, by reason.
    denials: BTreeMap<String, i64>,
}

static SEEN: OnceCell<Walk> = OnceCell::const_new();

/// Calls that are on their way at once.
const WORKERS: usize = 12;
const NOWHERE: &str = "nowhere";
const BYGONE: &str = "bygone";

/// Asks every cell, once for all tests of this file.
async fn seen() -> &'static [Seen] {
    &SEEN.get_or_init(ask_all).await.seen
}

async fn ask_all() -> Walk {
    let stage = Stage::new().await;
    let mut places = Vec::new();
    for sharing in cells::SHARING {
        places.push(Place::make(&stage, sharing).await);
    }
    let cells = cells::cells();
    world::remove_tenant(&stage, BYGONE).await;
    let before = denials(&stage).await;
    let begun = Instant::now();
    let shared = Arc::new((places, tokens(&stage, &cells), cells));
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let wire = Wire::connect(stage.addr()).await;
        let shared = Arc::clone(&shared);
        workers.spawn(async move {
            let (places, tokens, cells) = &*shared;
            let mut seen = Vec::new();
            for cell in cells.iter().skip(worker).step_by(WORKERS) {
                let answer = ask_one(&wire, places, &tokens[&token_key(cell)], cell).await;
                seen.push(Seen { cell: cell.clone(), answer });
            }
            seen
        });
    }
    let seen: Vec<Seen> = workers.join_all().await.into_iter().flatten().collect();
    #[allow(clippy::print_stdout, reason = "the figure is what the test is asked for")]
    {
        println!("matrix: {} cells of {} RPCs in {:?}", seen.len(), ask::rpcs().len(), begun.elapsed());
    }
    let denials = denials(&stage).await.into_iter().map(|(reason, count)| {
        let earlier = before.get(&reason).copied().unwrap_or(0);
        (reason, count - earlier)
    });
    Walk { seen, denials: denials.collect() }
}

/// Entries of refused calls in all chains, by reason: each has one place in one chain.
async fn denials(stage: &Stage) -> BTreeMap<String, i64> {
    let path = stage.path("data/ferry.db").display().to_string();
    let database = Database::connect(format!("sqlite://{path}?mode=ro")).await.unwrap();
    let query = "SELECT CASE WHEN instr(body, CAST('OWN_RUN' AS BLOB)) > 0 THEN 'OWN_RUN' ELSE 'ROLE_TOO_LOW' END, \
                 count(*) FROM audit_entries WHERE kind = 'CALL_DENIED' GROUP BY 1";
    let rows = database.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, query)).await.unwrap();
    let counts = rows.iter().map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())).collect();
    database.close().await.unwrap();
    counts
}

/// A token for each claim and each tenant that it may be about.
type Key = (Claim, Option<String>);

fn token_key(cell: &Cell) -> Key {
    let tenant = match cell.relation {
        Relation::Own => Some(Place::tenant(cell.sharing)),
        Relation::Other | Relation::OtherNeverExisted => Some(TENANT.to_owned()),
        Relation::NeverExisted => Some(NOWHERE.to_owned()),
        Relation::Removed => Some(BYGONE.to_owned()),
        Relation::NoClaim => None,
    };
    (cell.claim, tenant)
}

fn tokens(stage: &Stage, cells: &[Cell]) -> BTreeMap<Key, String> {
    let keys: BTreeSet<Key> = cells.iter().map(token_key).collect();
    keys.into_iter().map(|key| (key.clone(), world::token_of(stage, key.0, key.1.as_deref()))).collect()
}

async fn ask_one(wire: &Wire, places: &[Place], token: &str, cell: &Cell) -> Answer {
    let place = places.iter().find(|place| place.sharing == cell.sharing).unwrap();
    let nothing = |tenant: &str| world::names(tenant, "mine", "mine", world::NO_RUN);
    let names = match cell.relation {
        Relation::NeverExisted | Relation::OtherNeverExisted => nothing(NOWHERE),
        Relation::Removed => nothing(BYGONE),
        _ => place.names(cell.owner).clone(),
    };
    let body = calls::request(&cell.rpc, &ask::Ask::gently(&names)).unwrap();
    wire.call(&cell.rpc, cell.is_stream, token, &body).await
}

/// What an answer says of the caller's rights. `None` for one that no caller should ever get.
fn outcome(answer: &Answer, expected: Outcome) -> Option<Outcome> {
    match answer.code {
        Code::Unauthenticated => Some(Outcome::Unauthenticated),
        Code::PermissionDenied => Some(Outcome::Denied),
        Code::NotFound if expected == Outcome::Hidden => Some(Outcome::Hidden),
        Code::Internal | Code::Unknown | Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => None,
        _ => Some(Outcome::Allowed),
    }
}

/// Whether an RPC that was let in must find what it names.
fn must_find(cell: &Cell) -> bool {
    let is_there = cell.relation == Relation::Own && cell.sharing != Sharing::Removed;
    is_there && cell.rpc != "AuditService/GetCheckpoint"
}

#[test]
fn every_rpc_is_in_the_tables_of_the_matrix() {
    for rpc in ask::rpcs() {
        let name = &rpc.name;
        assert!(rules::rule(name).is_some(), "{name} is new: say in matrix/rules.rs who may call it");
        let call = calls::request(name, &ask::Ask::gently(&ask::Names::default()));
        assert!(call.is_some(), "{name} is new: say in matrix/calls.rs how it is called");
        let (_, fields) = ask::parts(name);
        assert_eq!(fields, rpc.ids, "{name}: the call in matrix/calls.rs leaves a field with a name in it empty");
    }
}

#[tokio::test]
async fn p1_every_rpc_for_every_role_tenant_sharing_and_owner() {
    let mut wrong = Vec::new();
    for Seen { cell, answer } in seen().await {
        let expected = rules::expected(rules::rule(&cell.rpc).unwrap(), cell);
        let got = outcome(answer, expected);
        let is_missed = answer.code == Code::NotFound && expected == Outcome::Allowed && must_find(cell);
        if got != Some(expected) || is_missed {
            wrong.push(format!("{cell}: expected {expected:?}, got {:?} ({})", answer.code, answer.message));
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn l3_each_refusal_of_the_walk_is_one_entry() {
    seen().await;
    let Walk { seen, denials } = SEEN.get().unwrap();
    let mut expected = BTreeMap::new();
    for Seen { answer, .. } in seen.iter().filter(|seen| seen.answer.code == Code::PermissionDenied) {
        *expected.entry(wire::reason(answer)).or_insert(0) += 1;
    }
    assert!(expected["OWN_RUN"] > 0 && expected["ROLE_TOO_LOW"] > 1_000, "{expected:?}");
    assert_eq!(*denials, expected);
}

#[tokio::test]
async fn p1_a_higher_role_may_do_all_that_a_lower_one_may() {
    let mut let_in: BTreeMap<String, BTreeSet<Role>> = BTreeMap::new();
    for Seen { cell, answer } in seen().await {
        let role = match cell.claim {
            Claim::Viewer => Role::Viewer,
            Claim::Contributor => Role::Contributor,
            Claim::Administrator => Role::Administrator,
            _ => continue,
        };
        let roles = let_in.entry(Cell { claim: Claim::NoRole, ..cell.clone() }.to_string()).or_default();
        let is_refused = matches!(answer.code, Code::Unauthenticated | Code::PermissionDenied | Code::NotFound);
        if !is_refused {
            roles.insert(role);
        }
    }
    let steps = [(Role::Viewer, Role::Contributor), (Role::Contributor, Role::Administrator)];
    for (cell, roles) in &let_in {
        for (lower, higher) in steps {
            assert!(!roles.contains(&lower) || roles.contains(&higher), "{cell}: {lower:?} may, {higher:?} may not");
        }
    }
    let any = |role: Role| let_in.values().filter(|roles| roles.contains(&role)).count();
    assert!(any(Role::Viewer) > 0 && any(Role::Viewer) < any(Role::Contributor), "viewers do less than contributors");
    assert!(any(Role::Contributor) < any(Role::Administrator), "contributors do less than administrators");
}
