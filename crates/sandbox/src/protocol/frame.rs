//! Messages to bytes and back. Pure: what the bytes travel on is the sockets' business.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Answer, Call, Event, Failure, FailureClass, FromKeeper, INLINE_BYTES_MAX, MESSAGE_BYTES_MAX,
    Reply, Request, VERSION,
};

/// The first byte of a datagram whose message travels in an anonymous file. No JSON begins so.
const DETACHED_MARK: u8 = b'@';

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The message is longer than [`MESSAGE_BYTES_MAX`].
    #[error("a message of {0} bytes is longer than {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
    /// The bytes are not the JSON that was expected.
    #[error("parse a message")]
    Malformed(#[from] serde_json::Error),
    /// A datagram names a detached message but gives no length.
    #[error("a datagram names a detached message without its length")]
    NoLength,
    /// A message that neither answers a request nor tells an event.
    #[error("a message is neither an answer nor an event")]
    Neither,
}

/// A message ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packed {
    /// As one datagram.
    Inline(Vec<u8>),
    /// Too long for one: `content` goes into an anonymous file whose descriptor comes last, and
    /// `datagram` says so.
    Detached {
        /// What is sent.
        datagram: Vec<u8>,
        /// What the file holds.
        content: Vec<u8>,
    },
}

#[derive(Serialize)]
struct AnswerOut<'a> {
    v: u32,
    re: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<&'a Reply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<&'a Failure>,
}

#[derive(Serialize)]
struct EventOut<'a> {
    v: u32,
    ev: &'a Event,
}

#[derive(Deserialize)]
struct ServerIn<'a> {
    #[serde(default)]
    re: Option<u64>,
    #[serde(default, borrow)]
    ok: Option<&'a RawValue>,
    #[serde(default, borrow)]
    err: Option<&'a RawValue>,
    #[serde(default, borrow)]
    ev: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CallIn<'a> {
    #[serde(default)]
    v: u32,
    id: u64,
    #[serde(borrow)]
    request: &'a RawValue,
}

/// Something that has a form on the wire.
pub trait Encode {
    /// Its JSON.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    fn to_json(&self) -> Result<Vec<u8>, serde_json::Error>;
}

impl Encode for Call {
    fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl Encode for Answer {
    fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let (ok, err) = match &self.result {
            Ok(reply) => (Some(reply), None),
            Err(failure) => (None, Some(failure)),
        };
        serde_json::to_vec(&AnswerOut {
            v: VERSION,
            re: self.id,
            ok,
            err,
        })
    }
}

impl Encode for Event {
    fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&EventOut {
            v: VERSION,
            ev: self,
        })
    }
}

/// Makes a message ready to be sent.
///
/// # Errors
/// It is longer than [`MESSAGE_BYTES_MAX`].
pub fn encode(message: &impl Encode) -> Result<Packed, FrameError> {
    let bytes = message.to_json()?;
    #[cfg(feature = "next-version")]
    let bytes = super::next::with_field(bytes);
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(FrameError::TooLong(bytes.len()));
    }
    if bytes.len() <= INLINE_BYTES_MAX {
        return Ok(Packed::Inline(bytes));
    }
    let mut datagram = vec![DETACHED_MARK];
    datagram.extend(bytes.len().to_string().bytes());
    Ok(Packed::Detached {
        datagram,
        content: bytes,
    })
}

/// Whether a datagram only says that the message is in the file that came with it.
#[must_use]
pub fn packet_is_detached(datagram: &[u8]) -> bool {
    datagram.first() == Some(&DETACHED_MARK)
}

/// The length of the detached message that a datagram names.
///
/// # Errors
/// It names none, or one that is too long.
pub fn decode_detached(datagram: &[u8]) -> Result<usize, FrameError> {
    let digits = datagram
        .strip_prefix(&[DETACHED_MARK])
        .ok_or(FrameError::NoLength)?;
    let text = str::from_utf8(digits).map_err(|_| FrameError::NoLength)?;
    let len: usize = text.parse().map_err(|_| FrameError::NoLength)?;
    if len > MESSAGE_BYTES_MAX {
        Err(FrameError::TooLong(len))
    } else {
        Ok(len)
    }
}

/// Reads a request.
///
/// # Errors
/// The bytes are no call at all. A call whose request this version does not know is given back as
/// its number and the failure to answer with.
pub fn decode_call(bytes: &[u8]) -> Result<Result<Call, Answer>, FrameError> {
    let outer: CallIn<'_> = serde_json::from_slice(bytes)?;
    match serde_json::from_str::<Request>(outer.request.get()) {
        Ok(request) => Ok(Ok(Call {
            v: outer.v,
            id: outer.id,
            request,
        })),
        Err(error) => {
            let class = if error.to_string().starts_with("unknown variant") {
                FailureClass::Unsupported
            } else {
                FailureClass::Invalid
            };
            let failure = Failure::new(class, format!("read request {}: {error}", outer.id));
            Ok(Err(Answer {
                id: outer.id,
                result: Err(failure),
            }))
        }
    }
}

/// Reads what a keeper or the launcher sent.
///
/// # Errors
/// The bytes are no message. What merely is not known to this version is no error.
pub fn decode_answer(bytes: &[u8]) -> Result<FromKeeper, FrameError> {
    let outer: ServerIn<'_> = serde_json::from_slice(bytes)?;
    if let Some(event) = outer.ev {
        return Ok(serde_json::from_str(event.get()).map_or(FromKeeper::Unknown, FromKeeper::Event));
    }
    let id = outer.re.ok_or(FrameError::Neither)?;
    let result = match (outer.ok, outer.err) {
        (Some(reply), _) => serde_json::from_str(reply.get()).map_err(|error| {
            Failure::new(
                FailureClass::Unsupported,
                format!("read the answer {id}: {error}"),
            )
        }),
        (None, Some(failure)) => Err(serde_json::from_str(failure.get())?),
        (None, None) => return Err(FrameError::Neither),
    };
    Ok(FromKeeper::Answer(Answer { id, result }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inline(message: &impl Encode) -> Vec<u8> {
        match encode(message).unwrap() {
            Packed::Inline(bytes) => bytes,
            Packed::Detached { .. } => panic!("a short message is sent as it is"),
        }
    }

    #[test]
    fn calls_and_answers_come_back_as_they_were() {
        let call = Call {
            v: VERSION,
            id: 7,
            request: Request::Dial {
                address: "[::1]:80".parse().unwrap(),
            },
        };
        assert_eq!(decode_call(&inline(&call)).unwrap().unwrap(), call);
        for result in [
            Ok(Reply::Ready { pid: 12 }),
            Err(Failure::new(
                FailureClass::CommandNotFound,
                "exec: \"x\": not found",
            )),
        ] {
            let answer = Answer { id: 9, result };
            assert_eq!(
                decode_answer(&inline(&answer)).unwrap(),
                FromKeeper::Answer(answer)
            );
        }
        let event = Event::ExecExited {
            exec: "e".into(),
            code: Some(3),
            signal: None,
        };
        assert_eq!(
            decode_answer(&inline(&event)).unwrap(),
            FromKeeper::Event(event)
        );
    }

    #[test]
    fn other_versions_are_tolerated() {
        let unknown_event = br#"{"v":2,"ev":{"event":"frozen","since":1}}"#;
        assert_eq!(decode_answer(unknown_event).unwrap(), FromKeeper::Unknown);
        let more_fields =
            br#"{"v":2,"re":3,"ok":{"is":"ready","pid":4,"colour":"red"},"extra":[]}"#;
        assert_eq!(
            decode_answer(more_fields).unwrap(),
            FromKeeper::Answer(Answer {
                id: 3,
                result: Ok(Reply::Ready { pid: 4 })
            })
        );
        let unknown_request = br#"{"v":2,"id":5,"request":{"op":"freeze"}}"#;
        let answer = decode_call(unknown_request).unwrap().unwrap_err();
        assert_eq!(answer.id, 5);
        assert_eq!(answer.result.unwrap_err().class, FailureClass::Unsupported);
        let bad_request = br#"{"v":1,"id":6,"request":{"op":"start","container":"../x"}}"#;
        let answer = decode_call(bad_request).unwrap().unwrap_err();
        assert_eq!(answer.result.unwrap_err().class, FailureClass::Invalid);
        let unknown_class = br#"{"v":2,"re":3,"err":{"class":"meteor","message":"m"}}"#;
        let FromKeeper::Answer(answer) = decode_answer(unknown_class).unwrap() else {
            panic!("an answer")
        };
        assert_eq!(answer.result.unwrap_err().class, FailureClass::Internal);
    }

    #[test]
    fn long_messages_travel_in_a_file_and_too_long_ones_not_at_all() {
        let event = |len| Event::ExecExited {
            exec: "e".repeat(len),
            code: None,
            signal: None,
        };
        let Packed::Detached { datagram, content } = encode(&event(INLINE_BYTES_MAX)).unwrap()
        else {
            panic!("a long message is detached")
        };
        assert!(packet_is_detached(&datagram));
        assert_eq!(decode_detached(&datagram).unwrap(), content.len());
        assert!(matches!(
            encode(&event(MESSAGE_BYTES_MAX)),
            Err(FrameError::TooLong(_))
        ));
        for bad in [
            &b"@"[..],
            b"@x",
            b"@-1",
            b"@99999999999999999999",
            b"@4194305",
            b"{}",
            b"",
        ] {
            assert!(decode_detached(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode_call(&bytes);
            let _ = decode_answer(&bytes);
            let _ = decode_detached(&bytes);
        }

        #[test]
        fn no_json_makes_the_decoders_panic(
            op in "[a-z_]{0,12}", key in "[a-z]{1,8}", text in ".{0,40}", number in any::<i64>(),
        ) {
            let value = serde_json::json!({"v": number, "id": 1, "re": 1,
                "request": {"op": op, key.as_str(): text}, "ok": {"is": op, key.as_str(): number},
                "ev": {"event": op, key: text}});
            let bytes = serde_json::to_vec(&value).unwrap();
            let _ = decode_call(&bytes);
            prop_assert!(decode_answer(&bytes).is_ok());
        }
    }
}
