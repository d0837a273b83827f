//! Masks what is secret in a canonical manifest. The matrix says what that is.

use serde_json::{Map, Value};

use crate::matrix::DOCUMENT;
use crate::schema::{Field, Shape};

/// What stands in for a secret text.
pub const MASK: &str = "***";
/// The same in base64, where base64 is expected.
const MASK_BASE64: &str = "Kioq";

/// The manifest with every secret masked; keys and structure stay.
#[must_use]
pub fn redact(source: &Value) -> Value {
    match source {
        Value::Object(object) => Value::Object(redact_object(object, DOCUMENT)),
        other => other.clone(),
    }
}

fn redact_object(object: &Map<String, Value>, fields: &[Field]) -> Map<String, Value> {
    let entries = object.iter().map(|(name, value)| {
        let field = fields.iter().find(|field| field.is_called(name));
        let value = field.map_or_else(|| value.clone(), |field| redact_field(value, field));
        (name.clone(), value)
    });
    entries.collect()
}

fn redact_field(value: &Value, field: &Field) -> Value {
    match (value, field.shape) {
        (_, shape) if field.secret => mask(value, shape),
        (Value::Object(object), Shape::Object(fields)) => {
            Value::Object(redact_object(object, fields))
        }
        (Value::Array(items), Shape::List(fields)) => items
            .iter()
            .map(|item| match item {
                Value::Object(object) => Value::Object(redact_object(object, fields)),
                other => other.clone(),
            })
            .collect(),
        _ => value.clone(),
    }
}

fn mask(value: &Value, shape: Shape) -> Value {
    let text = match shape {
        Shape::Base64Map => MASK_BASE64,
        _ => MASK,
    };
    match value {
        Value::Object(object) => {
            let keys = object.keys();
            Value::Object(keys.map(|key| (key.clone(), text.into())).collect())
        }
        _ => text.into(),
    }
}
