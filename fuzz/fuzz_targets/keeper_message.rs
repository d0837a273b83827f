//! What agent, launcher and keepers say to each other, and the records of ends. What is understood is
//! the same when it is said again; a file's length is bounded before there is a file.
#![no_main]

use burstlet_sandbox::exits::ExitRecord;
use burstlet_sandbox::protocol::{
    FromKeeper, MESSAGE_BYTES_MAX, Packed, decode_answer, decode_call, decode_detached, encode,
    packet_is_detached,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Ok(call)) = decode_call(bytes) {
        let said = bytes_of(encode(&call));
        assert_eq!(decode_call(&said).expect("a call").expect("known"), call);
    }
    match decode_answer(bytes) {
        Ok(FromKeeper::Answer(answer)) => {
            let said = bytes_of(encode(&answer));
            let again = decode_answer(&said).expect("an answer");
            assert_eq!(again, FromKeeper::Answer(answer));
        }
        Ok(FromKeeper::Event(event)) => {
            let said = bytes_of(encode(&event));
            let again = decode_answer(&said).expect("an event");
            assert_eq!(again, FromKeeper::Event(event));
        }
        Ok(FromKeeper::Unknown) | Err(_) => {}
    }
    if let Ok(length) = decode_detached(bytes) {
        assert!(length <= MESSAGE_BYTES_MAX && packet_is_detached(bytes));
        assert!(decode_call(bytes).is_err() && decode_answer(bytes).is_err());
    }
    if let Ok(record) = serde_json::from_slice::<ExitRecord>(bytes) {
        let written = serde_json::to_vec(&record).expect("it can be written");
        let again: ExitRecord = serde_json::from_slice(&written).expect("and read");
        assert_eq!(again, record);
    }
});

fn bytes_of(packed: Result<Packed, impl std::fmt::Debug>) -> Vec<u8> {
    match packed.expect("what was a message can be one again") {
        Packed::Inline(bytes) | Packed::Detached { content: bytes, .. } => bytes,
    }
}
