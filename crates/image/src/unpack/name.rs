//! What an archive may call its entries. A name is read as a path below the root: a leading slash
//! means the root, empty and `.` components mean nothing, `..` is refused.

use super::fault::NameRule;

/// The kernel's longest path without its NUL.
pub(crate) const PATH_BYTES_MAX: usize = 4095;
const COMPONENT_BYTES_MAX: usize = 255;
const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A path below the root, its components joined by single slashes; empty for the root itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryName {
    path: Vec<u8>,
    parent_len: usize,
}

/// What an entry of a layer means by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// The root of the layer.
    Root,
    /// An entry like any other.
    Plain,
    /// The name is absent from here on up.
    Whiteout(&'a [u8]),
    /// The directory hides the directories of its name below.
    Opaque,
    /// Book-keeping of aufs, which is no part of the image.
    Bookkeeping,
}

impl EntryName {
    /// Reads `raw` as a path below the root.
    pub(crate) fn parse(raw: &[u8], depth_max: u64) -> Result<Self, NameRule> {
        if raw.is_empty() {
            return Err(NameRule::Empty);
        }
        if raw.contains(&0) {
            return Err(NameRule::Nul);
        }
        let mut path = Vec::with_capacity(raw.len());
        let mut parent_len = 0;
        let mut depth = 0;
        for component in raw.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(NameRule::DotDot),
                long if long.len() > COMPONENT_BYTES_MAX => {
                    return Err(NameRule::ComponentTooLong);
                }
                _ => {}
            }
            parent_len = path.len();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
            depth += 1;
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(NameRule::PathTooLong);
        }
        if depth > depth_max {
            return Err(NameRule::TooDeep);
        }
        Ok(Self { path, parent_len })
    }

    /// The whole path.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The directory that holds the entry; empty for the root.
    pub(crate) fn parent(&self) -> &[u8] {
        self.path.get(..self.parent_len).unwrap_or_default()
    }

    /// The last component; empty for the root itself.
    pub(crate) fn leaf(&self) -> &[u8] {
        let leaf = self.path.get(self.parent_len..).unwrap_or_default();
        leaf.strip_prefix(b"/").unwrap_or(leaf)
    }

    /// What the name says about the layers below.
    pub(crate) fn meaning(&self) -> Result<Meaning<'_>, NameRule> {
        for component in self.parent().split(|byte| *byte == b'/') {
            if component.starts_with(WHITEOUT_META) {
                return Ok(Meaning::Bookkeeping);
            }
            if component.starts_with(WHITEOUT) {
                return Err(NameRule::Whiteout);
            }
        }
        let leaf = self.leaf();
        if leaf.is_empty() {
            return Ok(Meaning::Root);
        }
        if leaf == OPAQUE {
            return Ok(Meaning::Opaque);
        }
        if leaf.starts_with(WHITEOUT_META) {
            return Ok(Meaning::Bookkeeping);
        }
        match leaf.strip_prefix(WHITEOUT) {
            None => Ok(Meaning::Plain),
            Some(b"" | b"." | b"..") => Err(NameRule::Whiteout),
            Some(hidden) => Ok(Meaning::Whiteout(hidden)),
        }
    }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
