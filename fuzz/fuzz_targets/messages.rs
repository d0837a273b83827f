//! WebSocket messages of all protocols, each after its length as one byte: input is bounded, and none
//! comes after its end.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/stream-wire/tests/wire/invariants.rs"]
#[allow(dead_code, reason = "each target checks some of them")]
mod invariants;

fuzz_target!(|data: &[u8]| {
    let mut left = data;
    let mut messages = Vec::new();
    while let Some((length, rest)) = left.split_first() {
        let (message, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        messages.push(message.to_vec());
        left = rest;
    }
    invariants::check_messages(&messages);
});
