//! The first pass over a manifest: along the matrix, field by field. It reports what is unknown,
//! unsupported or of the wrong shape, and gives the canonical form: numbers are numbers, quantities
//! are text, nothing is null, and only fields of the matrix are left. The translator after it can
//! rely on every shape.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burstlet_model::Quantity;
use serde_json::{Map, Value};

use crate::finding::{Level, Report, Rule, quote};
use crate::hint;
use crate::schema::{Field, Shape, Support};

/// Walks `value` along `fields`; the result has every shape right, or the report refuses.
pub(crate) fn survey(
    value: &Map<String, Value>,
    fields: &'static [Field],
    pod: bool,
    unknown: Level,
    report: &mut Report,
) -> Map<String, Value> {
    Survey {
        report,
        pod,
        unknown,
    }
    .object(value, fields, "")
}

/// What is refused keeps its place, so that nobody reports it as missing, and what comes after it
/// in a list keeps its number.
const REFUSED: Option<Value> = Some(Value::Null);

struct Survey<'r> {
    report: &'r mut Report,
    /// The manifest is a Pod, which lacks our own words.
    pod: bool,
    unknown: Level,
}

impl Survey<'_> {
    fn object(
        &mut self,
        object: &Map<String, Value>,
        fields: &'static [Field],
        prefix: &str,
    ) -> Map<String, Value> {
        let mut names: Vec<_> = object.iter().collect();
        names.sort_by_key(|(name, _)| name.as_str());
        let mut canonical = Map::new();
        for (name, value) in names {
            let path = join(prefix, name);
            let Some(field) = fields.iter().find(|field| field.is_called(name)) else {
                self.unknown(name, value, fields, path);
                continue;
            };
            if let Some(value) = self.field(value, field, path) {
                canonical.insert(name.clone(), value);
            }
        }
        canonical
    }

    fn unknown(&mut self, name: &str, value: &Value, fields: &'static [Field], path: String) {
        if value.is_null() {
            return;
        }
        let way_out = hint::nearest(name, fields.iter().map(|f| f.name))
            .map(|near| format!("did you mean {near}?"))
            .unwrap_or_default();
        let message = "no such field is known to this version";
        match self.unknown {
            Level::Refused => self
                .report
                .refuse(Rule::UnknownField, path, message, way_out),
            Level::Warned => self.report.warn(Rule::UnknownField, path, message, way_out),
        }
    }

    fn field(&mut self, value: &Value, field: &'static Field, path: String) -> Option<Value> {
        if value.is_null() || is_neutral(value, field) {
            return None;
        }
        if field.own && self.pod {
            let message = "a Pod has no such field";
            let way_out = "use kind ContainerGroup";
            self.report
                .refuse(Rule::UnknownField, path, message, way_out);
            return None;
        }
        match field.support {
            Support::Done | Support::Policy => self.shape(value, field, &path),
            Support::Refused => {
                if says_nothing(value) {
                    return None;
                }
                self.report
                    .refuse(Rule::Unsupported, path, field.note, field.way_out);
                REFUSED
            }
            Support::Ignored => {
                if !says_nothing(value) && !is_empty_object(value) {
                    self.report.warn(Rule::Ignored, path, field.note, "");
                }
                None
            }
            Support::Warned => {
                if says_nothing(value) || is_empty_object(value) {
                    return None;
                }
                self.report.warn(Rule::Ignored, path, field.note, "");
                Some(value.clone())
            }
        }
    }

    fn shape(&mut self, value: &Value, field: &'static Field, path: &str) -> Option<Value> {
        match field.shape {
            Shape::Text => self.text(value, path),
            Shape::Number => self.number(value, path),
            Shape::Flag => match value {
                Value::Bool(_) => Some(value.clone()),
                _ => self.wrong(value, "true or false", path),
            },
            Shape::Quantity => self.quantity(value, path),
            Shape::NumberOrText => match value {
                Value::String(text) if !is_digits(text) => self.text(value, path),
                _ => self.number(value, path),
            },

            Shape::TextList => self.list(value, path, Self::text),
            Shape::NumberList => self.list(value, path, Self::number),
            Shape::TextMap => self.map(value, path, Self::plain_text),
            Shape::Base64Map => self.map(value, path, Self::base64),
            Shape::Object(fields) => match value {
                Value::Object(object) => {
                    let prefix = format!("{path}.");
                    Some(Value::Object(self.object(object, fields, &prefix)))
                }
                _ => self.wrong(value, "an object", path),
            },
            Shape::List(fields) => self.list(value, path, |survey, item, path| match item {
                Value::Object(object) => {
                    let prefix = format!("{path}.");
                    Some(Value::Object(survey.object(object, fields, &prefix)))
                }
                _ => survey.wrong(item, "an object", path),
            }),
            Shape::Opaque => Some(value.clone()),
        }
    }

    fn text(&mut self, value: &Value, path: &str) -> Option<Value> {
        match value {
            Value::String(text) if text.contains('\0') => {
                self.report.invalid(path, "text with a zero byte");
                REFUSED
            }
            _ => self.plain_text(value, path),
        }
    }

    /// Text that becomes a file's contents may hold anything.
    fn plain_text(&mut self, value: &Value, path: &str) -> Option<Value> {
        match value {
            Value::String(_) => Some(value.clone()),
            _ => self.wrong(value, "text", path),
        }
    }

    fn number(&mut self, value: &Value, path: &str) -> Option<Value> {
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse::<i64>().ok(),
            _ => None,
        };
        match number {
            Some(number) => Some(number.into()),
            None => self.wrong(value, "a whole number", path),
        }
    }

    fn quantity(&mut self, value: &Value, path: &str) -> Option<Value> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return self.wrong(value, "a quantity", path),
        };
        match Quantity::parse(&text) {
            Ok(_) => Some(text.into()),
            Err(error) => {
                self.report.invalid(path, error);
                REFUSED
            }
        }
    }

    fn base64(&mut self, value: &Value, path: &str) -> Option<Value> {
        let Value::String(text) = value else {
            return self.wrong(value, "base64 text", path);
        };
        let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        if STANDARD.decode(&text).is_err() {
            self.report.invalid(path, "not base64");
            return REFUSED;
        }
        Some(text.into())
    }

    fn list(
        &mut self,
        value: &Value,
        path: &str,
        item: impl Fn(&mut Self, &Value, &str) -> Option<Value>,
    ) -> Option<Value> {
        let Value::Array(items) = value else {
            return self.wrong(value, "a list", path);
        };
        let items = items
            .iter()
            .enumerate()
            .filter_map(|(i, value)| item(self, value, &format!("{path}[{i}]")))
            .collect();
        Some(Value::Array(items))
    }

    fn map(
        &mut self,
        value: &Value,
        path: &str,
        item: impl Fn(&mut Self, &Value, &str) -> Option<Value>,
    ) -> Option<Value> {
        let Value::Object(object) = value else {
            return self.wrong(value, "an object", path);
        };
        let mut names: Vec<_> = object.iter().collect();
        names.sort_by_key(|(name, _)| name.as_str());
        let mut canonical = Map::new();
        for (name, value) in names {
            let path = join(&format!("{path}."), name);
            if let Some(value) = item(self, value, &path) {
                canonical.insert(name.clone(), value);
            }
        }
        Some(Value::Object(canonical))
    }

    /// Says what the value is and what it should be; never what it says, for it may be secret.
    fn wrong(&mut self, value: &Value, expected: &str, path: &str) -> Option<Value> {
        let found = match value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let way_out = match value {
            Value::Bool(_) | Value::Number(_) if expected == "text" => "put it in quotes",
            _ => "",
        };
        let message = format!("{expected} is needed here, this is {found}");
        self.report.refuse(Rule::Invalid, path, message, way_out);
        REFUSED
    }
}

/// `prefix` ends with `.` or is empty.
fn join(prefix: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if plain {
        format!("{prefix}{name}")
    } else {
        format!("{}[{}]", prefix.trim_end_matches('.'), quote(name))
    }
}

fn is_neutral(value: &Value, field: &Field) -> bool {
    match value {
        Value::String(text) => field.neutral.contains(&text.as_str()),
        Value::Bool(_) | Value::Number(_) => field.neutral.contains(&value.to_string().as_str()),
        _ => false,
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn is_empty_object(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
