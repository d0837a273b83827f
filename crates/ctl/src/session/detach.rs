//! The keys that leave a session and let its process go on.

use std::str::FromStr;

/// A sequence of keys, as `ctrl-p,ctrl-q`. Empty for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

/// Looks for the keys in what is typed.
#[derive(Debug)]
pub(crate) struct DetachWatch {
    keys: Vec<u8>,
    /// How many of the keys were just typed. They are held back until it is clear what they are.
    matched: usize,
}

impl DetachKeys {
    pub(crate) fn watch(self) -> DetachWatch {
        DetachWatch {
            keys: self.0,
            matched: 0,
        }
    }
}

impl FromStr for DetachKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys = text.split(',').filter(|key| !key.is_empty());
        keys.map(parse_key).collect::<Result<_, _>>().map(Self)
    }
}

impl DetachWatch {
    /// What to send on, and whether the keys are complete.
    pub(crate) fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut forward = Vec::with_capacity(typed.len() + self.matched);
        if self.keys.is_empty() {
            forward.extend_from_slice(typed);
            return (forward, false);
        }
        for byte in typed {
            let mut held: Vec<u8> = self.keys.iter().take(self.matched).copied().collect();
            held.push(*byte);
            if held == self.keys {
                self.matched = 0;
                return (forward, true);
            }
            // The longest end of what is held that may still become the keys is held on.
            let is_start = |from: &usize| {
                held.get(*from..)
                    .is_some_and(|end| self.keys.starts_with(end))
            };
            let from = (0..held.len()).find(is_start).unwrap_or(held.len());
            self.matched = held.len() - from;
            forward.extend(held.drain(..from));
        }
        (forward, false)
    }
}

fn parse_key(key: &str) -> Result<u8, String> {
    let fault = || format!("{key:?} is not a key, as a, ctrl-p or ctrl-@");
    match key.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([c @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(c & 0x1f),
        Some(_) => Err(fault()),
        None => match key.as_bytes() {
            [c] if c.is_ascii_graphic() => Ok(*c),
            _ => Err(fault()),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watch(keys: &str) -> DetachWatch {
        keys.parse::<DetachKeys>().unwrap().watch()
    }

    #[test]
    fn keys_are_read() {
        let keys = |text: &str| text.parse::<DetachKeys>().map(|keys| keys.0);
        assert_eq!(keys("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(keys("ctrl-@,a,ctrl-["), Ok(vec![0, b'a', 27]));
        assert_eq!(keys(""), Ok(vec![]));
        for text in ["ctrl-", "ctrl-P", "shift-a", "ab", "ü"] {
            assert!(keys(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_whole_sequence_leaves() {
        let mut typed = watch("ctrl-p,ctrl-q");
        assert_eq!(typed.feed(b"ls\n"), (b"ls\n".to_vec(), false));
        assert_eq!(typed.feed(b"\x10"), (vec![], false));
        assert_eq!(typed.feed(b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(typed.feed(b"a\x10\x10"), (b"a\x10".to_vec(), false));
        assert_eq!(typed.feed(b"\x11rest"), (vec![], true));
        assert_eq!(watch("").feed(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
        assert_eq!(watch("a,a,b").feed(b"aaab"), (b"a".to_vec(), true));
    }

    proptest! {
        #[test]
        fn nothing_typed_is_lost_or_changed(chunks in prop::collection::vec(
            prop::collection::vec(prop::sample::select(b"ab\x10\x11".to_vec()), 0..4), 0..8,
        )) {
            let mut typed = watch("ctrl-p,ctrl-p,ctrl-q");
            let mut forwarded = Vec::new();
            for (at, chunk) in chunks.iter().enumerate() {
                let (forward, leaves) = typed.feed(chunk);
                forwarded.extend(forward);
                let so_far = chunks[..=at].concat();
                if leaves {
                    prop_assert!(so_far.windows(3).any(|w| w == b"\x10\x10\x11"));
                    return Ok(());
                }
                let held = typed.matched;
                prop_assert_eq!(&so_far[..so_far.len() - held], &forwarded[..]);
            }
        }
    }
}
