//! Group records on disk: one file a group, `groups/<uid>/record.json` in the state directory,
//! replaced as a whole (new file beside it, fsync, rename, fsync of the directory).
//!
//! ```text
//! write the new file ──► written: outlives the agent ──► fsync, rename ──► durable: outlives
//!                        (what ends with the machine                       the machine
//!                         may begin)                                       (may be told)
//! ```
//!
//! An agent that finds a whole new file beside the old one goes on from the new one, since what it
//! says may have begun. One that is torn was never acted upon.
//!
//! A file that cannot be read is an event, not absence: it is set aside under another name and
//! reported, and the group's other files are left as they are.

mod disk;
mod file;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burstlet_model::{ErrorKind, GroupUid};
use burstlet_supervisor::record::GroupRecord;

use crate::policy::Rules;
use crate::vault::{Vault, VaultError};

pub(crate) use file::{make_durable, replace, replace_durably};

/// Where records are kept.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    groups: PathBuf,
    vault: Arc<Vault>,
}

/// What is on disk.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Every group that can be gone on with.
    pub(crate) records: Vec<GroupRecord>,
    /// Files that were set aside, with why.
    pub(crate) corrupt: Vec<(PathBuf, String)>,
    /// Group directories without a record: left by a creation that never finished.
    pub(crate) orphans: Vec<GroupUid>,
}

/// Why a record could not be written or listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The record cannot be written.
    #[error("write the record of group {uid} below {path}")]
    Write {
        uid: GroupUid,
        path: PathBuf,
        source: io::Error,
    },
    /// The record has no form on disk.
    #[error("encode the record of group {uid}")]
    Encode {
        uid: GroupUid,
        source: serde_json::Error,
    },
    /// What the record must not show cannot be sealed.
    #[error("seal the record of group {uid}")]
    Seal { uid: GroupUid, source: VaultError },
    /// The directory cannot be read.
    #[error("list the group records in {path}")]
    List { path: PathBuf, source: io::Error },
    /// What is left of a group cannot be removed.
    #[error("remove the directory of group {uid}")]
    Remove { uid: GroupUid, source: io::Error },
}

impl RecordError {
    /// What class of failure it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Write { source, .. }
            | Self::List { source, .. }
            | Self::Remove { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    ErrorKind::ResourceExhausted
                }
                io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Unavailable,
                _ => ErrorKind::Internal,
            },
            Self::Encode { .. } | Self::Seal { .. } => ErrorKind::Internal,
        }
    }
}

/// Larger than any record: a definition is at most a few MiB.
const RECORD_BYTES_MAX: u64 = 16 << 20;
const RECORD: &str = "record.json";
const SET_ASIDE: &str = "record.corrupt";

impl Records {
    /// Records below `state_dir`, sealed under the host's key. Blocks.
    ///
    /// # Errors
    /// There is no key, and none can be made.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, VaultError> {
        let groups = state_dir.join("groups");
        let vault = Vault::open(state_dir, || any_sealed(&groups))?;
        Ok(Self {
            groups,
            vault: Arc::new(vault),
        })
    }

    /// The same for who only wants to remove them: no key is needed.
    ///
    /// # Errors
    /// There are no random bytes.
    pub(crate) fn open_closed(state_dir: &Path) -> Result<Self, VaultError> {
        Ok(Self {
            groups: state_dir.join("groups"),
            vault: Arc::new(Vault::throwaway()?),
        })
    }

    /// What the groups' files are sealed with.
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// A group's own directory.
    pub(crate) fn dir(&self, uid: &GroupUid) -> PathBuf {
        self.groups.join(uid.as_str())
    }

    /// Every group that has a directory.
    pub(crate) fn uids(&self) -> Vec<GroupUid> {
        let entries = std::fs::read_dir(&self.groups)
            .into_iter()
            .flatten()
            .flatten();
        entries
            .filter_map(|entry| GroupUid::new(entry.file_name().to_str()?).ok())
            .collect()
    }

    /// Writes a record; when this returns, no crash loses it. Calls `written` when the death of
    /// this process does not lose it any more. Blocks.
    pub(crate) fn save(
        &self,
        record: &GroupRecord,
        written: impl FnOnce(),
    ) -> Result<(), RecordError> {
        let uid = &record.uid;
        let sealed = disk::Record::seal(record, &self.vault);
        let sealed = sealed.map_err(|source| RecordError::Seal {
            uid: uid.clone(),
            source,
        })?;
        let bytes = serde_json::to_vec(&sealed).map_err(|source| RecordError::Encode {
            uid: uid.clone(),
            source,
        })?;
        let path = self.dir(uid);
        file::replace_in_two_steps(&path, RECORD, &bytes, written).map_err(|source| {
            RecordError::Write {
                uid: uid.clone(),
                path,
                source,
            }
        })
    }

    /// Removes a group's directory, its record last. Blocks. Idempotent.
    pub(crate) fn remove(&self, uid: &GroupUid) -> Result<(), RecordError> {
        file::remove_all_but_last(&self.dir(uid), RECORD).map_err(|source| RecordError::Remove {
            uid: uid.clone(),
            source,
        })
    }

    /// Reads every record. Blocks.
    pub(crate) fn load(&self, rules: &Rules) -> Result<Loaded, RecordError> {
        let list = |source| RecordError::List {
            path: self.groups.clone(),
            source,
        };
        let mut loaded = Loaded::default();
        let entries = match std::fs::read_dir(&self.groups) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(loaded),
            Err(error) => return Err(list(error)),
        };
        for entry in entries {
            let entry = entry.map_err(list)?;
            let Some(uid) = entry
                .file_name()
                .to_str()
                .and_then(|name| GroupUid::new(name).ok())
            else {
                loaded
                    .corrupt
                    .push((entry.path(), "not named by a group uid".to_owned()));
                continue;
            };
            let path = entry.path().join(RECORD);
            match self.read(&path, &uid, rules) {
                Ok(Some(record)) => loaded.records.push(record),
                Ok(None) => loaded.orphans.push(uid),
                Err(problem) => {
                    let aside = entry.path().join(SET_ASIDE);
                    if let Err(error) = std::fs::rename(&path, &aside) {
                        tracing::error!(path = %path.display(), %error, "cannot set a corrupt record aside");
                    }
                    loaded.corrupt.push((aside, problem));
                }
            }
        }
        loaded
            .records
            .sort_by(|a, b| (a.created.wall, &a.uid).cmp(&(b.created.wall, &b.uid)));
        Ok(loaded)
    }

    fn read(
        &self,
        path: &Path,
        uid: &GroupUid,
        rules: &Rules,
    ) -> Result<Option<GroupRecord>, String> {
        if let Some(record) = self.read_pending(path, uid, rules) {
            return Ok(Some(record));
        }
        match file::read_bounded(path, RECORD_BYTES_MAX) {
            Ok(bytes) => self.parse(&bytes, uid, rules).map(Some),
            // A record set aside before is not an orphan: somebody has to look at it.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && path.with_file_name(SET_ASIDE).exists() =>
            {
                Err("was set aside before".to_owned())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The record that an earlier agent had written, and maybe acted upon, when it ended. It is made
    /// durable first, since what is loaded counts as that.
    fn read_pending(&self, path: &Path, uid: &GroupUid, rules: &Rules) -> Option<GroupRecord> {
        let dir = path.parent()?;
        let pending = dir.join(file::pending(RECORD));
        let bytes = file::read_bounded(&pending, RECORD_BYTES_MAX).ok()?;
        let record = self.parse(&bytes, uid, rules).ok()?;
        if let Err(error) = file::finish(dir, RECORD) {
            tracing::error!(path = %pending.display(), %error, "cannot make a record durable");
        }
        Some(record)
    }

    fn parse(&self, bytes: &[u8], uid: &GroupUid, rules: &Rules) -> Result<GroupRecord, String> {
        let record: disk::Record =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let record = record.into_model(rules, &self.vault)?;
        if record.uid != *uid {
            return Err(format!("is of group {}", record.uid));
        }
        Ok(record)
    }
}

/// Whether a record needs the key that it was sealed under.
fn any_sealed(groups: &Path) -> bool {
    let entries = std::fs::read_dir(groups).into_iter().flatten().flatten();
    let names = [RECORD.to_owned(), file::pending(RECORD)];
    entries
        .flat_map(|entry| names.clone().map(|name| entry.path().join(name)))
        .filter_map(|path| file::read_bounded(&path, RECORD_BYTES_MAX).ok())
        .any(|bytes| disk::is_sealed(&bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
