//! Configuration lists, as an operator writes them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::CniError;

/// A network's configuration list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Network {
    list: Map<String, Value>,
}

/// A version of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

/// The newest version whose rules are followed here, and the oldest.
const VERSION_MAX: Version = Version(1, 1, 0);
const VERSION_MIN: Version = Version(0, 3, 0);

/// The largest list that is read.
const LIST_BYTES_MAX: u64 = 1 << 20;

impl Network {
    /// The list called `name` in `dir`; the first by file name if no name is given.
    pub(super) fn load(dir: &Path, name: Option<&str>) -> Result<Self, CniError> {
        let none = || CniError::NoNetwork {
            dir: dir.to_owned(),
            name: name.map(str::to_owned),
        };
        let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
            .map_err(|_| none())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "conflist")
            })
            .collect();
        paths.sort();
        for path in paths {
            let network = Self::read(&path)?;
            if name.is_none_or(|name| network.name() == name) {
                return Ok(network);
            }
        }
        Err(none())
    }

    fn read(path: &Path) -> Result<Self, CniError> {
        let bad = |problem: String| CniError::BadList {
            path: path.to_owned(),
            problem,
        };
        let length = std::fs::metadata(path)
            .map_err(|error| bad(error.to_string()))?
            .len();
        if length > LIST_BYTES_MAX {
            return Err(bad(format!("larger than {LIST_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        let value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        Self::new(value).map_err(bad)
    }

    /// Checks a list's form; the error says what is wrong.
    pub(super) fn new(value: Value) -> Result<Self, String> {
        let Value::Object(list) = value else {
            return Err("not an object".to_owned());
        };
        let network = Self { list };
        let name = network.name();
        let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        {
            return Err(
                "name: letters, digits, '_', '.' and '-', starting with a letter or digit"
                    .to_owned(),
            );
        }
        let version = network.text("cniVersion").and_then(Version::parse);
        if !version.is_some_and(|version| (VERSION_MIN..=VERSION_MAX).contains(&version)) {
            return Err("cniVersion: from 0.3.0 to 1.1.0".to_owned());
        }
        let plugins = network.list.get("plugins").and_then(Value::as_array);
        let Some(plugins) = plugins.filter(|plugins| !plugins.is_empty()) else {
            return Err("plugins: a list of at least one".to_owned());
        };
        for (index, plugin) in plugins.iter().enumerate() {
            let kind = plugin
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if kind.is_empty() || kind.contains('/') || kind.starts_with('.') {
                return Err(format!("plugins[{index}].type: a file name"));
            }
        }
        Ok(network)
    }

    pub(super) fn name(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    pub(super) fn version(&self) -> Version {
        self.text("cniVersion")
            .and_then(Version::parse)
            .unwrap_or(VERSION_MIN)
    }

    pub(super) fn plugins(&self) -> impl Iterator<Item = &Map<String, Value>> {
        let plugins = self.list.get("plugins").and_then(Value::as_array);
        plugins.into_iter().flatten().filter_map(Value::as_object)
    }

    pub(super) fn has_check(&self) -> bool {
        self.version() >= Version(0, 4, 0) && !self.flag("disableCheck")
    }

    pub(super) fn has_garbage_collection(&self) -> bool {
        self.version() >= Version(1, 1, 0) && !self.flag("disableGC")
    }

    /// What a plugin reads: its own configuration, with the list's name and version, the values of
    /// the capabilities it has declared, and the result of the plugin before it.
    pub(super) fn input(
        &self,
        plugin: &Map<String, Value>,
        capabilities: &Map<String, Value>,
        previous: Option<&Value>,
    ) -> Map<String, Value> {
        let mut input = plugin.clone();
        let declared = input.remove("capabilities");
        for key in ["name", "cniVersion"] {
            input.insert(
                key.to_owned(),
                self.list.get(key).cloned().unwrap_or_default(),
            );
        }
        let wanted = |name: &str| {
            let declared = declared.as_ref().and_then(|declared| declared.get(name));
            declared.and_then(Value::as_bool).unwrap_or(false)
        };
        let runtime: Map<String, Value> = capabilities
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        if !runtime.is_empty() {
            input.insert("runtimeConfig".to_owned(), runtime.into());
        }
        if let Some(previous) = previous {
            input.insert("prevResult".to_owned(), previous.clone());
        }
        input
    }

    pub(super) fn to_value(&self) -> Value {
        self.list.clone().into()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.list.get(key).and_then(Value::as_str)
    }

    /// The specification allows booleans and, for older lists, their names.
    fn flag(&self, key: &str) -> bool {
        match self.list.get(key) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "true",
            _ => false,
        }
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse::<u32>);
        let mut next = || parts.next()?.ok();
        let version = Self(next()?, next()?, next()?);
        parts.next().is_none().then_some(version)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(change: impl FnOnce(&mut Value)) -> Value {
        let mut value = json!({
            "cniVersion": "1.0.0",
            "name": "test",
            "plugins": [
                { "type": "bridge", "bridge": "cni0" },
                { "type": "portmap", "capabilities": { "portMappings": true, "dns": false } },
            ],
        });
        change(&mut value);
        value
    }

    #[test]
    fn forms() {
        assert!(Network::new(list(|_| {})).is_ok());
        let refused = |change: fn(&mut Value), start: &str| {
            let problem = Network::new(list(change)).unwrap_err();
            assert!(problem.starts_with(start), "{problem}");
        };
        refused(|list| list["name"] = json!("../x"), "name");
        refused(|list| list["name"] = json!(7), "name");
        refused(|list| list["cniVersion"] = json!("2.0.0"), "cniVersion");
        refused(|list| list["cniVersion"] = json!("1.0"), "cniVersion");
        refused(|list| list["plugins"] = json!([]), "plugins");
        refused(
            |list| list["plugins"][1]["type"] = json!("../../bin/sh"),
            "plugins[1].type",
        );
        refused(|list| *list = json!([]), "not an object");
    }

    #[test]
    fn a_plugin_gets_what_it_declared() {
        let network = Network::new(list(|_| {})).unwrap();
        let plugins: Vec<_> = network.plugins().collect();
        let capabilities = Map::from_iter([
            ("portMappings".to_owned(), json!([{ "hostPort": 80 }])),
            ("dns".to_owned(), json!({})),
        ]);
        let first = network.input(plugins[0], &capabilities, None);
        assert_eq!(
            Value::from(first),
            json!({ "cniVersion": "1.0.0", "name": "test", "type": "bridge", "bridge": "cni0" })
        );
        let second = network.input(plugins[1], &capabilities, Some(&json!({ "ips": [] })));
        assert_eq!(
            Value::from(second),
            json!({
                "cniVersion": "1.0.0", "name": "test", "type": "portmap",
                "runtimeConfig": { "portMappings": [{ "hostPort": 80 }] },
                "prevResult": { "ips": [] },
            })
        );
    }

    #[test]
    fn versions_decide_what_is_called() {
        for (version, check, gc) in [
            ("0.3.1", false, false),
            ("0.4.0", true, false),
            ("1.1.0", true, true),
        ] {
            let network = Network::new(list(|list| list["cniVersion"] = json!(version))).unwrap();
            assert_eq!(
                (network.has_check(), network.has_garbage_collection()),
                (check, gc)
            );
        }
        let disabled = list(|list| {
            list["cniVersion"] = json!("1.1.0");
            list["disableCheck"] = json!(true);
            list["disableGC"] = json!("true");
        });
        let network = Network::new(disabled).unwrap();
        assert_eq!(
            (network.has_check(), network.has_garbage_collection()),
            (false, false)
        );
    }

    #[test]
    fn the_first_list_by_name_or_the_named_one() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, name: &str| {
            let text = list(|list| list["name"] = json!(name)).to_string();
            std::fs::write(dir.path().join(file), text).unwrap();
        };
        assert!(matches!(
            Network::load(dir.path(), None),
            Err(CniError::NoNetwork { .. })
        ));
        write("20-b.conflist", "b");
        write("10-a.conflist", "a");
        write("00-c.conf", "c");
        assert_eq!(Network::load(dir.path(), None).unwrap().name(), "a");
        assert_eq!(Network::load(dir.path(), Some("b")).unwrap().name(), "b");
        assert!(Network::load(dir.path(), Some("c")).is_err());
    }
}
