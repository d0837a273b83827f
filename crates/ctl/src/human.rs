//! Times, sizes and texts as people read them.

use std::time::Duration;

use jiff::SignedDuration;
use pbjson_types::{Duration as ProtoDuration, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Foreign text with every character escaped that a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    let is_obeyed = |c: char| {
        let turns = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || turns
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_obeyed(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// The time that passed, with two units at most: `45s`, `3m20s`, `5h`, `12d`.
pub(crate) fn age(since: Option<&Timestamp>, now: &Timestamp) -> String {
    match since {
        Some(since) => seconds(now.seconds - since.seconds),
        None => String::new(),
    }
}

/// A number of seconds with two units at most.
pub(crate) fn seconds(seconds: i64) -> String {
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| {
        let (whole, rest) = (seconds / large, seconds % large / small);
        match rest {
            0 => format!("{whole}{large_unit}"),
            _ => format!("{whole}{large_unit}{rest}{small_unit}"),
        }
    };
    match seconds {
        // Clocks differ a little.
        ..0 => "0s".to_owned(),
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(MINUTE, "m", 1, "s"),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(HOUR, "h", MINUTE, "m"),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(DAY, "d", HOUR, "h"),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        _ => two(YEAR, "y", DAY, "d"),
    }
}

/// A short span: `1.2ms`, `350ms`, `1.25s`, `2m5s`.
pub(crate) fn span(duration: Duration) -> String {
    match duration.as_micros() {
        us @ 0..1000 => format!("{us}µs"),
        us @ 1000..10_000 => format!("{:.1}ms", us as f64 / 1e3),
        us @ 10_000..1_000_000 => format!("{}ms", us / 1000),
        us @ 1_000_000..10_000_000 => format!("{:.2}s", us as f64 / 1e6),
        us @ 10_000_000..120_000_000 => format!("{:.1}s", us as f64 / 1e6),
        us => seconds(i64::try_from(us / 1_000_000).unwrap_or(i64::MAX)),
    }
}

/// From one time to a later one; nothing if the clock was set back between.
pub(crate) fn between(from: &Timestamp, to: &Timestamp) -> Duration {
    let nanos = |t: &Timestamp| i128::from(t.seconds) * 1_000_000_000 + i128::from(t.nanos);
    let nanos = u64::try_from(nanos(to) - nanos(from)).unwrap_or_default();
    Duration::from_nanos(nanos)
}

/// A duration of the API; negative ones do not occur.
pub(crate) fn duration(duration: &ProtoDuration) -> Duration {
    let seconds = u64::try_from(duration.seconds).unwrap_or_default();
    Duration::new(seconds, u32::try_from(duration.nanos).unwrap_or_default())
}

/// A size with a binary unit: `512B`, `4.0KiB`, `1.5GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10) as usize;
    let value = bytes as f64 / 1024_f64.powi(power as i32);
    let shown = UNITS.get(power - 1).copied().unwrap_or_default();
    match value < 99.95 {
        true => format!("{value:.1}{shown}"),
        false => format!("{value:.0}{shown}"),
    }
}

/// CPU in cores: `250m`, `2`, `1.5`.
pub(crate) fn cpu(milli: u64) -> String {
    match (milli / 1000, milli % 1000) {
        (0, milli) => format!("{milli}m"),
        (cores, 0) => cores.to_string(),
        (cores, milli) => format!("{cores}.{milli:03}")
            .trim_end_matches('0')
            .to_owned(),
    }
}

/// A moment in UTC to the millisecond, as programs sort it too.
pub(crate) fn moment(at: &Timestamp) -> String {
    match jiff::Timestamp::new(at.seconds, at.nanos) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => String::new(),
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let now = jiff::Timestamp::now();
    Timestamp {
        seconds: now.as_second(),
        nanos: now.subsec_nanosecond(),
    }
}

/// What a user may write for a moment: `10m` ago, or a time of RFC 3339.
pub(crate) fn parse_moment(text: &str, now: &Timestamp) -> Result<Timestamp, String> {
    if let Ok(ago) = parse_duration(text) {
        let nanos = i64::from(now.nanos) - i64::from(ago.subsec_nanos());
        let seconds = i64::try_from(ago.as_secs()).map_err(|_| "too long ago".to_owned())?;
        return Ok(Timestamp {
            seconds: now.seconds - seconds - i64::from(nanos < 0),
            nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default(),
        });
    }
    let at = text.parse::<jiff::Timestamp>();
    let at = at.map_err(|_| "neither a span as 10m nor a time as 2030-01-31T12:00:00Z")?;
    Ok(Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    })
}

/// What a user may write for a span: `90s`, `1h30m`, `500ms`, or a number of seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|fault| fault.to_string());
    }
    let duration = text.parse::<SignedDuration>();
    let duration = duration.map_err(|_| "no span of time, as 90s or 1h30m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "a span of time is not negative".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ages_have_two_units_at_most() {
        for (value, expected) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (600, "10m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 5 * MINUTE, "3h5m"),
            (30 * HOUR, "30h"),
            (3 * DAY + 4 * HOUR, "3d4h"),
            (400 * DAY, "400d"),
            (3 * YEAR + 10 * DAY, "3y10d"),
        ] {
            assert_eq!(seconds(value), expected);
        }
    }

    #[test]
    fn spans_keep_three_digits_or_so() {
        let show = |us| span(Duration::from_micros(us));
        let shown = [0, 999, 1_234, 45_678, 1_256_000, 125_000_000].map(show);
        assert_eq!(shown, ["0µs", "999µs", "1.2ms", "45ms", "1.26s", "2m5s"]);
    }

    #[test]
    fn sizes_and_cores() {
        let shown = [0, 1023, 1024, 1_572_864, 157_286_400, u64::MAX].map(bytes);
        assert_eq!(
            shown,
            ["0B", "1023B", "1.0KiB", "1.5MiB", "150MiB", "16.0EiB"]
        );
        assert_eq!(
            [0, 250, 1000, 1500, 2050].map(cpu),
            ["0m", "250m", "1", "1.5", "2.05"]
        );
    }

    #[test]
    fn moments_are_read_and_shown() {
        let now = Timestamp {
            seconds: 1_000,
            nanos: 100_000_000,
        };
        let read = |text| parse_moment(text, &now).map(|at| (at.seconds, at.nanos));
        assert_eq!(read("10m"), Ok((400, 100_000_000)));
        assert_eq!(read("0.2"), Ok((999, 900_000_000)));
        assert_eq!(read("1970-01-01T00:01:00.5Z"), Ok((60, 500_000_000)));
        assert!(read("yesterday").is_err());
        assert!(read("-5").is_err());
        assert_eq!(moment(&now), "1970-01-01T00:16:40.100Z");
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    }

    proptest! {
        #[test]
        fn foreign_text_moves_no_cursor(text in any::<String>()) {
            let shown = clean(&text);
            prop_assert!(!shown.chars().any(char::is_control));
        }

        #[test]
        fn no_number_is_too_large(a in any::<u64>(), b in any::<i64>()) {
            bytes(a);
            cpu(a);
            seconds(b);
            span(Duration::from_secs(a));
        }
    }
}
