//! How long a call may take: what its caller allows, and never longer than we do.

use ferry_domain::Error;
use http::HeaderMap;
use std::time::Duration;

const HEADER: &str = "grpc-timeout";
/// Until the head of the answer; a unary call is then done. Whatever the caller allows, no call takes longer.
const HEAD: Duration = Duration::from_secs(30);
/// A stream lives no longer; its reader opens another. So load moves to new servers, and no stream outlives its cause.
const STREAM: Duration = Duration::from_secs(30 * 60);
/// The transport keeps the caller's deadline too, and answers CANCELLED without a request id. So ours ends before it,
/// by what its timer may be early.
const EARLIER: Duration = Duration::from_millis(1);

/// The two bounds of one call. The head's must not end the stream behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// For the head of the answer.
    pub(crate) head: Duration,
    /// For the whole of a stream.
    pub(crate) stream: Duration,
    /// Whether the stream's bound is the caller's own.
    pub(crate) asked: bool,
}

impl Deadline {
    /// Reads `grpc-timeout`: at most eight digits and a unit. Anything else is refused and not ignored, since its
    /// caller believes in a deadline that nobody would keep.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(Self { head: HEAD, stream: STREAM, asked: false });
        };
        let read = value.to_str().ok().filter(|_| values.next().is_none()).and_then(parse);
        let Some(asked) = read else {
            return Err(Error::invalid(HEADER, "must be 1 to 8 digits and one of the units H, M, S, m, u, n, once"));
        };
        Ok(Self { head: HEAD.min(asked.saturating_sub(EARLIER)), stream: STREAM.min(asked), asked: asked <= STREAM })
    }
}

fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn of(values: &[&str]) -> Result<Deadline, Error> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        Deadline::of(&headers)
    }

    #[test]
    fn a_wish_is_kept_up_to_our_own_bounds() {
        let usual = Deadline { head: HEAD, stream: STREAM, asked: false };
        assert_eq!(of(&[]).unwrap(), usual);
        assert_eq!(of(&["99999999H"]).unwrap(), usual);
        let second = Duration::from_secs(1);
        for wish in ["1S", "1000m", "1000000u"] {
            let expected = Deadline { head: second - EARLIER, stream: second, asked: true };
            assert_eq!(of(&[wish]).unwrap(), expected, "{wish}");
        }
        let minute = Duration::from_secs(60);
        assert_eq!(of(&["1M"]).unwrap(), Deadline { head: HEAD, stream: minute, asked: true });
        assert_eq!(of(&["0n"]).unwrap().head, Duration::ZERO);
    }

    #[test]
    fn what_is_no_deadline_is_refused() {
        for value in ["", "S", "1", "1s", "+1S", "-1S", "1.5S", " 1S", "123456789n", "1SS", "10h"] {
            assert!(of(&[value]).is_err(), "{value}");
        }
        assert!(of(&["1S", "1S"]).is_err(), "two are none");
    }
}
