//! Archives that come out of a container, written below one local directory and nowhere else.
//!
//! A container's tar may send anything. Paths are resolved by the kernel beneath the directory's
//! file descriptor, and never through a symbolic link; a link is written as it is and nothing is
//! written through it. Files get no set-id bits, and devices and the like are left out.

mod tree;

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use tar::{Archive, Entry, EntryType};

use tree::Tree;

/// Where an archive goes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The directory below which everything stays. Must exist.
    pub(crate) directory: PathBuf,
    /// What every path in the archive begins with, if anything.
    pub(crate) from: Option<OsString>,
    /// What takes its place, if anything does.
    pub(crate) to: Option<OsString>,
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Files, directories and links that were written.
    pub(crate) written: u64,
    /// What was left out, and why.
    pub(crate) left_out: Vec<String>,
}

impl Target {
    /// Writes the archive.
    pub(crate) fn extract(&self, archive: impl Read) -> Result<Summary> {
        let mut tree = Tree::open(&self.directory)
            .with_context(|| format!("open {}", self.directory.display()))?;
        let mut summary = Summary::default();
        let mut archive = Archive::new(archive);
        for entry in archive.entries().context("read the archive")? {
            let mut entry = entry.context("read the archive")?;
            let path = entry
                .path()
                .context("read a path of the archive")?
                .into_owned();
            let left_out = match self.place(&path) {
                Some(place) => self.write(&mut tree, &mut entry, &place),
                None => Ok(Some("its path leads elsewhere")),
            };
            let left_out = left_out.with_context(|| format!("write {}", path.display()))?;
            match left_out {
                Some(why) => summary.left_out.push(format!("{}: {why}", path.display())),
                None => summary.written += 1,
            }
        }
        tree.finish().context("set the modes of directories")?;
        Ok(summary)
    }

    /// Writes one entry, or says why not.
    fn write(
        &self,
        tree: &mut Tree,
        entry: &mut Entry<'_, impl Read>,
        place: &Path,
    ) -> io::Result<Option<&'static str>> {
        let header = entry.header();
        let (mode, modified) = (header.mode()? & 0o777, header.mtime()?);
        match header.entry_type() {
            EntryType::Directory => tree.directory(place, mode)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                tree.file(place, mode, modified, entry)?;
            }
            EntryType::Symlink => match entry.link_name()? {
                Some(to) => tree.symlink(place, &to)?,
                None => return Ok(Some("it is a link to nothing")),
            },
            EntryType::Link => match entry.link_name()?.and_then(|to| self.place(&to)) {
                Some(to) => tree.hard_link(place, &to)?,
                None => return Ok(Some("it is a link that leads elsewhere")),
            },
            _ => return Ok(Some("it is no file, directory or link")),
        }
        Ok(None)
    }

    /// Where a path of the archive is to be, relative to the directory; `None` if not below it.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(part) => parts.push(part.to_owned()),
                Component::CurDir => {}
                Component::RootDir | Component::ParentDir | Component::Prefix(_) => return None,
            }
        }
        if let Some(from) = &self.from {
            if parts.first() != Some(from) {
                return None;
            }
            parts.remove(0);
        }
        Some(self.to.iter().cloned().chain(parts).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
