//! Prometheus' text form, version 0.0.4, with the times of samples.

use std::fmt::{Display, Write};

use burstlet_model::WallTime;

/// A page that is being written.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// Nanoseconds, shown as seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seconds(pub(super) u64);

/// What a family's samples are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

impl Page {
    /// Begins a family, whose samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A sample as of a time, if it has one.
    pub(super) fn sample(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl Display,
        at: Option<WallTime>,
    ) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = write!(self.0, " {value}");
        if let Some(at) = at {
            let _ = write!(self.0, " {}", at.0 / 1_000_000);
        }
        self.0.push('\n');
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        write!(f, "{whole}.{rest:09}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let mut page = Page::default();
        page.family("up", Kind::Gauge, "Whether it is.");
        page.sample("up", &[], 1, None);
        let labels = [("pod", "a"), ("path", "\"\\\n")];
        let at = Some(WallTime(1_700_000_000_123_456_789));
        page.sample("up", &labels, Seconds(1_050_000_000), at);
        assert_eq!(
            page.text(),
            "# HELP up Whether it is.\n# TYPE up gauge\nup 1\n\
             up{pod=\"a\",path=\"\\\"\\\\\\n\"} 1.050000000 1700000000123\n"
        );
    }
}
