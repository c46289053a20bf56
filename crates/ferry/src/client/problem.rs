//! What went wrong, with which value, and what to do, for people at a terminal.

use super::ConnectArgs;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferry_domain::Timestamp;
use std::error::Error;
use std::fmt;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    what: String,
    todo: Vec<String>,
    is_usage: bool,
    /// The service's own word for it; empty for what is not the service's.
    reason: String,
}

impl Problem {
    pub(crate) fn new(what: String) -> Self {
        Self { what: plain(&what), todo: Vec::new(), is_usage: false, reason: String::new() }
    }

    /// The command line cannot be meant so.
    pub(crate) fn usage(what: String) -> Self {
        Self { is_usage: true, ..Self::new(what) }
    }

    /// Adds what to do.
    pub(crate) fn todo(mut self, text: impl AsRef<str>) -> Self {
        self.todo.push(plain(text.as_ref()));
        self
    }

    /// Says of what it is.
    pub(crate) fn about(self, whom: &str) -> Self {
        Self { what: format!("{}: {}", plain(whom), self.what), ..self }
    }

    /// What went wrong, without what to do.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The reason that the service gave, if it is the service's.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether another command line is the cure.
    pub(crate) fn is_usage(&self) -> bool {
        self.is_usage
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.todo.iter().try_for_each(|text| write!(f, "\n  {text}"))
    }
}

impl Error for Problem {}

/// A text of somebody else without what would move a terminal's cursor.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The reason that the service gave; empty if it gave none, as nothing but the service itself does.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The innermost cause.
fn cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

impl ConnectArgs {
    /// There is no connection.
    pub(super) fn unreachable(&self, error: &dyn Error) -> Problem {
        let problem = Problem::new(format!("{} cannot be reached: {}", self.addr, cause(error)))
            .todo("--addr or FERRY_ADDR says where the service is; `ferry serve` says where it listens");
        if self.addr.is_tls() {
            let todo = "--ca names the authority of its certificate where the system does not trust it; a service \
                        without TLS is reached on loopback alone";
            return problem.todo(todo);
        }
        problem
    }

    /// The host takes connections and says nothing.
    pub(crate) fn silent(&self, limit: Duration) -> Problem {
        Problem::new(format!("{} did not answer within {} s", self.addr, limit.as_secs()))
            .todo("see whether it is Ferry that listens there, and try again")
    }

    /// What a status says.
    pub(crate) fn explain(&self, status: &Status) -> Problem {
        let reason = reason(status);
        if reason.is_empty() {
            return self.explain_transport(status);
        }
        let details = status.get_error_details();
        let what = format!("{} ({reason})", status.message());
        let mut problem = Problem { reason: reason.clone(), ..Problem::new(what) };
        for violation in details.bad_request().into_iter().flat_map(|found| &found.field_violations) {
            problem = problem.todo(format!("{}: {}", violation.field, violation.description));
        }
        for violation in details.precondition_failure().into_iter().flat_map(|found| &found.violations) {
            problem = problem.todo(format!("{}: {}", violation.subject, violation.description));
        }
        for link in details.help().into_iter().flat_map(|found| &found.links) {
            problem = problem.todo(format!("{}: {}", link.description, link.url));
        }
        let named = details.resource_info().map(|found| found.resource_name.clone()).unwrap_or_default();
        let wait = details.retry_info().and_then(|found| found.retry_delay);
        match status.code() {
            Code::Unauthenticated => self.explain_token(problem),
            Code::PermissionDenied if reason == "OWN_RUN" => problem.todo("ask another administrator"),
            Code::PermissionDenied => problem.todo(format!(
                "ask an administrator of the tenant for a higher role, or use another token than that of {}",
                self.token_place()
            )),
            Code::NotFound => problem.todo(match named.as_str() {
                "" => "`ferry exports list` and `ferry runs list` show what is there".to_owned(),
                name => format!("{name} is not there; `ferry exports list` and `ferry runs list` show what is"),
            }),
            Code::AlreadyExists if reason == "RUN_IN_PROGRESS" => {
                problem.todo(format!("watch the one that goes on: ferry runs watch {named}"))
            }
            Code::ResourceExhausted | Code::Unavailable => problem.todo(match wait {
                Some(wait) => format!("try again in {} s", wait.as_secs().max(1)),
                None => "try again in a while".to_owned(),
            }),
            Code::Internal => problem.todo(match details.request_info() {
                Some(request) => format!("report the request {} to the operator", request.request_id),
                None => "report it to the operator".to_owned(),
            }),
            _ => problem,
        }
    }

    /// Something between here and the service.
    fn explain_transport(&self, status: &Status) -> Problem {
        let at = &self.addr;
        match status.code() {
            Code::Unimplemented => Problem::new(format!("{at} does not know this call"))
                .todo("it is another service, or an older Ferry than this command line"),
            Code::DeadlineExceeded => {
                Problem::new(format!("{at} took too long to answer")).todo("try again in a while")
            }
            Code::OutOfRange | Code::ResourceExhausted => {
                Problem::new(format!("{at} refused the size of the request: {}", status.message()))
            }
            code => {
                let why = status.source().map_or_else(|| status.message().to_owned(), cause);
                let name = format!("{code:?}").to_lowercase();
                Problem::new(format!("the connection to {at} failed ({name}): {why}"))
                    .todo("see whether it is Ferry that listens there, with or without TLS as --addr says")
            }
        }
    }

    /// The service says the same of every bad token; the token itself says when it expired.
    fn explain_token(&self, problem: Problem) -> Problem {
        let place = self.token_place();
        let expired = self.token().ok().and_then(|token| expired(&token, crate::serve::now()));
        problem.todo(match expired {
            Some(when) => format!("the token of {place} expired at {when}; get a new one and put it there"),
            None => {
                format!("the token of {place} is of another issuer, for another audience, or revoked; get a new one")
            }
        })
    }
}

/// When a token expired by its own word; nothing if it has not.
fn expired(token: &str, now: Timestamp) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let when = Timestamp::from_millis(claims.get("exp")?.as_i64()?.checked_mul(1_000)?);
    (when <= now).then(|| when.to_rfc3339())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_when_it_expired() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":1000}"#);
        let token = format!("a.{claims}.b");
        assert_eq!(expired(&token, Timestamp::from_millis(1_000_000)).as_deref(), Some("1970-01-01T00:16:40.000Z"));
        assert_eq!(expired(&token, Timestamp::from_millis(999_999)), None);
        for token in ["", "a", "a.b.c", "a.e30.c"] {
            assert_eq!(expired(token, Timestamp::from_millis(i64::MAX)), None);
        }
    }

    #[test]
    fn nothing_of_others_moves_the_cursor() {
        let problem = Problem::new("a\u{1b}[2Jb\r\nc".to_owned()).todo("d\u{7}e");
        assert_eq!(problem.to_string(), "a [2Jb  c\n  d e");
    }
}
