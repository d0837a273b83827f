//! Questions and answers as bytes.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::names::{Meaning, Names};

/// What to do with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Send this.
    Answer(Vec<u8>),
    /// Ask an upstream server.
    Forward,
    /// Not a question; say nothing.
    Ignore,
}

/// How long an answer may be kept: short, since groups come and go.
const TTL_S: u32 = 5;

/// Answers a question of `asker`'s from `names` as far as they go.
pub(crate) fn reply(names: &Names, asker: Ipv4Addr, question: &[u8]) -> Reply {
    let Ok(request) = Message::from_vec(question) else {
        return Reply::Ignore;
    };
    if request.metadata.message_type != MessageType::Query {
        return Reply::Ignore;
    }
    if request.metadata.op_code != OpCode::Query {
        return answer(&request, ResponseCode::NotImp, None);
    }
    let [query] = &request.queries[..] else {
        return answer(&request, ResponseCode::FormErr, None);
    };
    if query.query_class() != DNSClass::IN {
        return answer(&request, ResponseCode::Refused, None);
    }
    match meaning(names, asker, query) {
        Meaning::NotServed => answer(&request, ResponseCode::Refused, None),
        Meaning::Nothing => answer(&request, ResponseCode::NXDomain, None),
        Meaning::Outside => Reply::Forward,
        Meaning::Group(address) => {
            let data = (query.query_type() == RecordType::A).then_some(RData::A(A(address)));
            answer(&request, ResponseCode::NoError, data)
        }
        Meaning::Named(name) => {
            let name = Name::from_ascii(name).ok();
            let data = name
                .filter(|_| query.query_type() == RecordType::PTR)
                .map(|n| RData::PTR(PTR(n)));
            answer(&request, ResponseCode::NoError, data)
        }
    }
}

/// The answer when no upstream server gives one.
pub(crate) fn failure(question: &[u8]) -> Option<Vec<u8>> {
    let request = Message::from_vec(question).ok()?;
    match answer(&request, ResponseCode::ServFail, None) {
        Reply::Answer(bytes) => Some(bytes),
        Reply::Forward | Reply::Ignore => None,
    }
}

/// The question for a name's IPv4 address; `None` if it is no name.
pub(crate) fn question(name: &str) -> Option<Vec<u8>> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(name).ok()?;
    message.queries.push(Query::query(name, RecordType::A));
    message.to_vec().ok()
}

/// Whether an answer has an address.
///
/// # Errors
/// It has none; what it says instead.
pub(crate) fn check_address(answer: &[u8]) -> Result<(), String> {
    let answer = Message::from_vec(answer).map_err(|error| error.to_string())?;
    let mut answers = answer.answers.iter();
    match answers.any(|record| record.record_type() == RecordType::A) {
        true => Ok(()),
        false => Err(format!("{:?}", answer.metadata.response_code)),
    }
}

/// A number for a question that nobody can guess.
pub(crate) fn random_id() -> u16 {
    Message::query().metadata.id
}

fn meaning(names: &Names, asker: Ipv4Addr, query: &Query) -> Meaning {
    let reverse = query.name().parse_arpa_name().ok();
    if let Some(IpAddr::V4(address)) = reverse
        .filter(|net| net.prefix_len() == 32)
        .map(|net| net.addr())
    {
        return names.reverse(asker, address);
    }
    let name = query.name().to_ascii();
    names.meaning(asker, name.trim_end_matches('.'))
}

fn answer(request: &Message, code: ResponseCode, data: Option<RData>) -> Reply {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.authoritative =
        code == ResponseCode::NoError || code == ResponseCode::NXDomain;
    response.metadata.response_code = code;
    response.queries.clone_from(&request.queries);
    if let (Some(query), Some(data)) = (request.queries.first(), data) {
        response
            .answers
            .push(Record::from_rdata(query.name().clone(), TTL_S, data));
    }
    response.to_vec().map_or(Reply::Ignore, Reply::Answer)
}

/// What a server says that knows these addresses of the name that it is asked for.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(super) fn answered(question: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let request = Message::from_vec(question).unwrap();
    let code = match addresses {
        [] => ResponseCode::NXDomain,
        _ => ResponseCode::NoError,
    };
    let address = addresses.first().map(|address| RData::A(A(*address)));
    match answer(&request, code, address) {
        Reply::Answer(bytes) => bytes,
        Reply::Forward | Reply::Ignore => panic!("no answer"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::super::names::tests::{DOTTED, OTHER, STRANGER, WEB, names};
    use super::*;

    fn question(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = 7;
        message.metadata.recursion_desired = true;
        message
            .queries
            .push(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn ask(asker: Ipv4Addr, name: &str, kind: RecordType) -> Option<Message> {
        match names().read(|names| reply(names, asker, &question(name, kind))) {
            Reply::Answer(bytes) => Some(Message::from_vec(&bytes).unwrap()),
            Reply::Forward | Reply::Ignore => None,
        }
    }

    #[test]
    fn answers() {
        let web = Some(RData::A(A(WEB)));
        let name = Name::from_ascii("web.shop.burstlet.local.").unwrap();
        let arpa = "2.0.0.10.in-addr.arpa.";
        for (asker, text, kind, code, data) in [
            (
                DOTTED,
                "web.",
                RecordType::A,
                ResponseCode::NoError,
                web.clone(),
            ),
            (
                DOTTED,
                "wEb.shop.",
                RecordType::A,
                ResponseCode::NoError,
                web,
            ),
            (
                DOTTED,
                "web.",
                RecordType::AAAA,
                ResponseCode::NoError,
                None,
            ),
            (
                DOTTED,
                "vault.",
                RecordType::A,
                ResponseCode::NXDomain,
                None,
            ),
            (
                DOTTED,
                arpa,
                RecordType::PTR,
                ResponseCode::NoError,
                Some(RData::PTR(PTR(name))),
            ),
            (OTHER, arpa, RecordType::PTR, ResponseCode::NXDomain, None),
            (
                STRANGER,
                "example.com.",
                RecordType::A,
                ResponseCode::Refused,
                None,
            ),
        ] {
            let answer = ask(asker, text, kind).unwrap();
            assert_eq!(answer.metadata.id, 7);
            assert_eq!(answer.metadata.message_type, MessageType::Response);
            assert_eq!(answer.metadata.response_code, code, "{asker} {text} {kind}");
            assert_eq!(answer.queries[0].name().to_ascii(), text);
            assert_eq!(
                answer.answers.first().map(|record| record.data.clone()),
                data
            );
        }
        assert!(ask(WEB, "example.com.", RecordType::A).is_none());
    }

    #[test]
    fn what_is_not_a_question() {
        let answer = question("web.", RecordType::A);
        let mut response = answer.clone();
        response[2] |= 0x80;
        let names = names();
        for bytes in [&response[..], &answer[..11], b""] {
            assert_eq!(names.read(|names| reply(names, WEB, bytes)), Reply::Ignore);
        }
        let two = {
            let mut message = Message::from_vec(&answer).unwrap();
            message.queries.extend_from_within(..);
            message.to_vec().unwrap()
        };
        let Reply::Answer(bytes) = names.read(|names| reply(names, WEB, &two)) else {
            panic!("two questions are a format error");
        };
        assert_eq!(
            Message::from_vec(&bytes).unwrap().metadata.response_code,
            ResponseCode::FormErr
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let names = names();
            let _ = names.read(|names| reply(names, WEB, &bytes));
        }
    }
}
