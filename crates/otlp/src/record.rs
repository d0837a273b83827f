//! A line of the log, or an event: both are log records to OTLP.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

/// Bytes of a text; more is cut off.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

/// How much somebody should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// For who wrote the code.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// What goes on.
    Info,
    /// What may go wrong.
    Warn,
    /// What went wrong.
    Error,
}

/// A line of the log, or an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it happened, in nanoseconds since 1970.
    pub at_ns: u64,
    /// How much somebody should care.
    pub severity: Severity,
    /// The event's name; empty for a line of the log.
    pub event: &'static str,
    /// The words for people.
    pub body: String,
    /// The facts for programs.
    pub attributes: Vec<(String, Value)>,
}

impl Record {
    pub(crate) fn into_proto(self) -> LogRecord {
        let attributes = self.attributes.into_iter();
        LogRecord {
            time_unix_nano: self.at_ns,
            observed_time_unix_nano: self.at_ns,
            severity_number: self.severity.number().into(),
            severity_text: self.severity.as_str().to_owned(),
            body: Some(any(Value::Text(self.body))),
            attributes: attributes.map(|(key, value)| pair(key, value)).collect(),
            event_name: self.event.to_owned(),
            ..LogRecord::default()
        }
    }
}

impl Severity {
    const fn number(self) -> SeverityNumber {
        match self {
            Self::Trace => SeverityNumber::Trace,
            Self::Debug => SeverityNumber::Debug,
            Self::Info => SeverityNumber::Info,
            Self::Warn => SeverityNumber::Warn,
            Self::Error => SeverityNumber::Error,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

pub(crate) fn pair(key: String, value: Value) -> KeyValue {
    KeyValue {
        key,
        value: Some(any(value)),
        ..KeyValue::default()
    }
}

fn any(value: Value) -> AnyValue {
    let value = match value {
        Value::Text(text) => Any::StringValue(cut(text)),
        Value::Whole(number) => Any::IntValue(number),
        Value::Number(number) => Any::DoubleValue(number),
        Value::Flag(flag) => Any::BoolValue(flag),
    };
    AnyValue { value: Some(value) }
}

/// At most so many bytes, and no half character.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("kept".to_owned()), "kept");
        let long = "ä".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(long).len(), TEXT_BYTES_MAX);
        let odd = format!("x{}", "ä".repeat(TEXT_BYTES_MAX));
        assert_eq!(cut(odd).len(), TEXT_BYTES_MAX - 1);
    }

    #[test]
    fn a_record_keeps_what_it_says() {
        let record = Record {
            at_ns: 7,
            severity: Severity::Warn,
            event: "happened",
            body: "words".to_owned(),
            attributes: vec![
                ("flag".to_owned(), Value::Flag(true)),
                ("whole".to_owned(), Value::Whole(-3)),
            ],
        };
        let told = record.into_proto();
        assert_eq!((told.time_unix_nano, told.severity_number), (7, 13));
        assert_eq!(told.event_name, "happened");
        let keys: Vec<&str> = told.attributes.iter().map(|pair| &*pair.key).collect();
        assert_eq!(keys, ["flag", "whole"]);
        let values = told.attributes.into_iter().map(|pair| pair.value?.value);
        let values: Vec<_> = values.collect();
        assert_eq!(
            values,
            [Some(Any::BoolValue(true)), Some(Any::IntValue(-3))]
        );
    }
}
