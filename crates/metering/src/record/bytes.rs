//! Little-endian numbers and bounded texts, written and read. Reading never trusts a length.

use super::code::Code;
use super::decode::DecodeError;
use super::encode::EncodeError;

/// Builds a body.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn code(&mut self, value: impl Code) {
        self.u8(value.code());
    }

    /// A count or a length that is at most `max`.
    pub(crate) fn count(
        &mut self,
        what: &'static str,
        count: usize,
        max: usize,
    ) -> Result<(), EncodeError> {
        match u32::try_from(count) {
            Ok(small) if count <= max => {
                self.u32(small);
                Ok(())
            }
            _ => Err(EncodeError::TooLong { what, count, max }),
        }
    }

    pub(crate) fn text(
        &mut self,
        what: &'static str,
        text: &str,
        max: usize,
    ) -> Result<(), EncodeError> {
        self.count(what, text.len(), max)?;
        self.raw(text.as_bytes());
        Ok(())
    }
}

/// Reads a body from its begin to its end.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Short(what))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        self.array(what).map(i64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self, what: &'static str) -> Result<u128, DecodeError> {
        self.array(what).map(u128::from_le_bytes)
    }

    pub(super) fn code<T: Code>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        let code = self.u8(what)?;
        T::from_code(code).ok_or(DecodeError::Unknown { what, code })
    }

    pub(crate) fn count(&mut self, what: &'static str, max: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.u32(what)?).unwrap_or(usize::MAX);
        match count <= max {
            true => Ok(count),
            false => Err(DecodeError::TooLong { what, count, max }),
        }
    }

    pub(crate) fn text(&mut self, what: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        let length = self.count(what, max)?;
        let head = self.bytes(what, length)?;
        std::str::from_utf8(head).map_err(|_| DecodeError::Invalid(what))
    }

    /// Bytes without a number before them.
    pub(crate) fn bytes(
        &mut self,
        what: &'static str,
        count: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Short(what))?;
        self.rest = rest;
        Ok(head)
    }

    /// How many bytes are left.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn end(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}
