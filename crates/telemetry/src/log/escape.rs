//! Control characters made visible.

use std::fmt::{self, Debug, Write};

/// Writes one field of an event: the message bare, others as `name=value`.
pub(super) fn write_field(writer: &mut dyn Write, name: &str, value: &dyn Debug) -> fmt::Result {
    match name {
        "message" => write!(Escape(writer), "{value:?}"),
        _ => write!(Escape(writer), "{name}={value:?}"),
    }
}

/// Passes text on with every character escaped that a terminal or a reader of lines would obey.
struct Escape<'a>(&'a mut dyn Write);

impl Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_obeyed(*c)) {
            let (plain, tail) = rest.split_at(at);
            self.0.write_str(plain)?;
            write!(self.0, "{}", c.escape_default())?;
            rest = tail.strip_prefix(c).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// C0, DEL and C1 controls, line separators, and the marks that turn the direction of text.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        Escape(&mut out).write_str(text).unwrap();
        out
    }

    #[test]
    fn controls_are_shown_and_text_is_kept() {
        assert_eq!(escaped("plain, grün, 漢"), "plain, grün, 漢");
        assert_eq!(escaped("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(escaped("\u{1b}[31mred"), "\\u{1b}[31mred");
        assert_eq!(escaped("\u{9b}2J\u{7f}"), "\\u{9b}2J\\u{7f}");
        assert_eq!(escaped("evil\u{202e}txt"), "evil\\u{202e}txt");
    }

    proptest! {
        #[test]
        fn nothing_obeyed_is_left(text in any::<String>()) {
            prop_assert!(!escaped(&text).chars().any(is_obeyed));
        }
    }
}
