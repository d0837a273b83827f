//! PAX extended headers: `LENGTH KEY=VALUE\n` records.

use super::reader::Timestamp;
use crate::unpack::fault::HeaderRule;

const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";
const SPARSE: &[u8] = b"GNU.sparse.";
const NANO_DIGITS: usize = 9;

/// What one extended header says about the next entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<Timestamp>,
    /// Extended attributes, by full name.
    pub(crate) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Reads the records that stand before an entry.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, HeaderRule> {
        let mut pax = Self::default();
        let mut rest = data;
        while !rest.is_empty() {
            let (key, value) = record(&mut rest)?;
            pax.take(key, value)?;
        }
        Ok(pax)
    }

    /// Reads a global header. Readers differ in whether it applies to anything, so it may only
    /// hold what does not matter, such as `comment`.
    pub(crate) fn check_global(data: &[u8]) -> Result<(), HeaderRule> {
        if Self::parse(data)? == Self::default() {
            Ok(())
        } else {
            Err(HeaderRule::PaxAmbiguous)
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), HeaderRule> {
        match key {
            b"path" => once(&mut self.path, name(value)?),
            b"linkpath" => once(&mut self.link, name(value)?),
            b"size" => once(&mut self.size, decimal(value)?),
            b"uid" => once(&mut self.uid, decimal(value)?),
            b"gid" => once(&mut self.gid, decimal(value)?),
            b"mtime" => once(&mut self.mtime, timestamp(value)?),
            key if key.starts_with(SPARSE) => Err(HeaderRule::Sparse),
            key => match key.strip_prefix(ATTRIBUTE) {
                Some(attribute) => self.attribute(attribute, value),
                None => Ok(()),
            },
        }
    }

    fn attribute(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderRule> {
        if name.is_empty() || name.contains(&0) {
            return Err(HeaderRule::PaxRecord);
        }
        if self.attributes.iter().any(|(known, _)| known == name) {
            return Err(HeaderRule::PaxAmbiguous);
        }
        self.attributes.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), HeaderRule> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(HeaderRule::PaxAmbiguous),
    }
}

/// Takes one record off `rest`.
fn record<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], &'a [u8]), HeaderRule> {
    let space = rest
        .iter()
        .position(|byte| *byte == b' ')
        .ok_or(HeaderRule::PaxRecord)?;
    let (length, _) = rest.split_at(space);
    let length = usize::try_from(decimal(length)?).map_err(|_| HeaderRule::PaxRecord)?;
    let (record, after) = rest.split_at_checked(length).ok_or(HeaderRule::PaxRecord)?;
    let record = record.get(space + 1..).ok_or(HeaderRule::PaxRecord)?;
    let record = record.strip_suffix(b"\n").ok_or(HeaderRule::PaxRecord)?;
    let equals = record
        .iter()
        .position(|byte| *byte == b'=')
        .ok_or(HeaderRule::PaxRecord)?;
    let (key, value) = record.split_at(equals);
    *rest = after;
    Ok((key, value.get(1..).unwrap_or_default()))
}

/// A name; an empty one would mean "as in the header" to some and "no name" to others.
fn name(value: &[u8]) -> Result<Vec<u8>, HeaderRule> {
    if value.is_empty() || value.contains(&0) {
        return Err(HeaderRule::PaxAmbiguous);
    }
    Ok(value.to_vec())
}

fn decimal(digits: &[u8]) -> Result<u64, HeaderRule> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HeaderRule::PaxRecord);
    }
    let fold = |value: u64, digit: &u8| {
        value
            .checked_mul(10)
            .and_then(|shifted| shifted.checked_add(u64::from(digit - b'0')))
    };
    digits.iter().try_fold(0, fold).ok_or(HeaderRule::Number)
}

/// Seconds with an optional fraction; digits finer than nanoseconds are cut.
fn timestamp(value: &[u8]) -> Result<Timestamp, HeaderRule> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let whole = decimal(parts.next().unwrap_or_default())?;
    let whole = i64::try_from(whole).map_err(|_| HeaderRule::Number)?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(HeaderRule::PaxRecord);
    }
    let digits = fraction
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(NANO_DIGITS);
    let nanos = digits.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Ok(match (negative, nanos) {
        (false, nanos) => Timestamp {
            seconds: whole,
            nanos,
        },
        (true, 0) => Timestamp {
            seconds: -whole,
            nanos: 0,
        },
        (true, nanos) => Timestamp {
            seconds: -whole - 1,
            nanos: 1_000_000_000 - nanos,
        },
    })
}

#[cfg(test)]
#[path = "pax_tests.rs"]
mod tests;
