use proptest::collection::vec;
use proptest::prelude::*;

use crate::captures::{EXEC, FORWARD, TERMINAL};
use crate::client::Frames;
use crate::invariants::{check_command, check_connection, check_forward, check_messages};

/// One thing that a client may do, rightly or not.
#[derive(Clone, Debug)]
enum Deed {
    Open {
        id: u32,
        fin: bool,
        kind: usize,
        request: u8,
    },
    Data {
        id: u32,
        fin: bool,
        bytes: Vec<u8>,
    },
    Headers(u32),
    Reset(u32),
    Ping(u32),
    Control {
        kind: u16,
        flags: u8,
        payload: Vec<u8>,
    },
}

const KINDS: &[&str] = &["error", "stdin", "stdout", "resize", "data", "stderr", "?"];

fn deed() -> impl Strategy<Value = Deed> {
    let id = || 0..16_u32;
    let open = (id(), any::<bool>(), 0..KINDS.len(), 0..3_u8);
    let data = (id(), any::<bool>(), vec(any::<u8>(), 0..64));
    let size = Just(br#"{"Width":9,"Height":8}"#.to_vec());
    prop_oneof![
        4 => open.prop_map(|(id, fin, kind, request)| Deed::Open { id, fin, kind, request }),
        4 => data.prop_map(|(id, fin, bytes)| Deed::Data { id, fin, bytes }),
        1 => (id(), size).prop_map(|(id, bytes)| Deed::Data { id, fin: false, bytes }),
        1 => id().prop_map(Deed::Headers),
        1 => id().prop_map(Deed::Reset),
        1 => id().prop_map(Deed::Ping),
        1 => (0..12_u16, any::<u8>(), vec(any::<u8>(), 0..24))
            .prop_map(|(kind, flags, payload)| Deed::Control { kind, flags, payload }),
    ]
}

fn frames(deeds: &[Deed]) -> Vec<u8> {
    let write = |frames: Frames, deed: &Deed| match deed {
        Deed::Open {
            id,
            fin,
            kind,
            request,
        } => {
            let request = request.to_string();
            let headers = [
                ("streamtype", KINDS[*kind]),
                ("port", "80"),
                ("requestid", &request),
            ];
            frames.open(*id, *fin, &headers)
        }
        Deed::Data { id, fin, bytes } => frames.data(*id, *fin, bytes),
        Deed::Headers(id) => frames.headers(*id, &[("a", "b")]),
        Deed::Reset(id) => frames.reset(*id),
        Deed::Ping(id) => frames.ping(*id),
        Deed::Control {
            kind,
            flags,
            payload,
        } => frames.control(*kind, *flags, payload),
    };
    deeds.iter().fold(Frames::new(), write).bytes
}

proptest! {
    #[test]
    fn any_cuts_of_any_frames_tell_the_same(
        deeds in vec(deed(), 0..40),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let bytes = frames(&deeds);
        check_connection(&bytes, &cuts);
        check_command(&bytes, &cuts);
        check_forward(&bytes, &cuts);
    }

    #[test]
    fn what_real_clients_send_may_be_damaged_anywhere(
        capture in prop_oneof![Just(EXEC), Just(TERMINAL), Just(FORWARD)],
        damage in vec((any::<usize>(), any::<u8>()), 1..4),
        cuts in vec(any::<usize>(), 0..4),
    ) {
        let mut bytes = capture.to_vec();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        check_connection(&bytes, &cuts);
        check_command(&bytes, &cuts);
        check_forward(&bytes, &cuts);
    }

    #[test]
    fn any_bytes_are_borne(bytes in vec(any::<u8>(), 0..512), cuts in vec(any::<usize>(), 0..4)) {
        check_connection(&bytes, &cuts);
        check_command(&bytes, &cuts);
        check_forward(&bytes, &cuts);
    }

    #[test]
    fn any_block_of_headers_is_borne(block in vec(any::<u8>(), 0..256)) {
        let stream = [&[0, 0, 0, 1][..], &[0; 6], &block].concat();
        check_connection(&Frames::new().control(1, 0, &stream).bytes, &[]);
    }

    #[test]
    fn any_messages_are_borne(messages in vec(vec(any::<u8>(), 0..40), 0..20)) {
        check_messages(&messages);
    }

    #[test]
    fn messages_of_channels_are_borne(messages in vec((0..5_u8, vec(any::<u8>(), 0..40)), 0..20)) {
        let messages: Vec<Vec<u8>> = messages
            .into_iter()
            .map(|(channel, bytes)| [&[if channel == 4 { 255 } else { channel }], &bytes[..]].concat())
            .collect();
        check_messages(&messages);
    }
}
