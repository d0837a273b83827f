//! Netlink attributes: length with header, kind, value, padding to a whole word.

const HEADER_BYTES: usize = 4;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_F_NET_BYTEORDER: u16 = 0x4000;

/// Appends an attribute.
pub(super) fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = (HEADER_BYTES + value.len()) as u16;
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Appends an attribute whose value is the attributes that `body` appends.
pub(super) fn nested(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let mut value = Vec::new();
    body(&mut value);
    attribute(out, kind | NLA_F_NESTED, &value);
}

/// The value of the first attribute of a kind.
pub(super) fn find(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let [l0, l1, k0, k1] = *attributes.first_chunk::<HEADER_BYTES>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = attributes.get(HEADER_BYTES..length)?;
        let found = u16::from_ne_bytes([k0, k1]) & !(NLA_F_NESTED | NLA_F_NET_BYTEORDER);
        if found == kind {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_found() {
        let mut out = Vec::new();
        attribute(&mut out, 1, b"abcde");
        nested(&mut out, 2, |out| attribute(out, 3, b"x"));
        assert_eq!(out.len(), 12 + 4 + 8);
        assert_eq!(find(&out, 1), Some(&b"abcde"[..]));
        assert_eq!(
            find(&out, 2).and_then(|inner| find(inner, 3)),
            Some(&b"x"[..])
        );
        assert_eq!(find(&out, 3), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), kind in 0u16..4) {
            let _ = find(&bytes, kind);
        }
    }
}
