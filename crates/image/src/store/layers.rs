//! The unpacked layers on disk.
//!
//! ```text
//! layers/.stage-*      being unpacked; found at start: removed
//!    │ rename
//! layers/<diff id>     complete, perhaps not yet on the platter; without a record: removed
//!    │ record <diff id>.json: "written in boot B, not synced"
//!    │ syncfs, in the background
//!    │ record: "synced"
//!    ▼ rename
//! layers/.trash-*      being removed
//! ```
//!
//! An unsynced layer is as good as any while the machine stays up. After a power cut the boot has
//! another id, and what was not synced by then may be torn: it is removed and pulled again. So a
//! pull does not wait for the disk.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use burstlet_failpoint::{Point, pass};
use burstlet_model::Digest;
use tracing::warn;

use super::error::StoreError;
use super::record::{LayerRecord, Records, StoreEvent, boot_id};
use crate::content::{create_dir, io_error, names};
use crate::remove_tree;

const STAGE_PREFIX: &str = ".stage-";
const TRASH_PREFIX: &str = ".trash-";
/// A layer's root, unless the layer says otherwise.
const ROOT_MODE: u32 = 0o755;

#[derive(Clone, Debug)]
pub(super) struct LayerStore {
    dir: PathBuf,
    records: Records,
    boot: String,
}

/// A directory to unpack into. Dropped without [`LayerStore::commit`], it is removed.
pub(super) struct Stage {
    path: Option<PathBuf>,
}

impl LayerStore {
    /// Opens the layers below `dir`: those that are whole, by diff id. Others go to the trash.
    pub(super) fn open(
        dir: &Path,
        aside: &Path,
        events: &mut Vec<StoreEvent>,
    ) -> Result<(Self, BTreeMap<Digest, LayerRecord>), StoreError> {
        create_dir(dir)?;
        let records = Records::open(dir.to_owned(), aside.to_owned())?;
        let store = Self {
            dir: dir.to_owned(),
            records,
            boot: boot_id()?,
        };
        let mut layers = BTreeMap::new();
        for (name, record) in store.records.load::<LayerRecord>(events)? {
            let (Some(record), Ok(diff_id)) = (record, Digest::new(format!("sha256:{name}")))
            else {
                continue;
            };
            let torn = record
                .unsynced_boot
                .as_ref()
                .is_some_and(|boot| *boot != store.boot);
            if torn || !store.path(&diff_id).is_dir() {
                let problem = "the layer was not synced before the machine went down; removed";
                events.push(StoreEvent {
                    path: store.path(&diff_id),
                    problem: problem.to_owned(),
                });
                store.records.remove(diff_id.hex())?;
                continue;
            }
            layers.insert(diff_id, record);
        }
        store.discard_unknown(&layers)?;
        Ok((store, layers))
    }

    pub(super) fn path(&self, diff_id: &Digest) -> PathBuf {
        self.dir.join(diff_id.hex())
    }

    /// A new directory to unpack into.
    pub(super) fn stage(&self) -> Result<Stage, StoreError> {
        pass(Point::StageBegun).map_err(io_error("create a stage in", &self.dir))?;
        let made = tempfile::Builder::new()
            .prefix(STAGE_PREFIX)
            .tempdir_in(&self.dir);
        let path = made
            .map_err(io_error("create a stage in", &self.dir))?
            .keep();
        let stage = Stage {
            path: Some(path.clone()),
        };
        let opened = fs::set_permissions(&path, Permissions::from_mode(ROOT_MODE));
        opened.map_err(io_error("set the mode of", &path))?;
        Ok(stage)
    }

    /// Makes what was unpacked into `stage` the layer `diff_id`. If it is there already, this
    /// one goes: they are the same.
    pub(super) fn commit(
        &self,
        diff_id: &Digest,
        mut stage: Stage,
        record: &mut LayerRecord,
    ) -> Result<(), StoreError> {
        let target = self.path(diff_id);
        let failed = io_error("rename a new layer to", &target);
        pass(Point::LayerUnpacked).map_err(failed)?;
        if let Some(path) = stage.path.as_ref().filter(|_| !target.exists()) {
            fs::rename(path, &target).map_err(io_error("rename a new layer to", &target))?;
            stage.path = None;
            record.unsynced_boot = Some(self.boot.clone());
        }
        pass(Point::LayerRenamed).map_err(io_error("record", &target))?;
        self.save(diff_id, record)
    }

    pub(super) fn save(&self, diff_id: &Digest, record: &LayerRecord) -> Result<(), StoreError> {
        self.records.save(diff_id.hex(), record)
    }

    /// Waits until all that was written is on the platter.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        pass(Point::LayersSync).map_err(io_error("sync", &self.dir))?;
        let dir = File::open(&self.dir).map_err(io_error("open", &self.dir))?;
        let synced = nix::unistd::syncfs(&dir).map_err(std::io::Error::from);
        Ok(synced.map_err(io_error("sync the file system of", &self.dir))?)
    }

    /// Takes the layer's name away; [`Self::empty_trash`] removes the rest.
    pub(super) fn discard(&self, diff_id: &Digest) -> Result<(), StoreError> {
        self.records.remove(diff_id.hex())?;
        self.to_trash(diff_id.hex())
    }

    /// Removes what was discarded. This can take long.
    pub(super) fn empty_trash(&self) -> Result<(), StoreError> {
        for name in names(&self.dir)? {
            if name.starts_with(TRASH_PREFIX) {
                remove_quietly(&self.dir.join(name));
            }
        }
        Ok(())
    }

    /// Discards stages and directories without a record.
    fn discard_unknown(&self, known: &BTreeMap<Digest, LayerRecord>) -> Result<(), StoreError> {
        for name in names(&self.dir)? {
            let digest = Digest::new(format!("sha256:{name}"));
            let unknown = digest.is_ok_and(|digest| !known.contains_key(&digest));
            if unknown || name.starts_with(STAGE_PREFIX) {
                self.to_trash(&name)?;
            }
        }
        Ok(())
    }

    fn to_trash(&self, name: &str) -> Result<(), StoreError> {
        let made = tempfile::Builder::new()
            .prefix(TRASH_PREFIX)
            .tempdir_in(&self.dir);
        let trash = made
            .map_err(io_error("create a trash directory in", &self.dir))?
            .keep();
        let path = self.dir.join(name);
        match fs::rename(&path, trash.join("tree")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_error("discard", &path)(error).into())
            }
            _ => Ok(()),
        }
    }
}

impl Stage {
    pub(super) fn path(&self) -> PathBuf {
        self.path.clone().unwrap_or_default()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else {
            return;
        };
        // A pull that is cancelled must not hold its thread for as long as the tree is large.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove_quietly(&path))),
            Err(_) => remove_quietly(&path),
        }
    }
}

/// Removes a tree that nobody can reach any more; what stays is removed at the next start.
fn remove_quietly(path: &Path) {
    if let Err(error) = remove_tree(path) {
        warn!(path = %path.display(), %error, "remove a discarded layer");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
            }
        }

        fn open(&self) -> (LayerStore, BTreeMap<Digest, LayerRecord>) {
            let (dir, aside) = (
                self.dir.path().join("layers"),
                self.dir.path().join("aside"),
            );
            LayerStore::open(&dir, &aside, &mut Vec::new()).unwrap()
        }

        fn entries(&self) -> usize {
            fs::read_dir(self.dir.path().join("layers"))
                .unwrap()
                .count()
        }
    }

    fn layer() -> Digest {
        crate::digest_of(b"layer")
    }

    fn commit(store: &LayerStore) -> LayerRecord {
        let stage = store.stage().unwrap();
        fs::write(stage.path().join("file"), b"x").unwrap();
        let mut record = LayerRecord {
            diff_id: layer().to_string(),
            ..LayerRecord::default()
        };
        store.commit(&layer(), stage, &mut record).unwrap();
        record
    }

    #[test]
    fn a_layer_is_there_whole_or_not_at_all() {
        let fixture = Fixture::new();
        let (store, layers) = fixture.open();
        assert!(layers.is_empty());
        let record = commit(&store);
        assert_eq!(record.unsynced_boot, Some(boot_id().unwrap()));
        commit(&store);
        assert_eq!(fixture.entries(), 2, "the second of equals is gone");
        let (store, layers) = fixture.open();
        assert_eq!(layers.len(), 1, "the machine stayed up");
        store.discard(&layer()).unwrap();
        store.empty_trash().unwrap();
        assert_eq!(fixture.entries(), 0);
        assert_eq!(fixture.open().1.len(), 0);
    }

    #[test]
    fn after_a_power_cut_what_was_not_synced_goes() {
        let fixture = Fixture::new();
        let (store, _) = fixture.open();
        let mut record = commit(&store);
        record.unsynced_boot = Some("another boot".to_owned());
        store.save(&layer(), &record).unwrap();
        let (store, layers) = fixture.open();
        assert_eq!(layers.len(), 0);
        store.empty_trash().unwrap();
        assert_eq!(fixture.entries(), 0);
        let mut record = commit(&store);
        store.sync().unwrap();
        record.unsynced_boot = None;
        store.save(&layer(), &record).unwrap();
        assert_eq!(fixture.open().1.len(), 1);
    }

    #[test]
    fn what_a_crash_left_goes() {
        let fixture = Fixture::new();
        let (store, _) = fixture.open();
        let stage = store.stage().unwrap();
        fs::write(stage.path().join("half"), b"x").unwrap();
        std::mem::forget(stage);
        fs::create_dir(store.path(&layer())).unwrap();
        let (store, layers) = fixture.open();
        assert!(layers.is_empty());
        store.empty_trash().unwrap();
        assert_eq!(fixture.entries(), 0);
    }

    #[test]
    fn a_dropped_stage_is_removed() {
        let fixture = Fixture::new();
        let (store, _) = fixture.open();
        let stage = store.stage().unwrap();
        fs::write(stage.path().join("half"), b"x").unwrap();
        drop(stage);
        assert_eq!(fixture.entries(), 0);
    }
}
