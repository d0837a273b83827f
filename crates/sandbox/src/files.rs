//! A directory whose files change together: who reads it finds all of the old or all of the new,
//! as in Kubernetes' volumes of configuration.
//!
//! ```text
//! NAME ─► ..data/NAME        ..data ─► ..VERSION        ..VERSION/NAME: the file
//! ```
//!
//! A version is written aside, and one link is renamed. Who has a file of an earlier version open,
//! or mounted, keeps it. Nobody else may write to the directory: its paths are what was made here.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Component, Path};

/// The link to the version that counts.
const DATA: &str = "..data";
/// A link before it has its name.
const NEW_LINK: &str = "..new";

/// A file to be.
#[derive(Clone, Copy, Debug, Hash)]
pub struct File<'f> {
    /// Below the directory; those between are made.
    pub path: &'f Path,
    /// Permission bits.
    pub mode: u32,
    /// What it holds.
    pub data: &'f [u8],
}

/// Who owns the files: host ids.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Makes `files` what the directory holds. If this fails, it holds what it held before, or already
/// what it should; the next call tidies up. Blocks.
///
/// # Errors
/// A path leads out of the directory, or the file system refuses.
pub fn replace(root: &Path, files: &[File<'_>], owner: Owner) -> io::Result<()> {
    let version = version(files, owner);
    let names = names(files)?;
    if fs::read_link(root.join(DATA)).is_ok_and(|current| current == Path::new(&version)) {
        return link_names(root, &names, owner);
    }
    let aside = root.join(&version);
    // An earlier try may have left it.
    remove(&aside)?;
    make_dir(&aside, owner)?;
    for file in files {
        write(&aside, file, owner)?;
    }
    link(root, OsStr::new(DATA), Path::new(&version), owner)?;
    link_names(root, &names, owner)?;
    tidy(root, &version, &names)
}

/// A name that is another for other contents.
fn version(files: &[File<'_>], owner: Owner) -> String {
    let mut hasher = DefaultHasher::new();
    (files, owner).hash(&mut hasher);
    format!("..{:016x}", hasher.finish())
}

/// What is to be seen in the directory: the first part of each path.
fn names<'f>(files: &[File<'f>]) -> io::Result<BTreeSet<&'f OsStr>> {
    let first = |file: &File<'f>| {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "not a path below the volume");
        let mut parts = file.path.components();
        let Some(Component::Normal(name)) = parts.next() else {
            return Err(wrong());
        };
        let is_ours = name.as_encoded_bytes().starts_with(b"..");
        let is_below = parts.all(|part| matches!(part, Component::Normal(_)));
        (is_below && !is_ours).then_some(name).ok_or_else(wrong)
    };
    files.iter().map(first).collect()
}

fn link_names(root: &Path, names: &BTreeSet<&OsStr>, owner: Owner) -> io::Result<()> {
    let mut names = names.iter();
    names.try_for_each(|name| link(root, name, &Path::new(DATA).join(name), owner))
}

fn link(root: &Path, name: &OsStr, target: &Path, owner: Owner) -> io::Result<()> {
    let path = root.join(name);
    if fs::read_link(&path).is_ok_and(|current| current == target) {
        return Ok(());
    }
    let new = root.join(NEW_LINK);
    remove(&new)?;
    symlink(target, &new)?;
    lchown(&new, Some(owner.uid), Some(owner.gid))?;
    // A link does not take a directory's place.
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        fs::remove_dir_all(&path)?;
    }
    fs::rename(&new, &path)
}

/// Removes what earlier versions left. What is not ours stays, such as a mount point.
fn tidy(root: &Path, version: &str, names: &BTreeSet<&OsStr>) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name();
        let path = root.join(&name);
        let is_data = |target: &Path| target.starts_with(DATA);
        let stale_link =
            !names.contains(&*name) && fs::read_link(&path).is_ok_and(|target| is_data(&target));
        let is_ours = name.as_encoded_bytes().starts_with(b"..");
        let stale_version = is_ours && name != DATA && name != version;
        if stale_link || stale_version {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn make_dir(path: &Path, owner: Owner) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    chown(path, Some(owner.uid), Some(owner.gid))
}

fn write(root: &Path, file: &File<'_>, owner: Owner) -> io::Result<()> {
    let mut dir = root.to_owned();
    for part in file.path.parent().into_iter().flat_map(Path::components) {
        dir.push(part);
        if !dir.exists() {
            make_dir(&dir, owner)?;
        }
    }
    let path = root.join(file.path);
    let mut opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    opened.write_all(file.data)?;
    chown(&path, Some(owner.uid), Some(owner.gid))?;
    opened.set_permissions(Permissions::from_mode(file.mode))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn me() -> Owner {
        Owner {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
        }
    }

    fn put(root: &Path, files: &[(&str, &str)]) -> io::Result<()> {
        let files: Vec<File<'_>> = files
            .iter()
            .map(|(path, text)| File {
                path: Path::new(path),
                mode: 0o440,
                data: text.as_bytes(),
            })
            .collect();
        replace(root, &files, me())
    }

    fn seen(root: &Path) -> Vec<String> {
        let names = fs::read_dir(root).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with(".."))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_change_together_and_the_open_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(root, &[("a/b/c", "first"), ("top", "one")]).unwrap();
        assert_eq!(fs::read_to_string(root.join("a/b/c")).unwrap(), "first");
        assert_eq!(
            fs::metadata(root.join("top")).unwrap().mode() & 0o7777,
            0o440
        );
        let version = fs::read_link(root.join(DATA)).unwrap();
        let held = fs::File::open(root.join("top")).unwrap();
        put(root, &[("top", "two"), ("late", "x")]).unwrap();
        assert_eq!(fs::read_to_string(root.join("top")).unwrap(), "two");
        assert_eq!(seen(root), ["late", "top"]);
        assert_eq!(io::read_to_string(held).unwrap(), "one");
        assert_ne!(fs::read_link(root.join(DATA)).unwrap(), version);
        assert!(!root.join(version).exists(), "the old version is left");
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(root, &[("top", "one")]).unwrap();
        let changed = || fs::symlink_metadata(root.join(DATA)).unwrap().mtime_nsec();
        let (before, version) = (changed(), fs::read_link(root.join(DATA)).unwrap());
        put(root, &[("top", "one")]).unwrap();
        assert_eq!(
            (changed(), fs::read_link(root.join(DATA)).unwrap()),
            (before, version)
        );
    }

    #[test]
    fn what_a_crash_left_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(root, &[("top", "one")]).unwrap();
        fs::create_dir(root.join("..0123")).unwrap();
        symlink("nowhere", root.join(NEW_LINK)).unwrap();
        fs::remove_file(root.join("top")).unwrap();
        put(root, &[("top", "one")]).unwrap();
        assert_eq!(fs::read_to_string(root.join("top")).unwrap(), "one");
        fs::create_dir(root.join("own")).unwrap();
        put(root, &[("top", "two")]).unwrap();
        assert!(!root.join("..0123").exists() && !root.join(NEW_LINK).exists());
        assert_eq!(seen(root), ["own", "top"], "what is not ours stays");
    }

    #[test]
    fn files_that_are_no_links_yet_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("top"), "plain").unwrap();
        put(root, &[("a/c", "x"), ("top", "linked")]).unwrap();
        assert_eq!(fs::read_to_string(root.join("top")).unwrap(), "linked");
        assert_eq!(fs::read_to_string(root.join("a/c")).unwrap(), "x");
    }

    #[test]
    fn a_path_never_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../out", "/out", "a/../../out", "..data/x", "..x", ""] {
            let refused = put(dir.path(), &[(path, "x")]).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
