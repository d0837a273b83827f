//! What a tree takes on the disk, whoever made it: no link is followed, no file system boundary
//! crossed, and neither depth nor width costs stack, descriptors or memory without bound.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, RawDir, Stat};
use rustix::io::Errno;

use super::kind;
use super::remove::{Level, open};

/// Names of directories that wait to be looked into, over all levels.
const WAITING_MAX: usize = 64 << 10;
/// What one read of a directory takes.
const LISTING_BYTES: usize = 32 << 10;
/// A block, as `stat` counts.
const BLOCK_BYTES: u64 = 512;

/// What a tree takes on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeSize {
    /// Blocks of all files and directories, each file once however many names it has.
    pub bytes: u64,
    /// Names that were looked at.
    pub entries: u64,
    /// Whether that is all of it. If not, the tree takes at least this.
    pub complete: bool,
}

/// Measures the tree at `path`, as far as `entries_max` names. Nothing there takes nothing. What
/// changes meanwhile is counted or not.
///
/// This blocks for as long as the tree is large.
///
/// # Errors
/// A directory cannot be read, or was moved away while it was.
pub fn measure_tree(path: &Path, entries_max: u64) -> io::Result<TreeSize> {
    let flags = super::remove::directory_flags();
    let top = match rustix::fs::openat(CWD, path, flags, rustix::fs::Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => {
            return Ok(TreeSize {
                complete: true,
                ..TreeSize::default()
            });
        }
        Err(errno) => return Err(errno.into()),
    };
    let mut walk = Walk {
        size: TreeSize {
            complete: true,
            ..TreeSize::default()
        },
        entries_max,
        linked: HashSet::new(),
        waiting: 0,
    };
    walk.whole(top)?;
    Ok(walk.size)
}

struct Walk {
    size: TreeSize,
    entries_max: u64,
    /// Files of several names that were counted.
    linked: HashSet<(u64, u64)>,
    waiting: usize,
}

impl Walk {
    /// Only the descriptor of the level at work is open; the way up is `..`, checked to be where
    /// we came from.
    fn whole(&mut self, top: OwnedFd) -> Result<(), Errno> {
        let mut level = Level::new(&top, Vec::new())?;
        self.count(&level.identity);
        level.waiting = self.list(&top, &level.identity)?;
        let mut levels = vec![level];
        let mut current = top;
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.waiting.pop() {
                self.waiting -= 1;
                let below = match open(current.as_fd(), &name) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                    opened => opened?,
                };
                let mut next = Level::new(&below, name)?;
                if next.identity.st_dev == level.identity.st_dev {
                    next.waiting = self.list(&below, &next.identity)?;
                    levels.push(next);
                    current = below;
                }
                continue;
            }
            levels.pop();
            let Some(above) = levels.last() else { break };
            let parent = open(current.as_fd(), b"..")?;
            if !above.is(&parent) {
                return Err(Errno::STALE);
            }
            current = parent;
        }
        Ok(())
    }

    /// Counts what is in a directory, and names the directories in it.
    fn list(&mut self, directory: &OwnedFd, identity: &Stat) -> Result<Vec<Vec<u8>>, Errno> {
        let mut below = Vec::new();
        let mut buffer = Vec::with_capacity(LISTING_BYTES);
        let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if self.size.entries >= self.entries_max {
                self.size.complete = false;
                break;
            }
            self.size.entries += 1;
            let found = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                found => found?,
            };
            if found.st_dev != identity.st_dev {
                continue;
            }
            self.count(&found);
            if kind(&found) != FileType::Directory {
                continue;
            }
            if self.waiting < WAITING_MAX {
                self.waiting += 1;
                below.push(name.to_bytes().to_vec());
            } else {
                self.size.complete = false;
            }
        }
        Ok(below)
    }

    fn count(&mut self, found: &Stat) {
        let several = kind(found) != FileType::Directory && found.st_nlink > 1;
        if several && !self.linked.insert((found.st_dev, found.st_ino)) {
            return;
        }
        let blocks = u64::try_from(found.st_blocks).unwrap_or(0);
        self.size.bytes = self.size.bytes.saturating_add(blocks * BLOCK_BYTES);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const ENTRIES_MAX: u64 = 1000;

    fn measure(path: &Path) -> TreeSize {
        measure_tree(path, ENTRIES_MAX).unwrap()
    }

    #[test]
    fn every_file_counts_once_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        let empty = measure(&root).bytes;
        fs::write(root.join("a/b/file"), vec![1; 256 << 10]).unwrap();
        let one = measure(&root);
        assert!(one.complete);
        assert!(
            (256 << 10..=512 << 10).contains(&(one.bytes - empty)),
            "{one:?}"
        );
        fs::hard_link(root.join("a/b/file"), root.join("again")).unwrap();
        fs::write(dir.path().join("outside"), vec![1; 1 << 20]).unwrap();
        symlink("../outside", root.join("link")).unwrap();
        symlink("..", root.join("up")).unwrap();
        let more = measure(&root);
        assert!(more.bytes - one.bytes < 64 << 10, "{one:?} {more:?}");
        assert_eq!(more.entries, one.entries + 3);
    }

    #[test]
    fn nothing_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let size = measure(&dir.path().join("absent"));
        assert_eq!((size.bytes, size.complete), (0, true));
    }

    #[test]
    fn the_bound_on_names_holds_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for name in 0..20 {
            fs::create_dir(dir.path().join(name.to_string())).unwrap();
        }
        let size = measure_tree(dir.path(), 10).unwrap();
        assert_eq!((size.entries, size.complete), (10, false));
    }

    #[test]
    fn depth_costs_no_stack() {
        let dir = tempfile::tempdir().unwrap();
        let mut at: OwnedFd = fs::File::open(dir.path()).unwrap().into();
        for _ in 0..900 {
            rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
            at = open(at.as_fd(), b"d").unwrap();
        }
        assert_eq!(measure(dir.path()).entries, 900);
    }
}
