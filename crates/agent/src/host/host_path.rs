//! Paths of the host that groups may use. A path is resolved below the entry of the operator's
//! list that allows it: a link may lead about inside, and never out. What was found is held open,
//! so that what is mounted is what was checked.
//!
//! What is made belongs to the host's root and is for others to read, as Kubernetes has it. It is
//! not given to the group: its ids go to another group later, and what is on the host stays.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use burstlet_model::ErrorKind;
use burstlet_model::spec::HostPathType;
use burstlet_supervisor::host::HostError;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::failure::MOUNT;

/// The mode of a directory that is made.
const DIRECTORY_MODE: u32 = 0o755;
/// The mode of a file that is made.
const FILE_MODE: u32 = 0o644;

/// Something on the host that was found and checked.
#[derive(Debug)]
pub(super) struct Found(OwnedFd);

impl Found {
    /// A path of it for as long as it is held.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// Why a path cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HostPathError {
    #[error("hostPath {0} is not there")]
    Absent(PathBuf),
    #[error("hostPath {0} leads out of what the operator allows")]
    LeadsOut(PathBuf),
    #[error("hostPath {path} is not {wanted}")]
    Type { path: PathBuf, wanted: &'static str },
    #[error("open hostPath {path}: {errno}")]
    Errno { path: PathBuf, errno: Errno },
}

impl From<HostPathError> for HostError {
    fn from(error: HostPathError) -> Self {
        let kind = match error {
            HostPathError::Errno { .. } => ErrorKind::Internal,
            _ => ErrorKind::FailedPrecondition,
        };
        Self::new(kind, MOUNT, error.to_string())
    }
}

/// Finds `path` below the first of `allowed` that it lies in, and checks that it is what `kind`
/// says, or makes that. A path that was allowed once and is not now may have no link in it.
pub(super) fn find<'a>(
    path: &Path,
    kind: HostPathType,
    allowed: impl IntoIterator<Item = &'a Path>,
) -> Result<Found, HostPathError> {
    let entry = allowed.into_iter().find(|entry| path.starts_with(entry));
    let root = entry.unwrap_or(Path::new("/"));
    let resolve = match entry {
        None => ResolveFlags::NO_SYMLINKS,
        // The links of the whole host mean what they always mean.
        Some(entry) if entry == Path::new("/") => ResolveFlags::IN_ROOT,
        Some(_) => ResolveFlags::BENEATH,
    };
    let failed = |errno| match errno {
        Errno::NOENT => HostPathError::Absent(path.to_owned()),
        Errno::XDEV | Errno::LOOP => HostPathError::LeadsOut(path.to_owned()),
        errno => HostPathError::Errno {
            path: path.to_owned(),
            errno,
        },
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root_fd = rustix::fs::openat(CWD, root, flags, Mode::empty()).map_err(failed)?;
    let search = Search {
        root: root_fd,
        resolve: resolve | ResolveFlags::NO_MAGICLINKS,
    };
    let rest = path.strip_prefix(root).unwrap_or(path);
    let found = match (search.open(rest), kind) {
        (Err(Errno::NOENT), HostPathType::DirectoryOrCreate) => search.make_directories(rest),
        (Err(Errno::NOENT), HostPathType::FileOrCreate) => search.make_file(rest),
        (found, _) => found,
    };
    let found = found.map_err(failed)?;
    let is = FileType::from_raw_mode(rustix::fs::fstat(&found).map_err(failed)?.st_mode);
    match wanted(kind) {
        Some((wanted, name)) if is != wanted => Err(HostPathError::Type {
            path: path.to_owned(),
            wanted: name,
        }),
        _ => Ok(Found(found)),
    }
}

const fn wanted(kind: HostPathType) -> Option<(FileType, &'static str)> {
    match kind {
        HostPathType::Unchecked => None,
        HostPathType::Directory | HostPathType::DirectoryOrCreate => {
            Some((FileType::Directory, "a directory"))
        }
        HostPathType::File | HostPathType::FileOrCreate => Some((FileType::RegularFile, "a file")),
        HostPathType::Socket => Some((FileType::Socket, "a socket")),
        HostPathType::CharDevice => Some((FileType::CharacterDevice, "a character device")),
        HostPathType::BlockDevice => Some((FileType::BlockDevice, "a block device")),
    }
}

/// A directory that paths are resolved in.
struct Search {
    root: OwnedFd,
    resolve: ResolveFlags,
}

impl Search {
    fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), self.resolve)
    }

    /// Makes the directories of `path` that are missing.
    fn make_directories(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let mut at = PathBuf::new();
        let mut found = self.open(&at)?;
        for component in path.components() {
            let Component::Normal(name) = component else {
                return Err(Errno::INVAL);
            };
            at.push(name);
            found = match self.open(&at) {
                Err(Errno::NOENT) => {
                    let mode = Mode::from_raw_mode(DIRECTORY_MODE);
                    match rustix::fs::mkdirat(found.as_fd(), name, mode) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(errno) => return Err(errno),
                    }
                    self.open(&at)?
                }
                opened => opened?,
            };
        }
        Ok(found)
    }

    /// Makes an empty file; its directory must be there.
    fn make_file(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::INVAL);
        };
        let parent = self.open(parent)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(FILE_MODE)) {
            Ok(_) | Err(Errno::EXIST) => self.open(path),
            Err(errno) => Err(errno),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn check(allowed: &Path, path: &Path, kind: HostPathType) -> Result<PathBuf, String> {
        let found = find(path, kind, [allowed]).map_err(|error| error.to_string())?;
        Ok(fs::read_link(found.path()).unwrap())
    }

    #[test]
    fn types_are_checked_and_made() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        for (name, kind, refused) in [
            ("", HostPathType::Directory, ""),
            ("file", HostPathType::Unchecked, ""),
            ("file", HostPathType::File, ""),
            ("file", HostPathType::Directory, "is not a directory"),
            (
                "file",
                HostPathType::DirectoryOrCreate,
                "is not a directory",
            ),
            ("socket", HostPathType::Socket, ""),
            (
                "socket",
                HostPathType::CharDevice,
                "is not a character device",
            ),
            ("absent", HostPathType::Unchecked, "is not there"),
            ("absent", HostPathType::File, "is not there"),
            ("a/b", HostPathType::FileOrCreate, "is not there"),
            ("a/b/c", HostPathType::DirectoryOrCreate, ""),
            ("a/b/file", HostPathType::FileOrCreate, ""),
            ("a/b/file", HostPathType::File, ""),
        ] {
            let found = check(&root, &root.join(name), kind);
            match found {
                Ok(path) => assert_eq!((path, ""), (root.join(name), refused), "{name} {kind:?}"),
                Err(text) => {
                    assert!(!refused.is_empty(), "{name} {kind:?}: {text}");
                    assert!(text.ends_with(refused), "{name} {kind:?}: {text}");
                }
            }
        }
    }

    #[test]
    fn what_is_made_is_the_agents_and_readable() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let own = nix::unistd::geteuid().as_raw();
        // As the agent sets it for itself.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        for (name, kind, mode) in [
            ("a/b", HostPathType::DirectoryOrCreate, DIRECTORY_MODE),
            ("a", HostPathType::Directory, DIRECTORY_MODE),
            ("a/file", HostPathType::FileOrCreate, FILE_MODE),
        ] {
            let made = fs::metadata(check(&root, &root.join(name), kind).unwrap()).unwrap();
            assert_eq!((made.uid(), made.mode() & 0o7777), (own, mode), "{name}");
        }
    }

    #[test]
    fn links_lead_about_inside_and_never_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let allowed = root.join("allowed");
        fs::create_dir_all(allowed.join("real/deep")).unwrap();
        fs::create_dir(root.join("secret")).unwrap();
        symlink("real", allowed.join("in")).unwrap();
        symlink("../secret", allowed.join("out")).unwrap();
        symlink("/etc", allowed.join("absolute")).unwrap();
        let directory = HostPathType::DirectoryOrCreate;
        let inside = check(&allowed, &allowed.join("in/deep"), directory);
        assert_eq!(inside.unwrap(), allowed.join("real/deep"));
        for name in ["out", "out/new", "absolute", "absolute/new"] {
            let refused = check(&allowed, &allowed.join(name), directory).unwrap_err();
            assert!(refused.contains("leads out"), "{name}: {refused}");
        }
        assert!(!root.join("secret/new").exists());
        // No longer on the list: as it is, without links.
        let elsewhere = Path::new("/nonexistent");
        assert!(check(elsewhere, &allowed.join("real"), directory).is_ok());
        let refused = check(elsewhere, &allowed.join("in"), directory).unwrap_err();
        assert!(refused.contains("leads out"), "{refused}");
    }
}
