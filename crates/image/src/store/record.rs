//! What the store writes down, each kind in its own versioned form.
//!
//! A record that cannot be read is set aside and told, never taken for absent in silence.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::error::StoreError;
use super::image::parse;
use crate::content::{ContentError, create_dir, io_error, names, write_durably, write_soon};
use crate::signature::Signed;

/// The version that this program writes, and the only one that it reads.
const VERSION: u64 = 1;
const RECORD_BYTES_MAX: u64 = 4 << 20;
const SUFFIX: &str = ".json";

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ImageRecord {
    pub(super) id: String,
    pub(super) manifest_digest: String,
    /// Every document that led to it.
    pub(super) chain: BTreeSet<String>,
    pub(super) references: Vec<ReferenceRecord>,
    pub(super) size_bytes: u64,
    /// Registries from which all of it was received.
    pub(super) origins: BTreeSet<String>,
    /// The namespaces that may use it; absent if everyone may.
    pub(super) private_to: Option<BTreeSet<String>>,
    pub(super) pulled_at_ns: i64,
    pub(super) used_at_ns: i64,
    pub(super) layers: usize,
    /// Signatures of it that were found to count. Absent in what was written before there were any.
    #[serde(default)]
    pub(super) signed: Vec<SignedRecord>,
}

/// A signature that was found to count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SignedRecord {
    /// The document that was signed.
    pub(super) digest: String,
    /// What it was called; empty if nothing.
    pub(super) name: String,
    /// The key's digest.
    pub(super) key: String,
}

impl SignedRecord {
    pub(super) fn of(signed: &Signed) -> Self {
        Self {
            digest: signed.digest.to_string(),
            name: signed
                .identity
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            key: signed.key.to_string(),
        }
    }

    pub(super) fn read(&self) -> Result<Signed, String> {
        Ok(Signed {
            digest: parse(&self.digest)?,
            identity: match self.name.as_str() {
                "" => None,
                name => Some(parse(name)?),
            },
            key: parse(&self.key)?,
        })
    }
}

/// A reference that names an image, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReferenceRecord {
    pub(super) reference: String,
    pub(super) since_ns: i64,
}

/// An unpacked layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    pub(super) diff_id: String,
    /// Packed forms that were received and unpacked into this.
    pub(super) blobs: BTreeSet<String>,
    /// Registries from which it was received.
    pub(super) origins: BTreeSet<String>,
    pub(super) disk_bytes: u64,
    /// The boot in which it was written and not yet synced: after another boot it may be torn.
    pub(super) unsynced_boot: Option<String>,
}

/// What one group needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseRecord {
    pub(super) images: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u64,
    #[serde(flatten)]
    record: T,
}

/// Something that was found wrong when the store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEvent {
    /// The record or directory.
    pub path: PathBuf,
    /// What is wrong and what was done about it.
    pub problem: String,
}

/// A directory of records of one kind.
#[derive(Clone, Debug)]
pub(super) struct Records {
    dir: PathBuf,
    aside: PathBuf,
}

/// A record's name and what it says; none if it was unreadable and set aside.
pub(super) type Loaded<T> = Vec<(String, Option<T>)>;

impl Records {
    /// Records below `dir`; unreadable ones are moved to `aside`.
    pub(super) fn open(dir: PathBuf, aside: PathBuf) -> Result<Self, StoreError> {
        create_dir(&dir)?;
        create_dir(&aside)?;
        crate::content::remove_temporary(&dir)?;
        Ok(Self { dir, aside })
    }

    /// Writes a record; a power cut does not lose it.
    pub(super) fn save<T: Serialize>(&self, name: &str, record: &T) -> Result<(), StoreError> {
        self.put(name, record, write_durably)
    }

    /// Writes a record that a power cut may lose, or leave unreadable.
    pub(super) fn save_soon<T: Serialize>(&self, name: &str, record: &T) -> Result<(), StoreError> {
        self.put(name, record, write_soon)
    }

    fn put<T: Serialize>(
        &self,
        name: &str,
        record: &T,
        write: impl FnOnce(&Path, &[u8]) -> Result<(), ContentError>,
    ) -> Result<(), StoreError> {
        let path = self.path(name);
        let versioned = Versioned {
            version: VERSION,
            record,
        };
        let bytes = serde_json::to_vec_pretty(&versioned)
            .map_err(io::Error::from)
            .map_err(io_error("encode", &path))?;
        Ok(write(&path, &bytes)?)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), StoreError> {
        Ok(crate::content::remove_if_there(&self.path(name))?)
    }

    /// Reads all records. What cannot be read is set aside and added to `events`.
    pub(super) fn load<T: DeserializeOwned>(
        &self,
        events: &mut Vec<StoreEvent>,
    ) -> Result<Loaded<T>, StoreError> {
        let mut loaded = Vec::new();
        for file in names(&self.dir)? {
            let Some(name) = file.strip_suffix(SUFFIX) else {
                continue;
            };
            let record = match self.read(name)? {
                Ok(record) => Some(record),
                Err(problem) => {
                    events.push(self.set_aside(name, problem)?);
                    None
                }
            };
            loaded.push((name.to_owned(), record));
        }
        Ok(loaded)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Result<T, String>, StoreError> {
        let path = self.path(name);
        let mut bytes = Vec::new();
        let read =
            File::open(&path).and_then(|file| file.take(RECORD_BYTES_MAX).read_to_end(&mut bytes));
        read.map_err(io_error("read", &path))?;
        let value: serde_json::Value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(error) => return Ok(Err(error.to_string())),
        };
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(VERSION) => {}
            Some(found) => {
                return Err(StoreError::Version {
                    path,
                    found,
                    known: VERSION,
                });
            }
            None => return Ok(Err("it has no version".to_owned())),
        }
        let versioned = serde_json::from_value::<Versioned<T>>(value);
        Ok(versioned
            .map(|versioned| versioned.record)
            .map_err(|error| error.to_string()))
    }

    /// Moves a record away so that it can be looked at, and says so.
    pub(super) fn set_aside(&self, name: &str, problem: String) -> Result<StoreEvent, StoreError> {
        let (path, kind) = (self.path(name), self.dir.file_name().unwrap_or_default());
        let target = self
            .aside
            .join(format!("{}-{name}{SUFFIX}", kind.to_string_lossy()));
        fs::rename(&path, &target).map_err(io_error("set aside", &path))?;
        warn!(record = %path.display(), kept = %target.display(), problem, "a record is unreadable");
        Ok(StoreEvent { path, problem })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{SUFFIX}"))
    }
}

/// The identity of this boot.
pub(super) fn boot_id() -> Result<String, StoreError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let id = fs::read_to_string(path).map_err(io_error("read", path))?;
    Ok(id.trim().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn records() -> (tempfile::TempDir, Records) {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path().join("leases"), dir.path().join("aside")).unwrap();
        (dir, records)
    }

    fn lease() -> LeaseRecord {
        LeaseRecord {
            images: BTreeSet::from(["sha256:00".to_owned()]),
        }
    }

    #[test]
    fn records_come_back() {
        let (_dir, records) = records();
        records.save("a", &lease()).unwrap();
        let mut events = Vec::new();
        let loaded = records.load::<LeaseRecord>(&mut events).unwrap();
        assert_eq!(loaded, [("a".to_owned(), Some(lease()))]);
        assert_eq!(events, []);
        records.remove("a").unwrap();
        assert_eq!(records.load::<LeaseRecord>(&mut events).unwrap(), []);
    }

    #[test]
    fn an_unreadable_record_is_set_aside_and_told() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"version":1}"#,
            r#"{"version":1,"images":5}"#,
        ] {
            let (dir, records) = records();
            fs::write(dir.path().join("leases/a.json"), text).unwrap();
            let mut events = Vec::new();
            let loaded = records.load::<LeaseRecord>(&mut events).unwrap();
            assert_eq!(loaded, [("a".to_owned(), None)], "{text}");
            assert_eq!(events.len(), 1, "{text}");
            let kept = fs::read_to_string(dir.path().join("aside/leases-a.json")).unwrap();
            assert_eq!(kept, text);
            assert_eq!(records.load::<LeaseRecord>(&mut events).unwrap(), []);
        }
    }

    #[test]
    fn a_newer_version_is_not_touched() {
        let (dir, records) = records();
        let path = dir.path().join("leases/a.json");
        fs::write(&path, r#"{"version":2,"images":[]}"#).unwrap();
        let error = records.load::<LeaseRecord>(&mut Vec::new()).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Version {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert!(path.exists());
    }
}
