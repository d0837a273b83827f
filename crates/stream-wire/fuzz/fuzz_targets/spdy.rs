#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/wire/invariants.rs"]
#[allow(dead_code, reason = "each target checks some of them")]
mod invariants;

fuzz_target!(|data: (u16, &[u8])| {
    let (cut, bytes) = data;
    let cuts = [usize::from(cut & 0xff), usize::from(cut >> 8)];
    invariants::check_connection(bytes, &cuts);
    invariants::check_command(bytes, &cuts);
    invariants::check_forward(bytes, &cuts);
});
