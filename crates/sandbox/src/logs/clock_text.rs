//! Wall time as text and back, in one fixed form: `2026-11-21T12:00:00.000000001Z`.
//!
//! Written for the keeper, which stamps every buffer it reads and must stay small; a calendar
//! library would be most of its code. Years 0000 to 9999 of the Gregorian calendar, no leap seconds.

use burstlet_model::WallTime;

/// The length of a time's text.
pub(super) const TIME_BYTES: usize = 30;
/// The length of the part before the fraction, which changes once a second.
const SECOND_BYTES: usize = 19;

const DAY_S: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01, and in 400 years.
const EPOCH_DAYS: i64 = 719_468;
const ERA_DAYS: i64 = 146_097;
const YEARS: std::ops::RangeInclusive<i64> = 0..=9999;

/// Writes times; remembers the second it wrote last.
#[derive(Debug, Default)]
pub(super) struct TimeWriter {
    second: Option<(i64, [u8; SECOND_BYTES])>,
}

/// Reads times; remembers the second it read last.
#[derive(Debug, Default)]
pub(super) struct TimeReader {
    second: Option<([u8; SECOND_BYTES], i64)>,
}

impl TimeWriter {
    /// The text of `time`. A time outside of the years that have four digits is shown as the
    /// nearest that has.
    pub(super) fn text(&mut self, time: WallTime) -> [u8; TIME_BYTES] {
        let second = match self.second {
            Some((at, text)) if at == time.unix_s() => text,
            _ => second_text(time.unix_s()),
        };
        self.second = Some((time.unix_s(), second));
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let (whole, fraction) = text.split_at_mut(SECOND_BYTES);
        whole.copy_from_slice(&second);
        if let Some(digits) = fraction.get_mut(1..10) {
            put(digits, i64::from(time.subsec_ns()));
        }
        text
    }

    /// `20261121-120000.000000001`: the same time in letters that suit a file name.
    pub(super) fn file_text(&mut self, time: WallTime) -> String {
        let text = self.text(time);
        let mut name = String::with_capacity(TIME_BYTES);
        for byte in text {
            match byte {
                b'T' => name.push('-'),
                b'0'..=b'9' | b'.' => name.push(char::from(byte)),
                _ => {}
            }
        }
        name
    }
}

impl TimeReader {
    /// The time that `text` says, if it has the one form.
    pub(super) fn time(&mut self, text: &[u8; TIME_BYTES]) -> Option<WallTime> {
        let (second, fraction) = text.split_first_chunk::<SECOND_BYTES>()?;
        let [b'.', digits @ .., b'Z'] = fraction else {
            return None;
        };
        let unix_s = match &self.second {
            Some((known, unix_s)) if known == second => *unix_s,
            _ => unix_s(second)?,
        };
        self.second = Some((*second, unix_s));
        let ns = number(digits)?;
        unix_s
            .checked_mul(1_000_000_000)?
            .checked_add(ns)
            .map(WallTime)
    }
}

fn second_text(unix_s: i64) -> [u8; SECOND_BYTES] {
    let (days, second) = (unix_s.div_euclid(DAY_S), unix_s.rem_euclid(DAY_S));
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00";
    let fields = [
        (0..4, year.clamp(*YEARS.start(), *YEARS.end())),
        (5..7, month),
        (8..10, day),
        (11..13, second / 3600),
        (14..16, second / 60 % 60),
        (17..19, second % 60),
    ];
    for (place, value) in fields {
        if let Some(digits) = text.get_mut(place) {
            put(digits, value);
        }
    }
    text
}

fn unix_s(text: &[u8; SECOND_BYTES]) -> Option<i64> {
    let form = b"dddd-dd-ddTdd:dd:dd";
    let fits = text.iter().zip(form).all(|(byte, place)| match place {
        b'd' => byte.is_ascii_digit(),
        exact => byte == exact,
    });
    let field = |place| number(text.get(place)?);
    let (year, month, day) = (field(0..4)?, field(5..7)?, field(8..10)?);
    let (hour, minute, second) = (field(11..13)?, field(14..16)?, field(17..19)?);
    let within = fits && hour < 24 && minute < 60 && second < 60;
    let days = days(year, month, day);
    // A day that the month does not have comes back as another one.
    (within && civil(days) == (year, month, day))
        .then_some(days * DAY_S + hour * 3600 + minute * 60 + second)
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the
/// leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let (era, of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil`] for days that exist.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = (month + 9).rem_euclid(12);
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS
}

fn put(digits: &mut [u8], mut value: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NS: i64 = 1_000_000_000;

    fn text(time: WallTime) -> String {
        String::from_utf8(TimeWriter::default().text(time).to_vec()).unwrap()
    }

    fn read(text: &str) -> Option<WallTime> {
        TimeReader::default().time(text.as_bytes().try_into().ok()?)
    }

    #[test]
    fn known_times() {
        for (unix_s, ns, expected) in [
            (0, 0, "1970-01-01T00:00:00.000000000Z"),
            (-1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
            (951_782_400, 5, "2000-02-29T00:00:00.000000005Z"),
            (1_795_262_401, 123_456_789, "2026-11-21T12:00:01.123456789Z"),
            (4_107_542_399, 0, "2100-02-28T23:59:59.000000000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000000Z"),
        ] {
            let time = WallTime(unix_s * NS + ns);
            assert_eq!(text(time), expected);
            assert_eq!(read(expected), Some(time));
        }
        let name = TimeWriter::default().file_text(WallTime(1_795_262_401 * NS + 7));
        assert_eq!(name, "20261121-120001.000000007");
    }

    #[test]
    fn what_is_no_time() {
        for bad in [
            "2026-02-29T00:00:00.000000000Z",
            "2026-13-01T00:00:00.000000000Z",
            "2026-00-01T00:00:00.000000000Z",
            "2026-01-00T00:00:00.000000000Z",
            "2026-01-01T24:00:00.000000000Z",
            "2026-01-01T00:60:00.000000000Z",
            "2026-01-01 00:00:00.000000000Z",
            "2026-01-01T00:00:00,000000000Z",
            "2026-01-01T00:00:00.00000000-Z",
            "2026-01-01T00:00:00.000000000+",
            "-026-01-01T00:00:00.000000000Z",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back(ns in any::<i64>()) {
            prop_assert_eq!(read(&text(WallTime(ns))), Some(WallTime(ns)));
        }

        #[test]
        fn no_text_panics(text in any::<[u8; TIME_BYTES]>()) {
            let _ = TimeReader::default().time(&text);
        }
    }
}
