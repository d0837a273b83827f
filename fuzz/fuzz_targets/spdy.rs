//! The bytes of a connection that speaks SPDY, for a command and for ports. However they are cut they
//! tell the same, answers are bounded by what they answer, and no pair is told of that was not opened.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/stream-wire/tests/wire/invariants.rs"]
#[allow(dead_code, reason = "each target checks some of them")]
mod invariants;

fuzz_target!(|data: (u16, &[u8])| {
    let (cut, bytes) = data;
    let cuts = [usize::from(cut & 0xff), usize::from(cut >> 8)];
    invariants::check_connection(bytes, &cuts);
    invariants::check_command(bytes, &cuts);
    invariants::check_forward(bytes, &cuts);
});
