//! Records of the ledger, each after its length as two bytes. Only what can be written is read; a
//! record that comes twice changes nothing; and whatever they tell, no quantity overflows and more time
//! is never less.
#![no_main]

use burstlet_metering::record::Record;
use burstlet_metering::sessions::{Applied, Sessions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut rest, mut sessions, mut last) = (data, Sessions::default(), None);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (body, after) = after.split_at(length);
        rest = after;
        let Ok(record) = Record::decode(body) else {
            continue;
        };
        let written = record.encode().expect("what was read can be written");
        assert_eq!(written, body, "not the one spelling");
        let is_new = record.seq > sessions.seq();
        assert_eq!(sessions.apply(&record) != Applied::Replayed, is_new);
        assert_eq!(sessions.apply(&record), Applied::Replayed);
        last = Some(record.at);
    }
    let Some(mut now) = last else {
        return;
    };
    for session in sessions.iter() {
        let earlier = session.quantities(now, |_| true);
        now.stamp.boot.0 = now.stamp.boot.0.saturating_add(1_000_000_000);
        let later = session.quantities(now, |_| true);
        assert!(later.ns >= earlier.ns && later.memory_byte_ns >= earlier.memory_byte_ns);
    }
});
