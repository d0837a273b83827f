//! Volumes that live in the group's own directory: made once, before anything of the group runs,
//! so that nobody can put a link in the way. Those of configuration are given other files later;
//! no container may write to them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use burstlet_failpoint::{Point, pass};
use burstlet_model::spec::{DataFile, GroupSpec, Medium, VolumeSource};
use burstlet_sandbox::files;

use super::layout::Layout;

/// Why a volume is not there.
#[derive(Debug, thiserror::Error)]
#[error("make the volume {volume:?} in {path}")]
pub(super) struct VolumeError {
    volume: String,
    path: PathBuf,
    source: io::Error,
}

/// Who owns what a volume holds: host ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// The host id of the group's uid 0.
    pub(super) root: u32,
    /// The host id of the group's `fsGroup`, if it has one.
    pub(super) group: Option<u32>,
}

impl Owner {
    /// The owner of a group's volumes, whose ids begin at `id_base`.
    pub(super) fn of(spec: &GroupSpec, id_base: u32) -> Self {
        let group = spec
            .security
            .fs_group
            .map(|gid| id_base.saturating_add(gid));
        Self {
            root: id_base,
            group,
        }
    }

    fn give(self, path: &Path, directory: bool) -> io::Result<()> {
        chown(path, Some(self.root), Some(self.group.unwrap_or(self.root)))?;
        if directory && self.group.is_some() {
            // New files belong to the group too.
            let mode = fs::metadata(path)?.permissions().mode();
            fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o2070))?;
        }
        Ok(())
    }
}

/// Makes every volume that is kept on disk. Idempotent: an empty volume that is there is left alone,
/// for it may hold data; one of configuration holds what the specification says now. Blocks.
pub(super) fn prepare(layout: &Layout, spec: &GroupSpec, owner: Owner) -> Result<(), VolumeError> {
    for (index, volume) in spec.volumes.iter().enumerate() {
        let path = layout.volume(index);
        let made = match &volume.source {
            VolumeSource::EmptyDir {
                medium: Medium::Disk,
                ..
            } => empty(&path, owner),
            VolumeSource::ConfigData(files) => data(&path, files, owner),
            _ => Ok(()),
        };
        made.map_err(|source| VolumeError {
            volume: volume.name.clone(),
            path,
            source,
        })?;
    }
    Ok(())
}

/// The mode of a file that the `fsGroup` owns, in a volume that nobody writes to: the owner and the
/// group may read it, whatever else was asked for. A kubelet does the same.
pub(super) const fn mode_with_group(mode: u32) -> u32 {
    mode | 0o440
}

fn empty(path: &Path, owner: Owner) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    // Complete under another name first: a crash in between leaves no volume of the wrong owner.
    let new = path.with_extension("new");
    let _ = fs::remove_dir_all(&new);
    DirBuilder::new().recursive(true).create(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o777))?;
    owner.give(&new, true)?;
    pass(Point::VolumeMade)?;
    fs::rename(&new, path)
}

fn data(path: &Path, wanted: &[DataFile], owner: Owner) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => owner.give(path, false)?,
    }
    let mode = |file: &DataFile| match owner.group {
        Some(_) => mode_with_group(file.mode),
        None => file.mode,
    };
    let wanted: Vec<files::File<'_>> = wanted
        .iter()
        .map(|file| files::File {
            path: Path::new(&file.path),
            mode: mode(file),
            data: file.data.expose(),
        })
        .collect();
    let ids = files::Owner {
        uid: owner.root,
        gid: owner.group.unwrap_or(owner.root),
    };
    pass(Point::VolumeMade)?;
    files::replace(path, &wanted, ids)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use burstlet_model::Secret;

    use super::*;

    fn me() -> Owner {
        Owner {
            root: nix::unistd::geteuid().as_raw(),
            group: None,
        }
    }

    #[test]
    fn a_volume_of_configuration_holds_what_it_should_now() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0");
        let file = |path: &str, text: &str| DataFile {
            path: path.to_owned(),
            mode: 0o440,
            data: Secret::new(text.as_bytes().to_vec()),
        };
        data(
            &path,
            &[file("a/b/c", "first"), file("top", "second")],
            me(),
        )
        .unwrap();
        assert_eq!(fs::read_to_string(path.join("a/b/c")).unwrap(), "first");
        assert_eq!(
            fs::metadata(path.join("top")).unwrap().mode() & 0o7777,
            0o440
        );
        data(&path, &[file("top", "changed")], me()).unwrap();
        assert_eq!(fs::read_to_string(path.join("top")).unwrap(), "changed");
    }

    #[test]
    fn an_empty_volume_is_open_to_all_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("3");
        empty(&path, me()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o777);
        fs::write(path.join("kept"), "x").unwrap();
        empty(&path, me()).unwrap();
        assert!(path.join("kept").exists());
    }
}
