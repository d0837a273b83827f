//! A line of the audit trail as a record of OTLP: its fields as facts, its head as its id.

use burstlet_access::Line;
use burstlet_otlp::{Record, Severity, Value};
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::otlp::UID;

/// What stands before the names of the fields.
const PREFIX: &str = "burstlet.audit.";
/// The fields that are said otherwise: the moment is the record's, and the line before is in the id.
const ELSEWHERE: [&str; 2] = ["at", "prev"];

/// What the collector is told of a line. Told again it is the same.
pub(super) fn record(line: &Line) -> Record {
    let fields: Map<String, Json> = serde_json::from_slice(&line.text).unwrap_or_default();
    let text = |name: &str| fields.get(name).and_then(Json::as_str).unwrap_or_default();
    let (event, code) = (text("event"), text("code"));
    let body = match event {
        "lost" => "entries of the audit trail could not be written".to_owned(),
        _ => format!("{} {code}", text("call")).trim().to_owned(),
    };
    let mut attributes = vec![(UID.to_owned(), Value::Text(line.head.to_string()))];
    let facts = fields.iter();
    let facts = facts.filter(|(name, _)| !ELSEWHERE.contains(&name.as_str()));
    attributes.extend(facts.map(|(name, value)| (format!("{PREFIX}{name}"), fact(value))));
    Record {
        at_ns: fields.get("at").and_then(moment).unwrap_or(0),
        severity: severity(event, code),
        event: name(event),
        body,
        attributes,
    }
}

fn name(event: &str) -> &'static str {
    match event {
        "call" => "burstlet.audit.call",
        "begin" => "burstlet.audit.begin",
        "end" => "burstlet.audit.end",
        "lost" => "burstlet.audit.lost",
        _ => "burstlet.audit",
    }
}

fn severity(event: &str, code: &str) -> Severity {
    match (event, code) {
        ("lost", _) => Severity::Error,
        (_, "PERMISSION_DENIED" | "UNAUTHENTICATED") => Severity::Warn,
        _ => Severity::Info,
    }
}

fn fact(value: &Json) -> Value {
    match (value, value.as_i64()) {
        (Json::String(text), _) => Value::Text(text.clone()),
        (Json::Bool(flag), _) => Value::Flag(*flag),
        (_, Some(number)) => Value::Whole(number),
        _ => Value::Text(value.to_string()),
    }
}

/// In nanoseconds since 1970, if it is a moment and no earlier.
fn moment(value: &Json) -> Option<u64> {
    let at: Timestamp = value.as_str()?.parse().ok()?;
    u64::try_from(at.as_nanosecond()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_access::Head;

    use super::*;

    fn told(text: &str) -> Record {
        let head: Head = format!("7:{}", "ab".repeat(32)).parse().unwrap();
        record(&Line {
            head,
            text: text.as_bytes().to_vec(),
        })
    }

    #[test]
    fn fields_are_facts_and_the_head_is_the_id() {
        let told = told(
            r#"{"seq":7,"prev":"00","at":"2023-11-14T22:13:20.5Z","event":"call","who":"uid:0","call":"a.B/C","port":8080,"code":"OK"}"#,
        );
        assert_eq!(told.at_ns, 1_700_000_000_500_000_000);
        assert_eq!(
            (told.event, &*told.body),
            ("burstlet.audit.call", "a.B/C OK")
        );
        assert_eq!(told.severity, Severity::Info);
        let text = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
        let whole = |name: &str, number| (name.to_owned(), Value::Whole(number));
        let mut attributes = told.attributes;
        attributes.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            text("burstlet.audit.call", "a.B/C"),
            text("burstlet.audit.code", "OK"),
            text("burstlet.audit.event", "call"),
            whole("burstlet.audit.port", 8080),
            whole("burstlet.audit.seq", 7),
            text("burstlet.audit.who", "uid:0"),
            text(UID, &format!("7:{}", "ab".repeat(32))),
        ];
        assert_eq!(attributes, expected);
    }

    #[test]
    fn refusals_and_gaps_are_told_louder() {
        let of = |text| (told(text).event, told(text).severity);
        let refused = r#"{"event":"begin","call":"a","code":"PERMISSION_DENIED"}"#;
        assert_eq!(of(refused), ("burstlet.audit.begin", Severity::Warn));
        let lost = r#"{"seq":7,"event":"lost","entries":3}"#;
        assert_eq!(of(lost), ("burstlet.audit.lost", Severity::Error));
        assert_eq!(told(lost).at_ns, 0, "nobody knows when");
        assert_eq!(of("[]"), ("burstlet.audit", Severity::Info));
    }
}
