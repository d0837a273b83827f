//! How the trail's lines hang together: each begins with its number and the hash of the line before it,
//! whatever that one says, over the ends of files too.
//!
//! ```text
//! {"seq":7,"prev":"5e0f…","at":…}
//!                  └ SHA-256 of the line before, without its newline
//! ```
//!
//! Who changes a line must change all that follow, and with them the last one's hash, the head. A head
//! that was kept elsewhere shows it.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// The hash of a line.
pub(super) type Hash = [u8; HASH_BYTES];

/// A line's number and hash, written `NUMBER:HASH`. Before the first line both are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The line's number.
    pub seq: u64,
    pub(super) hash: Hash,
}

/// A text that is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be NUMBER:HASH, the hash in 64 hexadecimal digits")]
pub struct HeadError;

/// What a line says of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has this number, and comes after a line with this hash.
    Tied { seq: u64, prev: Hash },
    /// Nothing: an agent wrote it that did not tie lines together.
    Untied,
    /// It is no whole line: an agent's end has cut it.
    Torn,
}

#[derive(Deserialize)]
struct Written {
    seq: Option<u64>,
    prev: Option<String>,
}

impl Head {
    /// The line, with its newline, that says what a JSON object with at least one field says, tied to
    /// this one; and where the trail stands then.
    pub(super) fn tie(self, object: &[u8]) -> (Vec<u8>, Self) {
        let (seq, prev) = (self.seq + 1, hex::encode(self.hash));
        let mut line = format!("{{\"seq\":{seq},\"prev\":\"{prev}\",").into_bytes();
        line.extend(object.strip_prefix(b"{").unwrap_or(object));
        let hash = hash(&line);
        line.push(b'\n');
        (line, Self { seq, hash })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.hash))
    }
}

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (seq, digits) = text.split_once(':').ok_or(HeadError)?;
        let seq = seq.parse().map_err(|_| HeadError)?;
        let hash = hash_of(digits).ok_or(HeadError)?;
        Ok(Self { seq, hash })
    }
}

/// The hash of a line, without its newline.
pub(super) fn hash(line: &[u8]) -> Hash {
    Sha256::digest(line).into()
}

/// What a line, without its newline, says of its place.
pub(super) fn place(line: &[u8]) -> Place {
    let Ok(Written { seq, prev }) = serde_json::from_slice(line) else {
        return Place::Torn;
    };
    match (seq, prev.as_deref().map(hash_of)) {
        (Some(seq), Some(Some(prev))) => Place::Tied { seq, prev },
        (None, None) => Place::Untied,
        _ => Place::Torn,
    }
}

fn hash_of(digits: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    hex::decode_to_slice(digits, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_one_before() {
        let (first, head) = Head::default().tie(br#"{"a":1}"#);
        let zeros = "0".repeat(2 * HASH_BYTES);
        let expected = format!("{{\"seq\":1,\"prev\":\"{zeros}\",\"a\":1}}\n");
        assert_eq!(String::from_utf8(first.clone()).unwrap(), expected);
        assert_eq!(head.hash, hash(first.strip_suffix(b"\n").unwrap()));
        let (second, _) = head.tie(br#"{"a":2}"#);
        let prev = head.hash;
        assert_eq!(place(second.trim_ascii_end()), Place::Tied { seq: 2, prev });
        assert_eq!(head.to_string().parse(), Ok(head));
    }

    #[test]
    fn lines_without_a_place() {
        assert_eq!(place(br#"{"at":"x"}"#), Place::Untied);
        for torn in [&br#"{"seq":1,"pre"#[..], br#"{"seq":1}"#, b"", b"word"] {
            assert_eq!(place(torn), Place::Torn);
        }
    }

    #[test]
    fn texts_that_are_no_heads() {
        for bad in [
            "",
            "1",
            "1:",
            "x:00",
            &format!("-1:{}", "0".repeat(64)),
            "1:0g",
        ] {
            assert_eq!(bad.parse::<Head>(), Err(HeadError), "{bad}");
        }
    }
}
