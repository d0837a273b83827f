//! What a process was to be, against what it is, before it runs its program.
//!
//! Several ways of setting a container up fail open: a step that the kernel does not know is
//! skipped, an error is only logged. So while the process waits with everything in place, seccomp
//! program included, the keeper reads what the kernel says of it and compares. Any difference
//! ends the process. [`check`] is pure; [`Seen::read`] is the reader.
//!
//! The working directory is not compared here: only the process itself can tell whether it lies
//! inside its root, and it does so before it reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use burstlet_model::DeviceNumber;

use crate::device;
use crate::plan::IdRange;

/// The namespaces of a process, as `/proc/<pid>/ns` names them.
pub const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// The five capability sets as the kernel's bit masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// Kept over `execve` for non-root users.
    pub ambient: u64,
    /// The most that can ever be had.
    pub bounding: u64,
    /// In force.
    pub effective: u64,
    /// Kept over `execve` where the file says so.
    pub inheritable: u64,
    /// Can be put in force.
    pub permitted: u64,
}

/// What one namespace of the process must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// This one, by its inode.
    Is(u64),
    /// Any but this one.
    IsNot(u64),
}

/// What the process was to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The user, in the host's numbering.
    pub uid: u32,
    /// The group, in the host's numbering.
    pub gid: u32,
    /// The supplementary groups, in the host's numbering.
    pub groups: BTreeSet<u32>,
    /// Its capabilities.
    pub capabilities: CapabilitySets,
    /// Whether it must never gain privileges.
    pub no_new_privileges: bool,
    /// Whether it runs under a seccomp program.
    pub seccomp: bool,
    /// The ids it sees; `None` for the host's own.
    pub ids: Option<IdRange>,
    /// Its namespaces, by the names of [`NAMESPACES`].
    pub namespaces: BTreeMap<&'static str, Namespace>,
    /// Where something must be mounted, in its own view.
    pub mounts: Vec<PathBuf>,
    /// Where, and below, all that is mounted must be read-only.
    pub guarded: Option<PathBuf>,
    /// The devices that it has at these paths, the mounts of their nodes read-only.
    pub devices: BTreeMap<PathBuf, DeviceNumber>,
    /// Whether its root must be read-only; `None` if its mounts are not looked at.
    pub root_read_only: Option<bool>,
}

/// What the kernel says that the process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Real, effective, saved and file system user.
    pub uids: Vec<u32>,
    /// Real, effective, saved and file system group.
    pub gids: Vec<u32>,
    /// Supplementary groups.
    pub groups: BTreeSet<u32>,
    /// Capabilities.
    pub capabilities: CapabilitySets,
    /// `NoNewPrivs`.
    pub no_new_privileges: bool,
    /// The seccomp mode: 2 is a program.
    pub seccomp_mode: u32,
    /// `uid_map`: (inside, outside, count).
    pub uid_map: Vec<(u32, u32, u32)>,
    /// `gid_map`.
    pub gid_map: Vec<(u32, u32, u32)>,
    /// The inode of each namespace.
    pub namespaces: BTreeMap<&'static str, u64>,
    /// Mount points, with whether each is read-only.
    pub mounts: BTreeMap<PathBuf, bool>,
    /// Those devices that it was to have and has.
    pub devices: BTreeMap<PathBuf, DeviceNumber>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What differs.
    pub what: String,
    /// What was asked for.
    pub expected: String,
    /// What is.
    pub seen: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {} instead of {}",
            self.what, self.seen, self.expected
        )
    }
}

/// All differences between what was asked for and what is.
#[must_use]
pub fn check(expected: &Expected, seen: &Seen) -> Vec<Mismatch> {
    let mut found = Found(Vec::new());
    found.compare("uid", &vec![expected.uid; 4], &seen.uids);
    found.compare("gid", &vec![expected.gid; 4], &seen.gids);
    found.compare("supplementary groups", &expected.groups, &seen.groups);
    found.compare(
        "NoNewPrivs",
        &expected.no_new_privileges,
        &seen.no_new_privileges,
    );
    let mode = if expected.seccomp { 2 } else { 0 };
    found.compare("seccomp mode", &mode, &seen.seccomp_mode);
    check_capabilities(&mut found, expected.capabilities, seen.capabilities);
    let map = match expected.ids {
        Some(range) => vec![(0, range.host_base, range.len)],
        None => vec![(0, 0, u32::MAX)],
    };
    found.compare("uid map", &map, &seen.uid_map);
    found.compare("gid map", &map, &seen.gid_map);
    for (name, wanted) in &expected.namespaces {
        check_namespace(
            &mut found,
            name,
            *wanted,
            seen.namespaces.get(name).copied(),
        );
    }
    if let Some(read_only) = expected.root_read_only {
        found.compare(
            "read-only root",
            &Some(read_only),
            &seen.mounts.get(Path::new("/")).copied(),
        );
        check_mounts(&mut found, &expected.mounts, &seen.mounts);
        check_guarded(&mut found, expected.guarded.as_deref(), &seen.mounts);
        check_devices(&mut found, &expected.devices, seen);
    }
    found.0
}

struct Found(Vec<Mismatch>);

impl Found {
    fn compare<T: PartialEq + fmt::Debug>(&mut self, what: &str, expected: &T, seen: &T) {
        if expected != seen {
            self.add(what, format!("{expected:?}"), format!("{seen:?}"));
        }
    }

    fn add(&mut self, what: &str, expected: String, seen: String) {
        self.0.push(Mismatch {
            what: what.to_owned(),
            expected,
            seen,
        });
    }
}

fn check_capabilities(found: &mut Found, expected: CapabilitySets, seen: CapabilitySets) {
    for (what, expected, seen) in [
        ("CapAmb", expected.ambient, seen.ambient),
        ("CapBnd", expected.bounding, seen.bounding),
        ("CapEff", expected.effective, seen.effective),
        ("CapInh", expected.inheritable, seen.inheritable),
        ("CapPrm", expected.permitted, seen.permitted),
    ] {
        if expected != seen {
            found.add(what, format!("{expected:016x}"), format!("{seen:016x}"));
        }
    }
}

fn check_namespace(found: &mut Found, name: &str, wanted: Namespace, seen: Option<u64>) {
    let what = format!("{name} namespace");
    match (wanted, seen) {
        (Namespace::Is(inode), Some(seen)) if inode == seen => {}
        (Namespace::IsNot(inode), Some(seen)) if inode != seen => {}
        (Namespace::Is(inode), seen) => found.add(&what, format!("{inode}"), format!("{seen:?}")),
        (Namespace::IsNot(_), seen) => {
            found.add(&what, "one of its own".to_owned(), format!("{seen:?}"));
        }
    }
}

/// Below `/proc`, `/sys` and `/dev`, which are real directories in every container, a mount must
/// be exactly where it was asked for. Elsewhere the image may have a symbolic link on the way, so
/// only the last component is compared.
fn check_mounts(found: &mut Found, expected: &[PathBuf], seen: &BTreeMap<PathBuf, bool>) {
    for path in expected {
        let fixed = ["/proc", "/sys", "/dev"]
            .iter()
            .any(|dir| path.starts_with(dir));
        let present = seen.contains_key(path)
            || (!fixed
                && seen
                    .keys()
                    .any(|point| point.file_name() == path.file_name()));
        if !present {
            found.add(
                &format!("mount at {}", path.display()),
                "there".into(),
                "missing".into(),
            );
        }
    }
}

fn check_guarded(found: &mut Found, guarded: Option<&Path>, seen: &BTreeMap<PathBuf, bool>) {
    let Some(guarded) = guarded else { return };
    let writable = seen
        .iter()
        .filter(|(point, read_only)| point.starts_with(guarded) && !**read_only);
    for (point, _) in writable {
        let what = format!("mount at {}", point.display());
        found.add(&what, "read-only".into(), "writable".into());
    }
}

fn check_devices(found: &mut Found, expected: &BTreeMap<PathBuf, DeviceNumber>, seen: &Seen) {
    for (path, number) in expected {
        let place = path.display();
        found.compare(
            &format!("device at {place}"),
            &Some(number),
            &seen.devices.get(path),
        );
        found.compare(
            &format!("read-only node at {place}"),
            &Some(&true),
            &seen.mounts.get(path),
        );
    }
}

impl Seen {
    /// Reads what the kernel says of process `pid`, which must be waiting, as far as something is
    /// expected of it.
    ///
    /// # Errors
    /// The process is gone, or a file of it cannot be read or parsed.
    pub fn read(pid: i32, expected: &Expected) -> io::Result<Self> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let text = |name: &str| fs::read_to_string(dir.join(name));
        let mut seen = Self::from_status(&text("status")?)?;
        seen.uid_map = parse_map(&text("uid_map")?)?;
        seen.gid_map = parse_map(&text("gid_map")?)?;
        seen.mounts = parse_mountinfo(&text("mountinfo")?)?;
        seen.namespaces = read_namespaces(&dir)?;
        if !expected.devices.is_empty() {
            seen.devices = device::below(&dir.join("root"), expected.devices.keys())?;
        }
        Ok(seen)
    }

    /// Takes what `/proc/<pid>/status` tells.
    fn from_status(status: &str) -> io::Result<Self> {
        let fields: BTreeMap<&str, &str> = status
            .lines()
            .filter_map(|line| line.split_once(':'))
            .collect();
        let field = |name: &str| fields.get(name).map(|v| v.trim()).ok_or_else(|| bad(name));
        let mask = |name: &str| u64::from_str_radix(field(name)?, 16).map_err(|_| bad(name));
        Ok(Self {
            uids: numbers("Uid", field("Uid")?)?,
            gids: numbers("Gid", field("Gid")?)?,
            groups: numbers("Groups", field("Groups")?)?.into_iter().collect(),
            capabilities: CapabilitySets {
                ambient: mask("CapAmb")?,
                bounding: mask("CapBnd")?,
                effective: mask("CapEff")?,
                inheritable: mask("CapInh")?,
                permitted: mask("CapPrm")?,
            },
            no_new_privileges: field("NoNewPrivs")? == "1",
            seccomp_mode: field("Seccomp")?.parse().map_err(|_| bad("Seccomp"))?,
            ..Self::default()
        })
    }
}

/// The inode of each namespace of the process whose directory in `/proc` is given.
pub(crate) fn read_namespaces(dir: &Path) -> io::Result<BTreeMap<&'static str, u64>> {
    let dir = dir.join("ns");
    NAMESPACES
        .iter()
        .map(|name| Ok((*name, fs::metadata(dir.join(name))?.ino())))
        .collect()
}

fn bad(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} is missing or malformed"),
    )
}

fn numbers(what: &str, text: &str) -> io::Result<Vec<u32>> {
    text.split_ascii_whitespace()
        .map(|n| n.parse().map_err(|_| bad(what)))
        .collect()
}

fn parse_map(text: &str) -> io::Result<Vec<(u32, u32, u32)>> {
    text.lines()
        .map(|line| match numbers("id map", line)?.as_slice() {
            [inside, outside, count] => Ok((*inside, *outside, *count)),
            _ => Err(bad("id map")),
        })
        .collect()
}

/// Mount points and whether each is read-only. Where several are stacked, the last one counts.
fn parse_mountinfo(text: &str) -> io::Result<BTreeMap<PathBuf, bool>> {
    text.lines()
        .map(|line| {
            let mut fields = line.split(' ').skip(4);
            let point = fields.next().ok_or_else(|| bad("mountinfo"))?;
            let options = fields.next().ok_or_else(|| bad("mountinfo"))?;
            let read_only = options.split(',').any(|option| option == "ro");
            Ok((PathBuf::from(unescape(point)), read_only))
        })
        .collect()
}

/// The kernel writes blanks and backslashes of a path as octal numbers.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
