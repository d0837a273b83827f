//! How each group was connected, on disk: one file per group, replaced as a whole.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use burstlet_model::GroupUid;
use serde_json::{Map, Value, json};

use super::CniError;
use super::conf::Network;

#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
}

/// A connection that was made, or at least begun.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) network: Network,
    pub(super) capabilities: Map<String, Value>,
    pub(super) args: String,
    /// The last plugin's answer; none while the connection is being made.
    pub(super) result: Option<Value>,
}

const EXTENSION: &str = "json";

impl Cache {
    pub(super) fn open(dir: PathBuf) -> Result<Self, CniError> {
        std::fs::create_dir_all(&dir).map_err(record("make directory for", &dir))?;
        Ok(Self { dir })
    }

    /// The group's entry, if it has one.
    pub(super) fn read(&self, uid: &GroupUid) -> Result<Option<Entry>, CniError> {
        let path = self.path(uid);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(record("read", &path)(error)),
        };
        let decoded = serde_json::from_slice(&text).ok().and_then(decode);
        decoded
            .map(Some)
            .ok_or_else(|| record("understand", &path)(io::ErrorKind::InvalidData.into()))
    }

    /// Makes `entry` the group's; on disk on return.
    pub(super) fn write(&self, uid: &GroupUid, entry: &Entry) -> Result<(), CniError> {
        let path = self.path(uid);
        let temporary = path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(encode(entry).to_string().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(record("write", &path))
    }

    pub(super) fn remove(&self, uid: &GroupUid) -> Result<(), CniError> {
        let path = self.path(uid);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(record("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// All groups with an entry.
    pub(super) fn list(&self) -> Result<Vec<GroupUid>, CniError> {
        let entries = std::fs::read_dir(&self.dir).map_err(record("list", &self.dir))?;
        let uid = |path: PathBuf| {
            let is_entry = path
                .extension()
                .is_some_and(|extension| extension == EXTENSION);
            GroupUid::new(path.file_stem().filter(|_| is_entry)?.to_str()?).ok()
        };
        Ok(entries
            .filter_map(|entry| uid(entry.ok()?.path()))
            .collect())
    }

    fn path(&self, uid: &GroupUid) -> PathBuf {
        self.dir.join(format!("{uid}.{EXTENSION}"))
    }
}

fn encode(entry: &Entry) -> Value {
    json!({
        "network": entry.network.to_value(),
        "capabilities": entry.capabilities,
        "args": entry.args,
        "result": entry.result,
    })
}

fn decode(mut value: Value) -> Option<Entry> {
    Some(Entry {
        network: Network::new(value.get_mut("network")?.take()).ok()?,
        capabilities: value.get("capabilities")?.as_object()?.clone(),
        args: value.get("args")?.as_str()?.to_owned(),
        result: value
            .get_mut("result")
            .map(Value::take)
            .filter(|result| !result.is_null()),
    })
}

fn record(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CniError {
    let path = path.to_owned();
    move |source| CniError::Record {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("cni")).unwrap();
        let uid = GroupUid::new("g-1").unwrap();
        assert_eq!(cache.read(&uid).unwrap(), None);
        let list = json!({ "cniVersion": "1.0.0", "name": "n", "plugins": [{ "type": "t" }] });
        let mut entry = Entry {
            network: Network::new(list).unwrap(),
            capabilities: Map::new(),
            args: "A=b".to_owned(),
            result: None,
        };
        for result in [None, Some(json!({ "ips": [] }))] {
            entry.result = result;
            cache.write(&uid, &entry).unwrap();
            assert_eq!(cache.read(&uid).unwrap().as_ref(), Some(&entry));
        }
        assert_eq!(cache.list().unwrap(), std::slice::from_ref(&uid));
        std::fs::write(dir.path().join("cni/g-1.json"), "{").unwrap();
        assert!(cache.read(&uid).is_err());
        cache.remove(&uid).unwrap();
        cache.remove(&uid).unwrap();
        assert_eq!(cache.list().unwrap(), []);
    }
}
