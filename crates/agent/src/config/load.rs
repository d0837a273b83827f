//! From a file and the environment to a `Config`, or to one line that says what is wrong and where.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;

/// Why there is no configuration. The text is one line and names the place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("read the configuration {path}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file is not valid.
    #[error("{path}:{line}:{column}: {problem}")]
    File {
        path: PathBuf,
        line: usize,
        column: usize,
        problem: String,
    },
    /// A variable is not valid.
    #[error("environment variable {name}: {problem}")]
    Variable { name: String, problem: String },
    /// Values do not fit each other.
    #[error("configuration: {0}")]
    Combination(String),
}

const PREFIX: &str = "BURSTLET_";
/// Variables with the prefix that are not keys: read by the command lines themselves.
const NOT_KEYS: [&str; 7] = [
    "BURSTLET_ADDRESS",
    "BURSTLET_CONFIG",
    "BURSTLET_NAMESPACE",
    "BURSTLET_TLS_CA",
    "BURSTLET_TLS_CERT",
    "BURSTLET_TLS_KEY",
    "BURSTLET_TOKEN_FILE",
];
const SECTIONS: [&str; 15] = [
    "access",
    "admin",
    "api",
    "billing",
    "capacity",
    "images",
    "isolation",
    "kubernetes",
    "log",
    "logs",
    "network",
    "otlp",
    "policy",
    "processors",
    "sandbox",
];

/// Loads the configuration from `file`, if one is given, and `variables`.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub(crate) fn load(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut table = match file {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    let mut variables: Vec<_> = variables
        .filter(|(name, _)| name.starts_with(PREFIX) && !NOT_KEYS.contains(&name.as_str()))
        .collect();
    variables.sort();
    for (name, text) in &variables {
        let over = variable(name, text);
        let checked: Result<Config, _> = Value::Table(over.clone()).try_into();
        if let Err(error) = checked {
            return Err(ConfigError::Variable {
                name: name.clone(),
                problem: one_line(error.message()),
            });
        }
        merge(&mut table, over);
    }
    let config: Config = Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::Combination(one_line(error.message())))?;
    config.check().map_err(ConfigError::Combination)?;
    Ok(config)
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let located = |error: &toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start);
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ConfigError::File {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            problem: one_line(error.message()),
        }
    };
    toml::from_str::<Config>(&text).map_err(|error| located(&error))?;
    toml::from_str(&text).map_err(|error| located(&error))
}

/// `BURSTLET_NETWORK_SUBNET=10.0.0.0/16` as the table `[network] subnet = "10.0.0.0/16"`. The value
/// is read as TOML where it is TOML, else as a string.
fn variable(name: &str, text: &str) -> Table {
    let key = name[PREFIX.len()..].to_ascii_lowercase();
    let value = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()));
    let split = SECTIONS
        .into_iter()
        .find_map(|section| Some((section, key.strip_prefix(section)?.strip_prefix('_')?)));
    match split {
        Some((section, rest)) => {
            let inner = Table::from_iter([(rest.to_owned(), value)]);
            Table::from_iter([(section.to_owned(), Value::Table(inner))])
        }
        None => Table::from_iter([(key, value)]),
    }
}

fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
