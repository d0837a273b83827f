//! The two text forms that Prometheus reads, and which of them a scraper asks for.
//!
//! Numbers are decimals made from integers; no float is between the ledger and the page.

use std::fmt::{Display, Write};

/// A text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The form that an `Accept` header likes best; Prometheus' own if it says nothing that we
    /// understand.
    #[must_use]
    pub fn negotiate(accept: Option<&str>) -> Self {
        let ranges = accept.unwrap_or("").split(',').filter_map(media_range);
        let mut best = (0, Self::Text);
        for (weight, format) in ranges {
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The weight in thousandths of a media range, and the form that serves it.
fn media_range(range: &str) -> Option<(u32, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    let (mut weight, mut version) = (1000, None);
    for parameter in parts {
        match parameter.split_once('=') {
            Some(("q", text)) => weight = thousandths(text)?,
            Some(("version", text)) => version = Some(text.trim_matches('"')),
            _ => {}
        }
    }
    let format = match (media, version) {
        ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => Format::OpenMetrics,
        ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", None) => Format::Text,
        _ => return None,
    };
    Some((weight, format))
}

fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if fraction.len() > 3 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let thousandths: u32 = format!("{fraction:0<3}").parse().ok()?;
    Some((whole.parse::<u32>().ok()?.checked_mul(1000)? + thousandths).min(1000))
}

/// What a metric's number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A total that only grows; its name ends in `_total`.
    Counter,
    /// A number as it is now.
    Gauge,
    /// Facts in labels; its name ends in `_info` and its number is 1.
    Info,
    /// Counts by upper bound.
    Histogram,
}

/// A page being written. All samples of one metric stand together.
#[derive(Debug)]
pub(super) struct Page {
    format: Format,
    text: String,
}

impl Page {
    /// An empty page with room for `bytes`.
    pub(super) fn new(format: Format, bytes: usize) -> Self {
        Self {
            format,
            text: String::with_capacity(bytes),
        }
    }

    /// Begins a metric, named as its samples are.
    pub(super) fn metric(&mut self, name: &str, kind: Kind, help: &str) {
        let (name, kind) = match (self.format, kind) {
            (Format::Text, Kind::Counter) => (name, "counter"),
            (Format::Text, Kind::Gauge | Kind::Info) => (name, "gauge"),
            (Format::OpenMetrics, Kind::Gauge) => (name, "gauge"),
            (_, Kind::Histogram) => (name, "histogram"),
            (Format::OpenMetrics, Kind::Counter) => (without(name, "_total"), "counter"),
            (Format::OpenMetrics, Kind::Info) => (without(name, "_info"), "info"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the metric that was begun last.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(&mut self.text, text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The page.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

fn without<'a>(name: &'a str, suffix: &str) -> &'a str {
    name.strip_suffix(suffix).unwrap_or(name)
}

fn escape(out: &mut String, text: &str) {
    if !text.contains(['\\', '"', '\n']) {
        out.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_what_it_likes_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, expected) in [
            (Some(prometheus), Format::OpenMetrics),
            (
                Some("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.3"),
                Format::Text,
            ),
            (
                Some("application/openmetrics-text; version=2.0.0, */*;q=0.1"),
                Format::Text,
            ),
            (Some("application/openmetrics-text;q=0"), Format::Text),
            (Some("text/html;q=, ;;;q=1.2345"), Format::Text),
            (Some(""), Format::Text),
            (None, Format::Text),
        ] {
            assert_eq!(Format::negotiate(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn labels_are_escaped_and_names_fit_the_form() {
        let page = |format| {
            let mut page = Page::new(format, 0);
            page.metric("x_total", Kind::Counter, "How many.");
            page.sample("x_total", &[("a", "1\"\\\n"), ("b", "")], "1.5");
            page.sample("x_total", &[], 2);
            page.finish()
        };
        let samples = "x_total{a=\"1\\\"\\\\\\n\",b=\"\"} 1.5\nx_total 2\n";
        assert_eq!(
            page(Format::Text),
            format!("# HELP x_total How many.\n# TYPE x_total counter\n{samples}")
        );
        assert_eq!(
            page(Format::OpenMetrics),
            format!("# HELP x How many.\n# TYPE x counter\n{samples}# EOF\n")
        );
    }
}
