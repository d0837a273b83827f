//! Questions to the groups' name server. Whoever is no group is served nothing, nobody hears of groups
//! of another namespace, and an answer is about the question and not much longer.
#![no_main]

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use burstlet_network::fuzzing::{NameServer, Said};
use libfuzzer_sys::fuzz_target;

const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const DOTTED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const VAULT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
/// Bytes of a message's head.
const HEAD_BYTES: usize = 12;
/// Bytes of a record beside the question: with a name of its own that is as long as names may be.
const RECORD_BYTES_MAX: usize = 2 * 255 + 10;

fuzz_target!(|question: &[u8]| {
    for asker in [WEB, DOTTED, VAULT, STRANGER] {
        match server().reply(asker, question) {
            Said::Answer(answer) => check(asker, question, &answer),
            Said::Forwarded => assert_ne!(asker, STRANGER, "served a stranger"),
            Said::Nothing => {}
        }
    }
});

fn server() -> &'static NameServer {
    static SERVER: OnceLock<NameServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let subnet = "10.0.0.0/24".parse().expect("a subnet");
        let groups = [
            ("shop", "web", WEB),
            ("shop", "a.b", DOTTED),
            ("bank", "vault", VAULT),
        ];
        NameServer::new(subnet, &groups).expect("names of groups")
    })
}

fn check(asker: Ipv4Addr, question: &[u8], answer: &[u8]) {
    assert!(question.len() >= HEAD_BYTES && answer.len() >= HEAD_BYTES);
    assert_eq!(answer[..2], question[..2], "another question's number");
    assert_ne!(answer[2] & 0x80, 0, "a question");
    assert_eq!(answer[2] & 0x02, 0, "cut off");
    let count = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    let (answers, code) = (count(6), answer[3] & 0x0f);
    assert!(answers <= 1 && count(8) == 0);
    assert!(answers == 0 || code == 0);
    // A name may be spelled shorter in a question by pointing back in it.
    let questions = usize::from(count(4)).max(1);
    assert!(answer.len() <= HEAD_BYTES + questions * (255 + 4) + RECORD_BYTES_MAX);
    if answers == 1 {
        assert_ne!(asker, STRANGER, "served a stranger");
        check_address(asker, answer);
    }
}

/// An address stands at the end of the answer that gives it.
fn check_address(asker: Ipv4Addr, answer: &[u8]) {
    let Some((_, end)) = answer.split_last_chunk::<14>() else {
        panic!("a record without room for it");
    };
    // Type A, class IN, then time to live and length before the address.
    if end[..4] == [0, 1, 0, 1] && end[8..10] == [0, 4] {
        let address = Ipv4Addr::new(end[10], end[11], end[12], end[13]);
        let own: &[Ipv4Addr] = if asker == VAULT {
            &[VAULT]
        } else {
            &[WEB, DOTTED]
        };
        assert!(own.contains(&address), "{asker} hears of {address}");
    }
}
