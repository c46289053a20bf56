//! The kinds of faults and what each does. They are written for JSON as `{"kind":"server_error",...}`.

use serde::{Deserialize, Serialize};

/// What goes wrong. Unless it says otherwise, a fault that answers in the service's place leaves the request undone,
/// and one that spoils an answer lets the request be carried out first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// 429 with a `Retry-After` of the given form.
    #[serde(rename = "rate_limit_429")]
    RateLimit429 {
        /// The form of the header.
        retry_after: RetryAfter,
    },
    /// The imports' own 400 `Rate limit exceeded.`.
    #[serde(rename = "rate_limit_400")]
    RateLimit400,
    /// Another integration of the account uses up places of the limits just before the request.
    ForeignTraffic {
        /// Places of the limit per second.
        requests: u32,
        /// Places of the limit of imports per minute.
        imports: u32,
    },
    /// 500 with a short text.
    ServerError,
    /// Cloudflare's 502 as JSON.
    BadGateway,
    /// 503 with a `Retry-After` of the given form.
    Unavailable {
        /// The form of the header.
        retry_after: RetryAfter,
    },
    /// 504 after the request was carried out.
    GatewayTimeoutAfterwards,
    /// 200 with an HTML page instead of an answer.
    HtmlPage,
    /// 403; with [`super::When::Always`] the key is revoked, with one time it is the spurious one.
    Forbidden {
        /// The form of the body.
        shape: ForbiddenShape,
    },
    /// An answer of the service's own making that tells the request's key back in every place that a client may read.
    EchoKey {
        /// The answer's status.
        status: u16,
    },
    /// 402 with an empty body: the account has lapsed.
    PaymentRequired,
    /// The connection is reset before anything is carried out.
    DropBefore,
    /// The request's body is not read, and the connection is kept.
    StopReading,
    /// The request waits, before anything is carried out, until [`super::Faults::release`].
    HoldBefore,
    /// The answer waits until [`super::Faults::release`].
    HoldAnswer,
    /// No answer ever.
    NeverAnswer,
    /// A reset instead of the answer.
    ResetAfterwards,
    /// A reset after the first bytes of the answer, its head included.
    CutAnswer {
        /// How many bytes.
        after_bytes: usize,
    },
    /// The answer comes late.
    DelayAnswer {
        /// Real milliseconds, as the deadlines of requests are real.
        delay_ms: u64,
    },
    /// The answer is whole, and the idle connection is reset afterwards.
    IdleReset {
        /// Real milliseconds until the reset.
        after_ms: u64,
    },
    /// One byte of the head at a time.
    SlowHeaders {
        /// Real milliseconds between two bytes.
        every_ms: u64,
    },
    /// One byte of the body at a time.
    SlowBody {
        /// Real milliseconds between two bytes.
        every_ms: u64,
    },
    /// A body without end.
    EndlessBody,
    /// `Content-Length` says more than is sent; the connection is closed.
    LengthTooLong,
    /// `Content-Length` says less than is sent.
    LengthTooShort,
    /// A chunked body whose second chunk has no valid size.
    BrokenChunk,
    /// A header of 1 MiB.
    HugeHeader,
    /// A thousand interim answers (100) before the real one.
    InterimAnswers,
    /// 64 MiB of zeros in gzip, unasked for.
    GzipBomb,
    /// The body breaks off as JSON, although the length is right.
    InvalidJson,
    /// The body starts with a byte order mark.
    ByteOrderMark,
    /// The body is UTF-16.
    Utf16,
    /// The body's keys come twice, first with other values.
    DuplicateKeys,
    /// The body is 10,000 levels deep.
    DeepNesting,
    /// The body is `null`.
    NullBody,
    /// An import's answer spells `Success`.
    SuccessCapital,
    /// An import's answer says `success: 0` with 200, although it was queued.
    SuccessZero,
    /// An import's answer lacks `batchId`.
    MissingBatchId,
    /// An import's `queued_contacts` is not what was sent.
    QueuedMismatch,
    /// An import is refused for one contact; its address is refused from then on.
    RefuseContact {
        /// The contact's place, from 1.
        contact: usize,
        /// The reason given.
        text: String,
    },
    /// An import is refused for every contact, once.
    RefuseAllContacts,
    /// An import is refused for a contact that it does not have (0 and one after the last).
    RefuseOutOfRange,
    /// The batch ends as `failed`.
    BatchFailed,
    /// The batch ends as `interrupted`, half applied.
    BatchInterrupted,
    /// The batch stays `waiting`.
    BatchStuck,
    /// The batch is processed, and its id is unknown afterwards.
    BatchForgotten,
    /// A status names failed addresses in capitals.
    FailureInCapitals,
    /// A status names a failed address that was never sent.
    FailureOfStranger,
    /// A status names each failed address twice.
    FailureTwice,
    /// The plan's contacts count as used up: 403.
    PlanLimit,
    /// The plan's contacts count as used up while this batch is processed: its new contacts end in `failure`.
    PlanLimitInBatch,
    /// A list is deleted just before the request.
    ListDeleted {
        /// Which list.
        list: u32,
    },
}

/// The forms of a `Retry-After` header.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// So many simulated seconds.
    Seconds(u32),
    /// The same as an HTTP date, so many seconds from the real time.
    Date(u32),
    /// No header.
    Missing,
    /// `-30`.
    Negative,
    /// Ten days.
    Huge,
    /// `1.5`.
    Fractional,
    /// `soon`.
    Junk,
    /// Two headers, 1 and 30.
    Doubled,
}

impl RetryAfter {
    /// The values of the header, one for each time it is sent.
    pub(crate) fn values(self) -> Vec<String> {
        let one = |value: &str| vec![value.to_owned()];
        match self {
            Self::Seconds(seconds) => vec![seconds.to_string()],
            Self::Date(seconds) => {
                let when = std::time::SystemTime::now() + std::time::Duration::from_secs(seconds.into());
                vec![httpdate::fmt_http_date(when)]
            }
            Self::Missing => Vec::new(),
            Self::Negative => one("-30"),
            Self::Huge => one("864000"),
            Self::Fractional => one("1.5"),
            Self::Junk => one("soon"),
            Self::Doubled => vec!["1".to_owned(), "30".to_owned()],
        }
    }

    /// How long a client has to keep away, as far as the header can be understood.
    pub(crate) fn seconds(self) -> Option<f64> {
        match self {
            Self::Seconds(seconds) => Some(seconds.into()),
            // A date has whole seconds and is cut off.
            Self::Date(seconds) => Some(f64::from(seconds.saturating_sub(1))),
            Self::Huge => Some(864_000.0),
            Self::Fractional => Some(1.5),
            // Which of the two a client follows is its choice.
            Self::Doubled => Some(1.0),
            Self::Missing | Self::Negative | Self::Junk => None,
        }
    }
}

/// The forms of a 403's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForbiddenShape {
    /// Nothing, without a content type: the key is wrong.
    Empty,
    /// `{"message":"Forbidden"}`.
    Message,
    /// The `errors` envelope with a detail.
    Errors,
}

/// When in a request's life a fault steps in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before the body is read.
    BeforeBody,
    /// Just before the limits are asked.
    BeforeLimits,
    /// In the place of the service's own answer.
    Instead,
    /// While the request is carried out.
    Within,
    /// After the answer's body is known.
    Body,
    /// On the socket.
    Delivery,
}

impl FaultKind {
    /// The name in JSON and in the report.
    pub(crate) fn name(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value["kind"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::StopReading | Self::HoldBefore => Stage::BeforeBody,
            Self::ForeignTraffic { .. } | Self::ListDeleted { .. } => Stage::BeforeLimits,
            Self::RateLimit429 { .. }
            | Self::RateLimit400
            | Self::ServerError
            | Self::BadGateway
            | Self::Unavailable { .. }
            | Self::HtmlPage
            | Self::Forbidden { .. }
            | Self::PaymentRequired
            | Self::EchoKey { .. }
            | Self::PlanLimit
            | Self::DropBefore => Stage::Instead,
            Self::RefuseContact { .. }
            | Self::RefuseAllContacts
            | Self::RefuseOutOfRange
            | Self::BatchFailed
            | Self::BatchInterrupted
            | Self::BatchStuck
            | Self::BatchForgotten
            | Self::PlanLimitInBatch
            | Self::FailureInCapitals
            | Self::FailureOfStranger
            | Self::FailureTwice => Stage::Within,
            Self::GatewayTimeoutAfterwards
            | Self::InvalidJson
            | Self::ByteOrderMark
            | Self::Utf16
            | Self::DuplicateKeys
            | Self::DeepNesting
            | Self::NullBody
            | Self::SuccessCapital
            | Self::SuccessZero
            | Self::MissingBatchId
            | Self::QueuedMismatch
            | Self::GzipBomb => Stage::Body,
            Self::HoldAnswer
            | Self::NeverAnswer
            | Self::ResetAfterwards
            | Self::CutAnswer { .. }
            | Self::DelayAnswer { .. }
            | Self::IdleReset { .. }
            | Self::SlowHeaders { .. }
            | Self::SlowBody { .. }
            | Self::EndlessBody
            | Self::LengthTooLong
            | Self::LengthTooShort
            | Self::BrokenChunk
            | Self::HugeHeader
            | Self::InterimAnswers => Stage::Delivery,
        }
    }

    /// Whether the kind means something only for requests of an import or of its status.
    pub(crate) fn only_for(&self) -> Option<super::Endpoint> {
        match self {
            Self::RateLimit400
            | Self::SuccessCapital
            | Self::SuccessZero
            | Self::MissingBatchId
            | Self::QueuedMismatch
            | Self::RefuseContact { .. }
            | Self::RefuseAllContacts
            | Self::RefuseOutOfRange
            | Self::BatchFailed
            | Self::BatchInterrupted
            | Self::BatchStuck
            | Self::BatchForgotten
            | Self::PlanLimit
            | Self::PlanLimitInBatch => Some(super::Endpoint::Import),
            Self::FailureInCapitals | Self::FailureOfStranger | Self::FailureTwice => Some(super::Endpoint::Status),
            // A wildcard, because every other kind, also a future one, may strike any request.
            _ => None,
        }
    }
}
