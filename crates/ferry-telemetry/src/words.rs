//! The values of labels and fields. Each is an enum, so that no text of a tenant can become one.

/// What a request to a destination counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestClass {
    /// A bulk import of several contacts.
    ImportMany,
    /// A bulk import of one contact.
    ImportOne,
    /// A look at a batch's state.
    Poll,
    /// Anything else.
    Other,
}

impl RequestClass {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ImportMany => "import_many",
            Self::ImportOne => "import_one",
            Self::Poll => "poll",
            Self::Other => "other",
        }
    }
}

/// What became of a group of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is durable.
    Done,
    /// It is undone.
    Failed,
}

impl Committed {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// Where a profile ends in the account of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the buckets of an account")]
pub enum Outcome {
    Rejected,
    Twin,
    Excluded,
    Unchanged,
    Confirmed,
    Refused,
    Unknown,
    NotSent,
}

impl Outcome {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Twin => "twin",
            Self::Excluded => "excluded",
            Self::Unchanged => "unchanged",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::NotSent => "not_sent",
        }
    }
}

/// How far a batch came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The destination has it.
    Queued,
    /// The destination has taken these rows.
    Confirmed,
    /// The destination has refused these rows.
    Refused,
}

impl Step {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
        }
    }
}

/// How an attempt to send a notification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// The receiver has it.
    Taken,
    /// Not now; it is repeated later.
    Failed,
    /// Not, and it was the last attempt.
    GivenUp,
    /// The receiver wants nothing any more.
    Gone,
}

impl Delivered {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Taken, Self::Failed, Self::GivenUp, Self::Gone];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Gone => "gone",
        }
    }
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the phases of a run")]
pub enum Phase {
    Reading,
    Planning,
    Sending,
    Settling,
}

impl Phase {
    /// Its word, in traces and elsewhere.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Planning => "planning",
            Self::Sending => "sending",
            Self::Settling => "settling",
        }
    }
}

/// How an HTTP request ended, as a label: the class of its status, or why there is none. The limit's 429 is a class of
/// its own.
pub(crate) fn status_class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        429 => "429",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
