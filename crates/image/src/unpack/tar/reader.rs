//! From a stream to entries.

use std::io::{self, BufRead};

use super::header::{BLOCK_BYTES, Dialect, Header, text};
use super::pax::Pax;
use super::sparse::{Part, SparseMap};
use crate::unpack::fault::{HeaderRule, LayerFault, Limit};
use crate::unpack::limits::{Budget, EXTENSION_BYTES_MAX, TRAILING_BYTES_MAX};

/// The largest size that the octal field of a header can state.
const OCTAL_SIZE_MAX: u64 = 0o77_777_777_777;

/// A point in time, before or after 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) seconds: i64,
    pub(crate) nanos: i64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    Device,
}

/// One entry, its extended headers applied.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As the archive has it.
    pub(crate) name: Vec<u8>,
    pub(crate) kind: EntryKind,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: Timestamp,
    /// Bytes of data in the archive; zero for all but files.
    pub(crate) stored: u64,
    pub(crate) sparse: Option<SparseMap>,
    pub(crate) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The file's size with its holes.
    pub(crate) fn size(&self) -> u64 {
        self.sparse.as_ref().map_or(self.stored, |map| map.size)
    }
}

/// Reads a tar stream entry by entry, data in between.
pub(crate) struct Reader<R> {
    source: R,
    offset: u64,
    /// Data of the current entry that nobody has read yet.
    unread: u64,
    padding: u64,
}

/// Extended headers that wait for their entry.
#[derive(Default)]
struct Extensions {
    pax: Option<Pax>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            offset: 0,
            unread: 0,
            padding: 0,
        }
    }

    /// Where the stream stands: after `next`, at the first byte of the entry's data.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The stream, once it has been read.
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    /// The next entry; `None` once the stream has ended as it should.
    pub(crate) fn next(&mut self, budget: &mut Budget) -> Result<Option<Entry>, LayerFault> {
        self.skip_rest()?;
        let mut extensions = Extensions::default();
        loop {
            let at = self.offset;
            let fault = move |rule| LayerFault::Header { offset: at, rule };
            let block = self.block()?;
            if block.iter().all(|byte| *byte == 0) {
                extensions.none_waits().map_err(fault)?;
                self.end()?;
                return Ok(None);
            }
            let header = Header::new(&block).map_err(fault)?;
            match (header.type_flag(), header.dialect) {
                (b'x' | b'g', Dialect::Posix) | (b'L' | b'K', Dialect::Gnu) => {
                    let data = self.extension(&header, budget)?;
                    extensions.take(header.type_flag(), &data).map_err(fault)?;
                }
                _ => {
                    budget.entry()?;
                    let mut entry = extensions.apply(&header).map_err(fault)?;
                    budget.header((entry.name.len() + entry.link.len()) as u64)?;
                    entry.sparse = self.sparse_map(&header, &entry, budget)?;
                    self.unread = entry.stored;
                    self.padding = padding(entry.stored);
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// The next run of the current entry's data, at most `max` bytes; the sink's errors are the
    /// caller's own.
    pub(crate) fn data(
        &mut self,
        max: u64,
        sink: impl FnOnce(&[u8]) -> Result<(), LayerFault>,
    ) -> Result<u64, LayerFault> {
        let wanted = usize::try_from(max.min(self.unread)).unwrap_or(usize::MAX);
        if wanted == 0 {
            return Ok(0);
        }
        let ready = fill(&mut self.source, self.offset)?;
        let run = ready.get(..wanted).unwrap_or(ready);
        let length = run.len();
        sink(run)?;
        self.source.consume(length);
        self.offset += length as u64;
        self.unread -= length as u64;
        Ok(length as u64)
    }

    fn skip_rest(&mut self) -> Result<(), LayerFault> {
        self.unread += std::mem::take(&mut self.padding);
        while self.unread > 0 {
            self.data(u64::MAX, |_| Ok(()))?;
        }
        Ok(())
    }

    fn block(&mut self) -> Result<[u8; BLOCK_BYTES], LayerFault> {
        let mut block = [0; BLOCK_BYTES];
        let mut rest = block.as_mut_slice();
        while !rest.is_empty() {
            let ready = fill(&mut self.source, self.offset)?;
            let length = ready.len().min(rest.len());
            let (head, tail) = rest.split_at_mut(length);
            head.copy_from_slice(ready.get(..length).unwrap_or_default());
            rest = tail;
            self.source.consume(length);
            self.offset += length as u64;
        }
        Ok(block)
    }

    fn extension(&mut self, header: &Header, budget: &mut Budget) -> Result<Vec<u8>, LayerFault> {
        let at = self.offset;
        let size = header
            .size()
            .map_err(|rule| LayerFault::Header { offset: at, rule })?;
        if size > EXTENSION_BYTES_MAX {
            return Err(LayerFault::TooLarge {
                limit: Limit::ExtensionBytes,
                max: EXTENSION_BYTES_MAX,
            });
        }
        budget.header(size)?;
        self.unread = size;
        self.padding = padding(size);
        let mut data = Vec::new();
        while self.unread > 0 {
            self.data(u64::MAX, |run| {
                data.extend_from_slice(run);
                Ok(())
            })?;
        }
        self.skip_rest()?;
        Ok(data)
    }

    fn sparse_map(
        &mut self,
        header: &Header,
        entry: &Entry,
        budget: &mut Budget,
    ) -> Result<Option<SparseMap>, LayerFault> {
        if header.type_flag() != b'S' {
            return Ok(None);
        }
        let at = self.offset;
        let fault = |rule| LayerFault::Header { offset: at, rule };
        let gnu = header.gnu().ok_or_else(|| fault(HeaderRule::Sparse))?;
        let (mut part, size) = Part::of_header(gnu).map_err(fault)?;
        let mut map = SparseMap::new(size);
        while part.continued {
            map.add(part, at)?;
            budget.header(BLOCK_BYTES as u64)?;
            part = Part::of_block(&self.block()?).map_err(fault)?;
        }
        map.add(part, at)?;
        if map.stored() != entry.stored {
            return Err(fault(HeaderRule::Sparse));
        }
        Ok(Some(map))
    }

    /// After the first block of the end marker: the second, then nothing but padding.
    fn end(&mut self) -> Result<(), LayerFault> {
        let after_end = |offset| LayerFault::Header {
            offset,
            rule: HeaderRule::AfterEnd,
        };
        if self.block()?.iter().any(|byte| *byte != 0) {
            return Err(after_end(self.offset - BLOCK_BYTES as u64));
        }
        let limit = self.offset.saturating_add(TRAILING_BYTES_MAX);
        loop {
            let ready = self
                .source
                .fill_buf()
                .map_err(|error| stream(error, self.offset))?;
            if ready.is_empty() {
                return Ok(());
            }
            if ready.iter().any(|byte| *byte != 0) {
                return Err(after_end(self.offset));
            }
            let length = ready.len();
            self.source.consume(length);
            self.offset += length as u64;
            if self.offset > limit {
                return Err(LayerFault::TooLarge {
                    limit: Limit::TrailingBytes,
                    max: TRAILING_BYTES_MAX,
                });
            }
        }
    }
}

impl Extensions {
    fn take(&mut self, type_flag: u8, data: &[u8]) -> Result<(), HeaderRule> {
        match type_flag {
            b'g' => {
                self.none_waits()?;
                Pax::check_global(data)
            }
            b'x' => put(&mut self.pax, Pax::parse(data)?),
            b'L' => put(&mut self.name, long_text(data)?),
            _ => put(&mut self.link, long_text(data)?),
        }
    }

    fn none_waits(&self) -> Result<(), HeaderRule> {
        match self {
            Self {
                pax: None,
                name: None,
                link: None,
            } => Ok(()),
            _ => Err(HeaderRule::Extension),
        }
    }

    /// The entry that `header` and what was said before it describe together.
    fn apply(&mut self, header: &Header) -> Result<Entry, HeaderRule> {
        let plain_v7 = header.dialect == Dialect::V7;
        let pax_elsewhere = self.pax.is_some() && header.dialect != Dialect::Posix;
        if pax_elsewhere || (plain_v7 && self.none_waits().is_err()) {
            return Err(HeaderRule::Extension);
        }
        let pax = self.pax.take().unwrap_or_default();
        let name = either(self.name.take(), pax.path)?.unwrap_or_else(|| header.name());
        let link = either(self.link.take(), pax.link)?.unwrap_or_else(|| header.link());
        let kind = kind(header, &name)?;
        let stored = size(header.size()?, pax.size)?;
        if kind != EntryKind::File && stored != 0 {
            return Err(HeaderRule::SizeOfNoData);
        }
        let seconds = header.mtime()?;
        Ok(Entry {
            name,
            kind,
            link,
            mode: header.mode()?,
            uid: pax.uid.map_or_else(|| header.uid(), Ok)?,
            gid: pax.gid.map_or_else(|| header.gid(), Ok)?,
            mtime: pax.mtime.unwrap_or(Timestamp { seconds, nanos: 0 }),
            stored,
            sparse: None,
            attributes: pax.attributes,
        })
    }
}

fn kind(header: &Header, name: &[u8]) -> Result<EntryKind, HeaderRule> {
    let slash = name.ends_with(b"/");
    match header.type_flag() {
        0 if slash => Ok(EntryKind::Directory),
        0 | b'0' | b'7' | b'S' if !slash => Ok(EntryKind::File),
        0 | b'0' | b'7' | b'S' => Err(HeaderRule::SlashAfterFile),
        b'1' => Ok(EntryKind::HardLink),
        b'2' => Ok(EntryKind::Symlink),
        b'3' | b'4' => Ok(EntryKind::Device),
        b'5' => Ok(EntryKind::Directory),
        b'6' => Ok(EntryKind::Fifo),
        b'x' | b'g' | b'L' | b'K' => Err(HeaderRule::Extension),
        _ => Err(HeaderRule::Type),
    }
}

/// A size in a PAX record counts only where the header could not hold it, or where both agree.
fn size(header: u64, pax: Option<u64>) -> Result<u64, HeaderRule> {
    match pax {
        Some(pax) if pax > OCTAL_SIZE_MAX || pax == header => Ok(pax),
        Some(_) => Err(HeaderRule::PaxAmbiguous),
        None => Ok(header),
    }
}

fn either(gnu: Option<Vec<u8>>, pax: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, HeaderRule> {
    match (gnu, pax) {
        (Some(_), Some(_)) => Err(HeaderRule::Extension),
        (gnu, pax) => Ok(gnu.or(pax)),
    }
}

fn put<T>(slot: &mut Option<T>, value: T) -> Result<(), HeaderRule> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(HeaderRule::Extension),
    }
}

/// GNU's long names end with a NUL; anything after it is a second meaning.
fn long_text(data: &[u8]) -> Result<Vec<u8>, HeaderRule> {
    let name = text(data);
    let rest = data.get(name.len()..).unwrap_or_default();
    if name.is_empty() || rest.iter().any(|byte| *byte != 0) {
        return Err(HeaderRule::Extension);
    }
    Ok(name.to_vec())
}

fn padding(size: u64) -> u64 {
    let block = BLOCK_BYTES as u64;
    (block - size % block) % block
}

/// What the stream has ready, which within an archive must be something.
fn fill<R: BufRead>(source: &mut R, offset: u64) -> Result<&[u8], LayerFault> {
    match source.fill_buf() {
        Ok([]) => Err(LayerFault::Truncated { offset }),
        Ok(ready) => Ok(ready),
        Err(error) => Err(stream(error, offset)),
    }
}

/// A stream's error: a fault of ours that travelled through it, an early end, or damage.
fn stream(error: io::Error, offset: u64) -> LayerFault {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return LayerFault::Truncated { offset };
    }
    let detail = error.to_string();
    match error
        .into_inner()
        .map(|inner| inner.downcast::<LayerFault>())
    {
        Some(Ok(fault)) => *fault,
        _ => LayerFault::Compression { detail },
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
