//! One 512-byte header: its checksum, its dialect and its numbers.

use crate::unpack::fault::HeaderRule;

/// A tar block.
pub(crate) const BLOCK_BYTES: usize = 512;
const CHECKSUM_FIELD: std::ops::Range<usize> = 148..156;
const MAGIC_FIELD: std::ops::Range<usize> = 257..265;
/// Where star's own dialect signs; its header differs from POSIX in the prefix field.
const STAR_FIELD: std::ops::Range<usize> = 508..512;

/// Which header layout a writer used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Unix V7: no magic, no extensions.
    V7,
    /// POSIX ustar and PAX.
    Posix,
    /// Old GNU.
    Gnu,
}

/// A header whose checksum and dialect hold.
pub(crate) struct Header {
    raw: tar::Header,
    pub(crate) dialect: Dialect,
}

impl Header {
    pub(crate) fn new(block: &[u8; BLOCK_BYTES]) -> Result<Self, HeaderRule> {
        let mut raw = tar::Header::new_old();
        *raw.as_mut_bytes() = *block;
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                if CHECKSUM_FIELD.contains(&at) {
                    b' '
                } else {
                    *byte
                }
            })
            .map(u64::from)
            .sum();
        if unsigned(&raw.as_old().cksum).ok() != Some(sum) {
            return Err(HeaderRule::Checksum);
        }
        Ok(Self {
            dialect: dialect(block)?,
            raw,
        })
    }

    pub(crate) fn type_flag(&self) -> u8 {
        // As written: to the crate, V7's NUL is the same as '0'.
        let [flag] = self.raw.as_old().linkflag;
        flag
    }

    pub(crate) fn size(&self) -> Result<u64, HeaderRule> {
        unsigned(&self.raw.as_old().size)
    }

    pub(crate) fn uid(&self) -> Result<u64, HeaderRule> {
        unsigned(&self.raw.as_old().uid)
    }

    pub(crate) fn gid(&self) -> Result<u64, HeaderRule> {
        unsigned(&self.raw.as_old().gid)
    }

    /// The permission bits; writers differ in whether they add the type's.
    pub(crate) fn mode(&self) -> Result<u32, HeaderRule> {
        let bits = unsigned(&self.raw.as_old().mode)? & 0o7777;
        u32::try_from(bits).map_err(|_| HeaderRule::Number)
    }

    pub(crate) fn mtime(&self) -> Result<i64, HeaderRule> {
        number(&self.raw.as_old().mtime)
    }

    /// The name, with POSIX's prefix.
    pub(crate) fn name(&self) -> Vec<u8> {
        let name = text(&self.raw.as_old().name);
        let prefix = match self.dialect {
            Dialect::Posix => self.raw.as_ustar().map(|ustar| text(&ustar.prefix)),
            Dialect::V7 | Dialect::Gnu => None,
        };
        match prefix {
            Some(prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
            _ => name.to_vec(),
        }
    }

    pub(crate) fn link(&self) -> Vec<u8> {
        text(&self.raw.as_old().linkname).to_vec()
    }

    pub(crate) fn gnu(&self) -> Option<&tar::GnuHeader> {
        (self.dialect == Dialect::Gnu)
            .then(|| self.raw.as_gnu())
            .flatten()
    }
}

/// The text of a field: up to its first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number that cannot be negative.
pub(crate) fn unsigned(field: &[u8]) -> Result<u64, HeaderRule> {
    u64::try_from(number(field)?).map_err(|_| HeaderRule::Number)
}

/// A numeric field: octal text, or GNU's big-endian two's complement with the top bit set.
pub(crate) fn number(field: &[u8]) -> Result<i64, HeaderRule> {
    match field.first() {
        Some(0x80) => binary(field.get(1..).unwrap_or_default(), 0),
        Some(0xff) => binary(field.get(1..).unwrap_or_default(), -1),
        Some(first) if first & 0x80 != 0 => Err(HeaderRule::Number),
        _ => octal(field),
    }
}

fn binary(digits: &[u8], sign: i64) -> Result<i64, HeaderRule> {
    let fold = |value: i64, digit: &u8| {
        value
            .checked_mul(256)
            .and_then(|shifted| shifted.checked_add(i64::from(*digit)))
    };
    digits.iter().try_fold(sign, fold).ok_or(HeaderRule::Number)
}

fn octal(field: &[u8]) -> Result<i64, HeaderRule> {
    let field = field.trim_ascii_start();
    let end = field
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'7'))
        .unwrap_or(field.len());
    let (digits, rest) = field.split_at(end);
    if !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Err(HeaderRule::Number);
    }
    let fold = |value: i64, digit: &u8| {
        value
            .checked_mul(8)
            .and_then(|shifted| shifted.checked_add(i64::from(digit - b'0')))
    };
    digits.iter().try_fold(0, fold).ok_or(HeaderRule::Number)
}

fn dialect(block: &[u8; BLOCK_BYTES]) -> Result<Dialect, HeaderRule> {
    match &block[MAGIC_FIELD] {
        b"ustar\x0000" if &block[STAR_FIELD] == b"tar\0" => Err(HeaderRule::Magic),
        b"ustar\x0000" => Ok(Dialect::Posix),
        b"ustar  \0" => Ok(Dialect::Gnu),
        magic if magic.starts_with(b"ustar") => Err(HeaderRule::Magic),
        _ => Ok(Dialect::V7),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_as_writers_write_them() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"0000644 ", 0o644),
            (b"   644 \0", 0o644),
            (b"00000001750\0", 0o1750),
            (b"77777777777\0", 0o77_777_777_777),
            (b"777777777777", 0o777_777_777_777),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"        ", 0),
            (b"", 0),
            (b"\x80\0\0\0\0\0\x02\0\0\0\0\0", 2 << 40),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", i64::MAX),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", -1),
        ] {
            assert_eq!(number(field), Ok(value), "{}", field.escape_ascii());
        }
    }

    #[test]
    fn numbers_that_readers_differ_about() {
        for field in [
            &b"0000648\0"[..],
            b"-000644\0",
            b"+000644\0",
            b"0x00644\0",
            b"644\x00644\0",
            b"644 644 ",
            b"6_4\0\0\0\0\0",
            b"\x000000644",
            b"\x81\0\0\0\0\0\0\0",
            b"\xc0\0\0\0\0\0\0\0\0\0\0\0",
            b"\xfe\0\0\0\0\0\0\0\0\0\0\0",
            b"\x80\0\0\0\x80\0\0\0\0\0\0\0",
            b"\x80\x01\0\0\0\0\0\0\0\0\0\0",
            b"\xff\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(
                number(field),
                Err(HeaderRule::Number),
                "{}",
                field.escape_ascii()
            );
        }
        assert_eq!(
            unsigned(b"\xff\xff\xff\xff\xff\xff\xff\xff"),
            Err(HeaderRule::Number)
        );
    }

    proptest! {
        #[test]
        fn binary_numbers_come_back(value in any::<i64>()) {
            let mut field = if value < 0 { vec![0xff; 4] } else { vec![0x80, 0, 0, 0] };
            field.extend_from_slice(&value.to_be_bytes());
            prop_assert_eq!(number(&field), Ok(value));
        }

        #[test]
        fn octal_numbers_come_back(value in 0_i64..=0o77_777_777_777) {
            prop_assert_eq!(number(format!("{value:011o}\0").as_bytes()), Ok(value));
        }

        #[test]
        fn no_block_makes_the_parser_fail_otherwise_than_by_a_rule(
            block in proptest::array::uniform32(any::<u8>())
        ) {
            let mut whole = [0; BLOCK_BYTES];
            for (at, byte) in whole.iter_mut().enumerate() {
                *byte = block[at % 32].rotate_left((at / 32) as u32);
            }
            let sum: u64 = whole.iter().enumerate()
                .map(|(at, byte)| if CHECKSUM_FIELD.contains(&at) { 32 } else { u64::from(*byte) })
                .sum();
            whole[CHECKSUM_FIELD].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            if let Ok(header) = Header::new(&whole) {
                let _ = (header.size(), header.uid(), header.gid(), header.mode(), header.mtime());
                prop_assert!(header.name().len() <= 256);
            }
        }
    }
}
