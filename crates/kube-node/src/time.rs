//! Times as the API writes them.

use burstlet_model::WallTime;
use jiff::Timestamp;

/// `metav1.Time`: RFC 3339 in whole seconds.
pub(crate) fn seconds(at: WallTime) -> String {
    Timestamp::new(at.unix_s(), 0)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// `metav1.MicroTime`: RFC 3339 with six digits.
pub(crate) fn micros(at: WallTime) -> String {
    let fraction = at.subsec_ns().cast_signed() / 1000 * 1000;
    Timestamp::new(at.unix_s(), fraction)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
        .to_string()
}

/// Seconds since the epoch of a time of the API's.
pub(crate) fn parse(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_api_does() {
        let at = WallTime(1_700_000_000_123_456_789);
        assert_eq!(seconds(at), "2023-11-14T22:13:20Z");
        assert_eq!(micros(at), "2023-11-14T22:13:20.123456Z");
        assert_eq!(parse("2023-11-14T22:13:20Z"), Some(1_700_000_000));
        assert_eq!(parse("2023-11-14T22:13:20.123456Z"), Some(1_700_000_000));
        assert_eq!(parse("yesterday"), None);
    }
}
