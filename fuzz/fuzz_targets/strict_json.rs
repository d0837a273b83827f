//! JSON from outside. What is taken, another parser understands in the same way, and it says the same
//! when it is written down and read again: no key of it can have been there twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &[u8]| {
    let Ok(value) = burstlet_strict_json::parse(text) else {
        return;
    };
    let other: Value = serde_json::from_slice(text).expect("another parser takes it");
    assert_eq!(value, other);
    assert!(depth(&value) <= 32, "nested deeper than is taken");
    let keys = keys_of(&value);
    let colons = colons_outside_texts(text);
    assert_eq!(keys, colons, "a key was lost");
    // A fraction is read as one of the two numbers nearest to it.
    if !has_fraction(&value) {
        let again = burstlet_strict_json::parse(value.to_string().as_bytes());
        assert_eq!(again.expect("what we write we read"), value);
    }
});

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        other => other.is_f64(),
    }
}

fn keys_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(keys_of).sum(),
        Value::Object(fields) => fields.len() + fields.values().map(keys_of).sum::<usize>(),
        _ => 0,
    }
}

/// Each key of a document is followed by one.
fn colons_outside_texts(text: &[u8]) -> usize {
    let (mut colons, mut in_text, mut is_escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b':' if !in_text => colons += 1,
            _ => {}
        }
    }
    colons
}
