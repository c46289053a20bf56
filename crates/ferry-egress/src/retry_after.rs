//! `Retry-After`, in every form that is seen: seconds, fractions, dates, twice, nonsense.

use http::HeaderMap;
use http::header::RETRY_AFTER;
use std::time::{Duration, SystemTime};

/// Longer waits are cut to this; whoever waits decides whether that is too long.
const LONGEST: Duration = Duration::from_secs(10 * 24 * 3_600);

/// The longest wait that the headers ask for; nothing if they ask for none in a form that can be read.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    values.filter_map(|value| parse(value.trim(), now)).max()
}

fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.parse::<f64>() {
        let usable = seconds.is_finite() && seconds >= 0.0;
        return usable.then(|| Duration::from_secs_f64(seconds.ceil().min(LONGEST.as_secs_f64())));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or(Duration::ZERO).min(LONGEST))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn wait(values: &[&str]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, value.parse().unwrap());
        }
        retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    #[test]
    fn every_form_is_read_or_left_aside() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&["30"]), seconds(30));
        assert_eq!(wait(&["0.2"]), seconds(1));
        assert_eq!(wait(&["-5"]), None);
        assert_eq!(wait(&["soon"]), None);
        assert_eq!(wait(&["NaN"]), None);
        assert_eq!(wait(&["1e300"]), seconds(864_000));
        assert_eq!(wait(&["99999999"]), seconds(864_000));
        assert_eq!(wait(&["Sun, 06 Nov 1994 08:49:47 GMT"]), seconds(10));
        assert_eq!(wait(&["Sun, 06 Nov 1994 08:49:27 GMT"]), seconds(0));
        assert_eq!(wait(&["5", "60"]), seconds(60));
    }
}
