//! An image's tree, read through its layers as overlayfs would merge them.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use burstlet_model::ErrorKind;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::tree::{is_whiteout, kind, stat};
use crate::unpack::{BARE_ROOT_ATTRIBUTE, OPAQUE_ATTRIBUTE};

/// Symbolic links followed for one name, as many as the kernel follows.
const LINKS_MAX: u32 = 40;
/// Components looked up for one name, those of links included.
const COMPONENTS_MAX: u32 = 1024;

/// The layers of an image as one tree. Names are resolved below its root; symbolic links are
/// followed as they would be in a container.
#[derive(Debug)]
pub struct ImageTree {
    paths: Vec<PathBuf>,
    root: Merged,
}

/// Why an image's tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageTreeError {
    /// A layer's directory cannot be opened.
    #[error("open the layer {path}")]
    Layer {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name cannot be looked up.
    #[error("look up {name:?} in the image")]
    Lookup {
        /// The name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The name leads in circles.
    #[error("{0:?} in the image lies behind symbolic links without end")]
    Loop(String),
    /// The name is not a file.
    #[error("{0:?} in the image is not a regular file")]
    NotAFile(String),
    /// The file is too large to be what it should be.
    #[error("{name:?} in the image is larger than {max} bytes")]
    TooLarge {
        /// The name.
        name: String,
        /// The bound.
        max: u64,
    },
}

impl ImageTreeError {
    /// What class of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Layer { .. } | Self::Lookup { .. } => ErrorKind::Internal,
            Self::Loop(_) | Self::NotAFile(_) | Self::TooLarge { .. } => ErrorKind::Invalid,
        }
    }
}

/// How a directory looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Found {
    fn of(directory: &OwnedFd) -> Result<Self, Errno> {
        let found = rustix::fs::fstat(directory)?;
        Ok(Self {
            mode: found.st_mode & 0o7777,
            uid: found.st_uid,
            gid: found.st_gid,
        })
    }
}

/// One directory of the tree: those of the layers that are merged into it, top first.
#[derive(Debug)]
struct Merged(Vec<OwnedFd>);

/// What a name is in one merged directory.
enum Child {
    Absent,
    Directory(Merged),
    Link(Vec<u8>),
    /// Anything else, and the directory of the layer that has it.
    Other(OwnedFd),
}

impl ImageTree {
    /// Opens an image's layers, lowest first. Layers below an opaque root are no part of it.
    ///
    /// # Errors
    /// A layer's directory cannot be opened.
    pub fn open(layers: &[PathBuf]) -> Result<Self, ImageTreeError> {
        let (mut paths, mut root) = (Vec::new(), Vec::new());
        for path in layers.iter().rev() {
            let failed = |errno: Errno| ImageTreeError::Layer {
                path: path.clone(),
                source: errno.into(),
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let layer = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
            let opaque = has_mark(&layer, OPAQUE_ATTRIBUTE).map_err(failed)?;
            paths.push(path.clone());
            root.push(layer);
            if opaque {
                break;
            }
        }
        Ok(Self {
            paths,
            root: Merged(root),
        })
    }

    /// The layers that count, top first.
    pub fn layers(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Reads a file of at most `max` bytes; `None` where the image has none of that name.
    ///
    /// # Errors
    /// The name leads in circles or to something that is no file, or the file is too large.
    pub fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, ImageTreeError> {
        let (layer, leaf) = match self.lookup(name.as_bytes())? {
            Place::Absent => return Ok(None),
            Place::Directory(_) => return Err(ImageTreeError::NotAFile(name.to_owned())),
            Place::Other { layer, leaf } => (layer, leaf),
        };
        let failed = |source| ImageTreeError::Lookup {
            name: name.to_owned(),
            source,
        };
        // Opening a fifo does not wait for a writer; it is refused below.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&layer, leaf.as_slice(), flags, Mode::empty())
            .map_err(|errno| failed(errno.into()))?;
        let found = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
        if kind(&found) != FileType::RegularFile {
            return Err(ImageTreeError::NotAFile(name.to_owned()));
        }
        let mut bytes = Vec::new();
        File::from(file)
            .take(max + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > max {
            return Err(ImageTreeError::TooLarge {
                name: name.to_owned(),
                max,
            });
        }
        Ok(Some(bytes))
    }

    /// How the root looks: as the uppermost layer has it that says anything about it.
    pub(super) fn root(&self) -> Result<Found, ImageTreeError> {
        let failed = |errno| lookup_failed(b"/", errno);
        for layer in &self.root.0 {
            if !has_mark(layer, BARE_ROOT_ATTRIBUTE).map_err(failed)? {
                return Found::of(layer).map_err(failed);
            }
        }
        Ok(Found {
            mode: 0o755,
            uid: 0,
            gid: 0,
        })
    }

    /// How the directory at `name` looks; `None` where there is none, or something else.
    pub(super) fn directory(&self, name: &[u8]) -> Result<Option<Found>, ImageTreeError> {
        let Place::Directory(merged) = self.lookup(name)? else {
            return Ok(None);
        };
        let Some(top) = merged.0.first() else {
            return Ok(None);
        };
        Found::of(top)
            .map(Some)
            .map_err(|errno| lookup_failed(name, errno))
    }

    fn lookup(&self, name: &[u8]) -> Result<Place, ImageTreeError> {
        let failed = |errno| lookup_failed(name, errno);
        let in_circles = || ImageTreeError::Loop(shown(name));
        // The way down from the root, which is not part of it.
        let mut way: Vec<Merged> = Vec::new();
        let mut ahead = components(name);
        let (mut links, mut steps) = (0, 0);
        while let Some(component) = ahead.pop() {
            steps += 1;
            if steps > COMPONENTS_MAX {
                return Err(in_circles());
            }
            if component == b".." {
                way.pop();
                continue;
            }
            let here = way.last().unwrap_or(&self.root);
            match here.child(&component).map_err(failed)? {
                Child::Absent => return Ok(Place::Absent),
                Child::Directory(merged) => way.push(merged),
                Child::Other(layer) if ahead.is_empty() => {
                    return Ok(Place::Other {
                        layer,
                        leaf: component,
                    });
                }
                Child::Other(_) => return Ok(Place::Absent),
                Child::Link(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(in_circles());
                    }
                    if target.starts_with(b"/") {
                        way.clear();
                    }
                    ahead.extend(components(&target));
                }
            }
        }
        let end = way
            .pop()
            .map_or_else(|| self.root.again(), Ok)
            .map_err(failed)?;
        Ok(Place::Directory(end))
    }
}

/// Where a name leads.
enum Place {
    Absent,
    Directory(Merged),
    Other { layer: OwnedFd, leaf: Vec<u8> },
}

impl Merged {
    /// Looks a name up as overlayfs does: the uppermost layer that has it decides, and a directory
    /// goes on with the directories below it, up to a whiteout, a file or an opaque one.
    fn child(&self, name: &[u8]) -> Result<Child, Errno> {
        let mut directories = Vec::new();
        for layer in &self.0 {
            let Some(found) = stat(layer.as_fd(), name)? else {
                continue;
            };
            if is_whiteout(&found) {
                break;
            }
            match kind(&found) {
                FileType::Directory => {
                    let flags =
                        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let directory = rustix::fs::openat(layer, name, flags, Mode::empty())?;
                    let opaque = has_mark(&directory, OPAQUE_ATTRIBUTE)?;
                    directories.push(directory);
                    if opaque {
                        break;
                    }
                }
                _ if !directories.is_empty() => break,
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(layer, name, Vec::new())?;
                    return Ok(Child::Link(target.into_bytes()));
                }
                _ => return Ok(Child::Other(again(layer)?)),
            }
        }
        if directories.is_empty() {
            return Ok(Child::Absent);
        }
        Ok(Child::Directory(Self(directories)))
    }

    fn again(&self) -> Result<Self, Errno> {
        self.0.iter().map(again).collect::<Result<_, _>>().map(Self)
    }
}

fn again(directory: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(directory, 0)
}

fn has_mark(directory: &OwnedFd, attribute: &str) -> Result<bool, Errno> {
    let mut value = [0; 1];
    match rustix::fs::fgetxattr(directory, attribute, &mut value) {
        Ok(length) => Ok(value.get(..length) == Some(b"y")),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The components of a path, the first one last.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."));
    parts.rev().map(<[u8]>::to_vec).collect()
}

fn lookup_failed(name: &[u8], errno: Errno) -> ImageTreeError {
    ImageTreeError::Lookup {
        name: shown(name),
        source: errno.into(),
    }
}

fn shown(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}
