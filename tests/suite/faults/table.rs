//! The table of faults: how the simulator makes each, which requests it strikes, and what a run must come to.

use ferry_sim::Endpoint::{self, Import, Status};
use ferry_sim::FaultKind as Kind;
use ferry_sim::{ForbiddenShape, RetryAfter};

/// What a run comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// It succeeds: whoever can be taken is confirmed, whoever is on a list of the account is refused.
    Well,
    /// It succeeds, and more profiles than those may be refused.
    WithRefusals,
    /// It stops for this reason, and this is who has to act.
    Stops(&'static str, &'static str),
    /// Well after single strikes; stopped by a whole minute of them.
    WellOrStops(&'static str, &'static str),
}

/// One way to go wrong.
pub(super) struct Fault {
    /// Its number in this table, and its form.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The requests that it strikes.
    pub(super) on: &'static [Endpoint],
    pub(super) ends: Ends,
    /// Imports that one strike may cost beyond the one that it struck.
    pub(super) imports_each: u64,
    /// Deliveries beyond the first that one strike may cost, in batches.
    pub(super) repeats_each: u64,
    /// How many times faster than real the simulator's clock runs, where the usual scale would take too long.
    pub(super) scale: Option<f64>,
}

const BOTH: &[Endpoint] = &[Import, Status];
const IMPORT: &[Endpoint] = &[Import];
const STATUS: &[Endpoint] = &[Status];
const REVOKED: Ends = Ends::WellOrStops("CREDENTIALS_REFUSED", "CULPRIT_USER");
const GIVEN_UP: Ends = Ends::WellOrStops("DESTINATION_FAILED", "CULPRIT_DESTINATION");

/// Nothing of a struck import is done; it is sent once more.
fn undone(name: &'static str, kind: Kind) -> Fault {
    Fault { name, kind, on: BOTH, ends: Ends::Well, imports_each: 1, repeats_each: 0, scale: None }
}

/// A struck import is done and nobody hears of it; it is sent once more, and everyone in it arrives twice.
fn unheard(name: &'static str, kind: Kind) -> Fault {
    Fault { repeats_each: 1, ..undone(name, kind) }
}

/// Strikes imports alone.
fn of_imports(fault: Fault) -> Fault {
    Fault { on: IMPORT, ..fault }
}

/// Strikes questions alone, which cost no import.
fn of_questions(name: &'static str, kind: Kind) -> Fault {
    Fault { on: STATUS, imports_each: 0, ..undone(name, kind) }
}

/// Costs nothing.
fn harmless(fault: Fault) -> Fault {
    Fault { imports_each: 0, repeats_each: 0, ..fault }
}

/// A struck import ends the run.
fn ends(name: &'static str, kind: Kind, reason: &'static str) -> Fault {
    Fault { on: IMPORT, ends: Ends::Stops(reason, "CULPRIT_USER"), ..undone(name, kind) }
}

fn limited(name: &'static str, retry_after: RetryAfter) -> Fault {
    undone(name, Kind::RateLimit429 { retry_after })
}

/// All of them. F20 and F42 are in `reach.rs`; F37 for good, F38 and the forms of F35 have tests of their own beside
/// their rows.
pub(super) fn faults() -> Vec<Fault> {
    [rate(), server(), lost_answers(), framing(), slow(), content(), refusal(), account()]
        .into_iter()
        .flatten()
        .collect()
}

fn rate() -> Vec<Fault> {
    vec![
        limited("F01 429 with seconds", RetryAfter::Seconds(30)),
        limited("F02 429 with a date", RetryAfter::Date(30)),
        limited("F03 429 without Retry-After", RetryAfter::Missing),
        limited("F04 negative", RetryAfter::Negative),
        limited("F04 fractional", RetryAfter::Fractional),
        limited("F04 not a number", RetryAfter::Junk),
        limited("F04 twice", RetryAfter::Doubled),
        // Nobody sits ten days out.
        Fault {
            ends: Ends::Stops("DESTINATION_RATE_LIMITED", "CULPRIT_DESTINATION"),
            ..limited("F04 ten days", RetryAfter::Huge)
        },
        of_imports(undone("F05 400 as rate limit", Kind::RateLimit400)),
        // All imports on their way find the minute used up; the struck one is told of the second first, and may find the
        // minute used up when it comes again, before the others have their answers.
        Fault {
            imports_each: 5,
            ..undone("F06 another key of the account", Kind::ForeignTraffic { requests: 5, imports: 100 })
        },
    ]
}

fn server() -> Vec<Fault> {
    vec![
        undone("F07 500", Kind::ServerError),
        undone("F08 502 as JSON", Kind::BadGateway),
        undone("F09 503 with Retry-After", Kind::Unavailable { retry_after: RetryAfter::Seconds(30) }),
        unheard("F10 504 after accepting", Kind::GatewayTimeoutAfterwards),
        // A login page: the key may be bad.
        Fault { ends: REVOKED, ..undone("F11 200 with a page", Kind::HtmlPage) },
    ]
}

fn lost_answers() -> Vec<Fault> {
    let cut = |name, after_bytes| unheard(name, Kind::CutAnswer { after_bytes });
    vec![
        unheard("F12 no answer", Kind::NeverAnswer),
        unheard("F13 reset instead of an answer", Kind::ResetAfterwards),
        cut("F14 cut before the first byte", 0),
        cut("F14 cut in the head", 20),
        cut("F14 cut in the body", 190),
        // Beyond the end: it is whole, and the connection is reset.
        harmless(cut("F14 cut after the last byte", usize::MAX)),
        unheard("F15 later than our deadline", Kind::DelayAnswer { delay_ms: 9_000 }),
    ]
}

fn framing() -> Vec<Fault> {
    vec![
        unheard("F16 shorter than its length", Kind::LengthTooLong),
        unheard("F16 longer than its length", Kind::LengthTooShort),
        unheard("F17 broken chunk", Kind::BrokenChunk),
        unheard("F18 header of 1 MiB", Kind::HugeHeader),
        unheard("F19 1,000 interim answers", Kind::InterimAnswers),
        unheard("F21 reset of an idle connection", Kind::IdleReset { after_ms: 5 }),
    ]
}

fn slow() -> Vec<Fault> {
    vec![
        unheard("F22 head byte by byte", Kind::SlowHeaders { every_ms: 1_000 }),
        unheard("F23 body byte by byte", Kind::SlowBody { every_ms: 1_000 }),
        undone("F24 nothing is read", Kind::StopReading),
        unheard("F25 endless body", Kind::EndlessBody),
        unheard("F26 gzip bomb", Kind::GzipBomb),
    ]
}

fn content() -> Vec<Fault> {
    vec![
        unheard("F27 broken JSON", Kind::InvalidJson),
        harmless(unheard("F27 byte order mark", Kind::ByteOrderMark)),
        unheard("F27 UTF-16", Kind::Utf16),
        harmless(unheard("F27 keys twice", Kind::DuplicateKeys)),
        unheard("F27 10,000 levels", Kind::DeepNesting),
        harmless(of_imports(unheard("F28 Success", Kind::SuccessCapital))),
        of_imports(unheard("F28 success 0", Kind::SuccessZero)),
        of_imports(unheard("F28 no batch id", Kind::MissingBatchId)),
        harmless(of_imports(unheard("F28 a count that does not add up", Kind::QueuedMismatch))),
        unheard("F29 null", Kind::NullBody),
    ]
}

fn refusal() -> Vec<Fault> {
    let one = |name, text: &str| Fault {
        on: IMPORT,
        ends: Ends::WithRefusals,
        imports_each: 1,
        ..undone(name, Kind::RefuseContact { contact: 17, text: text.to_owned() })
    };
    vec![
        one("F30 one bad address", "Field 'email' incorrect format"),
        Fault {
            on: IMPORT,
            ends: Ends::WithRefusals,
            imports_each: 0,
            ..undone("F31 250 bad addresses", Kind::RefuseAllContacts)
        },
        one("F32 a reason that nobody knows", "Computer says no"),
        // Whoever is refused is not named, so the whole batch is tried again, and at last refused.
        Fault { on: IMPORT, ends: GIVEN_UP, ..undone("F33 nobody's place", Kind::RefuseOutOfRange) },
        of_questions("F34 failures in capitals", Kind::FailureInCapitals),
        of_questions("F34 failures twice", Kind::FailureTwice),
        Fault {
            repeats_each: 1,
            imports_each: 1,
            ..of_questions("F34 failure of a stranger", Kind::FailureOfStranger)
        },
        of_imports(unheard("F35 failed by the destination", Kind::BatchFailed)),
        of_imports(unheard("F35 interrupted half way", Kind::BatchInterrupted)),
        Fault { scale: Some(400.0), ..ends_late("F35 queued for ever", Kind::BatchStuck) },
        Fault { scale: Some(200.0), ..of_imports(unheard("F36 forgotten", Kind::BatchForgotten)) },
    ]
}

fn ends_late(name: &'static str, kind: Kind) -> Fault {
    Fault { ends: Ends::Stops("TIMED_OUT", "CULPRIT_DESTINATION"), ..ends(name, kind, "") }
}

fn account() -> Vec<Fault> {
    let forbidden = |name, shape| Fault { ends: REVOKED, ..undone(name, Kind::Forbidden { shape }) };
    vec![
        forbidden("F37 key revoked, F38 a single 403", ForbiddenShape::Empty),
        forbidden("F38 with a message", ForbiddenShape::Message),
        forbidden("F38 with errors", ForbiddenShape::Errors),
        ends("F39 402", Kind::PaymentRequired, "ACCOUNT_LAPSED"),
        harmless(Fault {
            on: IMPORT,
            ends: Ends::WithRefusals,
            ..undone("F40 plan limit in failure", Kind::PlanLimitInBatch)
        }),
        ends("F40 plan limit as 403", Kind::PlanLimit, "ACCOUNT_FULL"),
        ends("F41 list deleted", Kind::ListDeleted { list: ferry_testkit::LIST }, "LIST_NOT_FOUND"),
    ]
}
