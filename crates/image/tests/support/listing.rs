//! A tree as text: one line for each name, with all that a layer can say about it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use burstlet_image::digest_of;

/// Lists `root` and everything below: type, mode, owner, time, attributes, content, links. Names
/// of one inode refer to the first of them.
pub(crate) fn of(root: &Path) -> String {
    let mut names = vec![PathBuf::new()];
    collect(root, Path::new(""), &mut names);
    names.sort();
    let mut first_names = BTreeMap::new();
    let mut listing = String::new();
    for name in names {
        let path = root.join(&name);
        let found = fs::symlink_metadata(&path).unwrap();
        let shown = name.as_os_str().as_bytes().escape_ascii().to_string();
        let first = first_names
            .entry(found.ino())
            .or_insert_with(|| shown.clone());
        write!(listing, "/{shown} {}", describe(&path, &found)).unwrap();
        if *first != shown {
            write!(listing, " = /{first}").unwrap();
        }
        listing.push('\n');
    }
    listing
}

/// The lines of a listing that two trees do not share, with the side that has them.
pub(crate) fn difference(ours: &str, theirs: &str) -> String {
    let sides = [("ours", ours, theirs), ("theirs", theirs, ours)];
    let mut different = String::new();
    for (side, lines, others) in sides {
        let others = others.lines().collect::<std::collections::BTreeSet<_>>();
        for line in lines.lines().filter(|line| !others.contains(line)) {
            writeln!(different, "{side}: {line}").unwrap();
        }
    }
    different
}

fn collect(root: &Path, below: &Path, names: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            collect(root, &name, names);
        }
        names.push(name);
    }
}

fn describe(path: &Path, found: &Metadata) -> String {
    let (mode, uid, gid) = (found.mode(), found.uid(), found.gid());
    let time = format!("{}.{:09}", found.mtime(), found.mtime_nsec());
    let what = match mode & 0o170_000 {
        0o040_000 => "dir".to_owned(),
        0o120_000 => format!("-> {}", shown(fs::read_link(path).unwrap().as_os_str())),
        0o100_000 => {
            let content = fs::read(path).unwrap();
            format!(
                "file {} {}",
                content.len(),
                &digest_of(&content).hex()[..12]
            )
        }
        0o010_000 => "fifo".to_owned(),
        _ => format!("node {:o} {}", mode & 0o170_000, found.rdev()),
    };
    format!(
        "{what} {:04o} {uid}:{gid} {time}{}",
        mode & 0o7777,
        attributes(path)
    )
}

fn attributes(path: &Path) -> String {
    let mut list = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap();
    let mut names: Vec<_> = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    let mut shown_all = String::new();
    for name in names {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        let value = value[..length].escape_ascii();
        write!(shown_all, " {}={value}", name.escape_ascii()).unwrap();
    }
    shown_all
}

fn shown(text: &OsStr) -> String {
    text.as_bytes().escape_ascii().to_string()
}

/// The names of a tree and what each is, without owners and times: `a/` for a directory (`a/!` for
/// an opaque one), `a=text` for a file, `a->target`, `a|` for a fifo, `-a` for a whiteout, and
/// `a==b` for another name of `b`. Modes are shown where they are neither 0755 of a directory nor
/// 0644 of a file.
pub(crate) fn shape_of(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    collect(root, Path::new(""), &mut names);
    names.sort();
    let mut first_names = BTreeMap::new();
    let mut shape = Vec::new();
    for name in names {
        let path = root.join(&name);
        let found = fs::symlink_metadata(&path).unwrap();
        let name = shown(name.as_os_str());
        let first = first_names
            .entry(found.ino())
            .or_insert_with(|| name.clone());
        let (kind, mode) = (found.mode() & 0o170_000, found.mode() & 0o7777);
        let line = match kind {
            _ if *first != name => format!("{name}=={first}"),
            0o040_000 if attributes(&path).contains("trusted.overlay.opaque=y") => {
                format!("{name}/!")
            }
            0o040_000 => format!("{name}/"),
            0o120_000 => format!(
                "{name}->{}",
                shown(fs::read_link(&path).unwrap().as_os_str())
            ),
            0o100_000 => format!("{name}={}", fs::read(&path).unwrap().escape_ascii()),
            0o010_000 => format!("{name}|"),
            0o020_000 if found.rdev() == 0 => format!("-{name}"),
            _ => format!("{name} is a node {kind:o}"),
        };
        let ordinary = matches!(
            (kind, mode),
            (0o040_000, 0o755) | (0o100_000 | 0o010_000, 0o644) | (0o120_000 | 0o020_000, _)
        );
        shape.push(if ordinary {
            line
        } else {
            format!("{line} {mode:o}")
        });
    }
    shape
}
