//! One compressed block of headers: what comes out of it is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/stream-wire/tests/wire/invariants.rs"]
#[allow(dead_code, reason = "each target checks some of them")]
mod invariants;

fuzz_target!(|block: &[u8]| {
    let length = (10 + block.len() as u32) & 0xff_ffff;
    let head = [0x8003_0001_u32.to_be_bytes(), length.to_be_bytes()].concat();
    let stream = [&[0, 0, 0, 1][..], &[0; 6], block].concat();
    invariants::check_connection(&[head, stream].concat(), &[]);
});
