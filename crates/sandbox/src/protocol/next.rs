//! What the next version may do to a message: say something that this one does not know. Builds with
//! the feature `next-version` do it, so that tests can put two builds of different versions beside each
//! other. No program that is released has it.

/// A field that only the next version knows, as it stands at the beginning of a message.
const FIELD: &[u8] = br#""of_the_next_version":{"deep":[1]},"#;

/// The message, which is an object with fields of its own, with one more.
pub(super) fn with_field(mut message: Vec<u8>) -> Vec<u8> {
    message.splice(1..1, FIELD.iter().copied());
    message
}
