//! Which files an image archive holds, and where.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::ops::Range;

use super::{ImportError, read_failed};
use crate::unpack::UnpackLimits;
use crate::unpack::limits::Budget;
use crate::unpack::name::EntryName;
use crate::unpack::tar::{Entry, EntryKind, Reader};

/// Members of one archive.
const MEMBERS_MAX: u64 = 16 << 10;
const READ_BYTES: usize = 256 << 10;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Where each file's bytes are, by its path in the archive.
pub(super) type Members = HashMap<Vec<u8>, Range<u64>>;

/// Lists the regular files of an archive. Symbolic links to them, which old versions of docker
/// write for layers that two images share, count as the files.
pub(super) fn members(file: &File) -> Result<Members, ImportError> {
    let mut source = file;
    source
        .rewind()
        .map_err(|error| read_failed("the image archive", error))?;
    refuse_packed(file)?;
    let limits = UnpackLimits {
        entries: MEMBERS_MAX,
        ..UnpackLimits::default()
    };
    let mut budget = Budget::new(limits);
    let mut reader = Reader::new(BufReader::with_capacity(READ_BYTES, source));
    let mut members = Members::new();
    let mut links = Vec::new();
    while let Some(entry) = reader.next(&mut budget).map_err(ImportError::Archive)? {
        let Ok(name) = EntryName::parse(&entry.name, limits.depth) else {
            continue;
        };
        match entry.kind {
            EntryKind::File if entry.sparse.is_none() => {
                let start = reader.offset();
                let range = start..start.saturating_add(entry.stored);
                if members.insert(name.path().to_vec(), range).is_some() {
                    let detail = format!("{} is there twice", name.path().escape_ascii());
                    return Err(super::malformed("the image archive", detail));
                }
            }
            EntryKind::Symlink => links.extend(target(&name, &entry)),
            _ => {}
        }
    }
    for (name, target) in links {
        if let Some(range) = members.get(&target).cloned() {
            members.entry(name).or_insert(range);
        }
    }
    Ok(members)
}

fn refuse_packed(mut file: &File) -> Result<(), ImportError> {
    let failed = |error| read_failed("the image archive", error);
    let mut magic = Vec::new();
    file.take(ZSTD_MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .map_err(failed)?;
    file.rewind().map_err(failed)?;
    if magic.starts_with(GZIP_MAGIC) || magic.starts_with(ZSTD_MAGIC) {
        return Err(ImportError::Compressed);
    }
    Ok(())
}

/// The path that a link in the archive means; nothing where it leads out of it.
fn target(name: &EntryName, link: &Entry) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut path: Vec<&[u8]> = match link.link.first() {
        Some(b'/') => Vec::new(),
        _ => name
            .parent()
            .split(|byte| *byte == b'/')
            .filter(|it| !it.is_empty())
            .collect(),
    };
    for component in link.link.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                path.pop()?;
            }
            component => path.push(component),
        }
    }
    Some((name.path().to_vec(), path.join(&b'/')))
}
