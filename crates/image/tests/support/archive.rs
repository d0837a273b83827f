//! Tar archives, byte by byte, so that any field can be wrong.

/// A tar block.
pub(crate) const BLOCK: usize = 512;

/// One header, POSIX unless told otherwise.
#[derive(Clone)]
pub(crate) struct Header(pub(crate) [u8; BLOCK]);

impl Header {
    pub(crate) fn new(kind: u8, name: &[u8]) -> Self {
        let mut header = Self([0; BLOCK])
            .set(257, b"ustar\x0000")
            .set(100, b"0000644\0")
            .owner(0, 0)
            .size(0)
            .mtime(1_000_000_000);
        header.0[156] = kind;
        header.set(0, &name[..name.len().min(100)])
    }

    pub(crate) fn set(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn gnu(self) -> Self {
        self.set(257, b"ustar  \0")
    }

    pub(crate) fn v7(self) -> Self {
        self.set(257, &[0; 8])
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        self.set(100, format!("{mode:07o}\0").as_bytes())
    }

    pub(crate) fn owner(self, uid: u32, gid: u32) -> Self {
        self.set(108, format!("{uid:07o}\0{gid:07o}\0").as_bytes())
    }

    pub(crate) fn size(self, size: u64) -> Self {
        self.set(124, format!("{size:011o}\0").as_bytes())
    }

    pub(crate) fn mtime(self, seconds: u64) -> Self {
        self.set(136, format!("{seconds:011o}\0").as_bytes())
    }

    pub(crate) fn link(self, target: &[u8]) -> Self {
        self.set(157, &target[..target.len().min(100)])
    }

    /// The block with its checksum.
    pub(crate) fn finish(&self) -> [u8; BLOCK] {
        let mut block = self.0;
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// An archive under construction.
#[derive(Clone, Default)]
pub(crate) struct Archive(pub(crate) Vec<u8>);

impl Archive {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A header and its data, padded.
    pub(crate) fn entry(mut self, header: &Header, data: &[u8]) -> Self {
        self.0.extend_from_slice(&header.finish());
        self.data(data)
    }

    pub(crate) fn data(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Bytes that are no entry.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A file; long names get a PAX record.
    pub(crate) fn file(self, name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref();
        self.named(
            name.as_ref(),
            |name| Header::new(b'0', name).size(data.len() as u64),
            data,
        )
    }

    pub(crate) fn dir(self, name: impl AsRef<[u8]>) -> Self {
        self.named(
            name.as_ref(),
            |name| Header::new(b'5', name).mode(0o755),
            b"",
        )
    }

    pub(crate) fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let target = target.as_ref();
        let this = match target.len() {
            0..=100 => self,
            _ => return self.long_symlink(name.as_ref(), target),
        };
        this.named(
            name.as_ref(),
            |name| Header::new(b'2', name).link(target),
            b"",
        )
    }

    pub(crate) fn hard_link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.named(
            name.as_ref(),
            |name| Header::new(b'1', name).link(target.as_ref()),
            b"",
        )
    }

    pub(crate) fn device(self, kind: u8, name: &str, major: u32, minor: u32) -> Self {
        let numbers = format!("{major:07o}\0{minor:07o}\0");
        self.entry(
            &Header::new(kind, name.as_bytes()).set(329, numbers.as_bytes()),
            b"",
        )
    }

    /// A PAX header with these records.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let data = records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect::<Vec<_>>();
        self.extension(b'x', &data)
    }

    /// An extended header of any kind.
    pub(crate) fn extension(self, kind: u8, data: &[u8]) -> Self {
        let header = Header::new(kind, b"././@PaxHeader").size(data.len() as u64);
        let header = if matches!(kind, b'L' | b'K') {
            header.gnu()
        } else {
            header
        };
        self.entry(&header, data)
    }

    /// The archive with its end marker.
    pub(crate) fn end(self) -> Vec<u8> {
        self.raw(&[0; 2 * BLOCK]).0
    }

    fn named(self, name: &[u8], header: impl Fn(&[u8]) -> Header, data: &[u8]) -> Self {
        let this = if name.len() > 100 {
            self.pax(&[("path", name)])
        } else {
            self
        };
        this.entry(&header(name), data)
    }

    fn long_symlink(self, name: &[u8], target: &[u8]) -> Self {
        self.pax(&[("linkpath", target)])
            .entry(&Header::new(b'2', name), b"")
    }
}

/// A PAX record, whose length counts its own digits.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    [
        length.to_string().as_bytes(),
        b" ",
        key.as_bytes(),
        b"=",
        value,
        b"\n",
    ]
    .concat()
}
