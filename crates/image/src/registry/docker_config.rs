//! Docker's `config.json`: credentials in the file, and helper programs that know them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burstlet_model::{ErrorKind, Secret};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::credentials::read_bounded;
use super::{Credentials, RegistryCredentials, RegistryHost};

/// The largest `config.json` that is read.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// A helper that has not answered by then is killed.
const HELPER_DEADLINE: Duration = Duration::from_secs(10);
const HELPER_OUTPUT_BYTES_MAX: u64 = 64 << 10;
/// What Docker calls its own hub in this file.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// The user name by which a helper says that its secret is a refresh token.
const TOKEN_USERNAME: &str = "<token>";

/// Why docker's configuration gives no credentials. No text of it is shown: it holds secrets.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DockerConfigError {
    /// The file cannot be read.
    #[error("read docker's configuration {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// The file is not what docker writes.
    #[error("docker's configuration is malformed: {0}")]
    Malformed(String),
    /// A helper failed.
    #[error("the credential helper docker-credential-{name} failed: {problem}")]
    Helper {
        /// The helper's short name.
        name: String,
        /// What happened.
        problem: String,
    },
}

impl DockerConfigError {
    /// The class of the failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed(_) => ErrorKind::Invalid,
            Self::Read { .. } | Self::Helper { .. } => ErrorKind::FailedPrecondition,
        }
    }
}

/// A parsed `config.json`.
#[derive(Debug)]
pub(super) struct DockerConfig {
    entries: Vec<RegistryCredentials>,
    helpers: BTreeMap<String, String>,
    default_helper: Option<String>,
}

/// Reads the credentials written in a `config.json` that came with a request (a pull secret).
/// Helpers that it names are not run: they are programs of this machine.
///
/// # Errors
/// The text is not what docker writes.
pub fn parse_pull_secret(text: &str) -> Result<Vec<RegistryCredentials>, DockerConfigError> {
    DockerConfig::parse(text).map(|config| config.entries)
}

impl DockerConfig {
    pub(super) fn load(path: &Path) -> Result<Self, DockerConfigError> {
        let text =
            read_bounded(path, CONFIG_BYTES_MAX).map_err(|error| DockerConfigError::Read {
                path: path.display().to_string(),
                source: Arc::new(error),
            })?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, DockerConfigError> {
        // serde_json's text could quote a secret; its place is enough.
        let raw: RawConfig = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            DockerConfigError::Malformed(place)
        })?;
        let mut entries = Vec::new();
        for (key, entry) in raw.auths {
            let Some(registry) = registry_of(&key) else {
                continue;
            };
            if let Some(credentials) = entry.credentials(&key)? {
                entries.push(RegistryCredentials {
                    registry,
                    credentials,
                });
            }
        }
        let default_helper = raw.creds_store.filter(|name| !name.is_empty());
        Ok(Self {
            entries,
            helpers: raw.cred_helpers,
            default_helper,
        })
    }

    /// The credentials for `host`: of its own helper, of the default helper, or of the file.
    pub(super) async fn credentials(
        &self,
        host: &RegistryHost,
    ) -> Result<Option<Credentials>, DockerConfigError> {
        let own = self
            .helpers
            .iter()
            .find(|(key, _)| registry_of(key).as_ref() == Some(host));
        if let Some((key, name)) = own {
            return ask_helper(name, key).await;
        }
        if let Some(name) = &self.default_helper {
            let key = if host.as_str() == "docker.io" {
                DOCKER_HUB_KEY
            } else {
                host.as_str()
            };
            if let Some(credentials) = ask_helper(name, key).await? {
                return Ok(Some(credentials));
            }
        }
        let entry = self.entries.iter().find(|entry| entry.registry == *host);
        Ok(entry.map(|entry| entry.credentials.clone()))
    }
}

/// The registry that a key of the file means; none for what is not a registry.
fn registry_of(key: &str) -> Option<RegistryHost> {
    let bare = key
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or(bare);
    let host = if matches!(host, "index.docker.io" | "registry-1.docker.io") {
        "docker.io"
    } else {
        host
    };
    host.parse().ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawConfig {
    #[serde(default)]
    auths: BTreeMap<String, RawEntry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

impl RawEntry {
    fn credentials(self, key: &str) -> Result<Option<Credentials>, DockerConfigError> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credentials::RegistryToken(Secret::new(
                self.registrytoken,
            ))));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credentials::IdentityToken(Secret::new(
                self.identitytoken,
            ))));
        }
        let (username, password) = if self.auth.is_empty() {
            (self.username, self.password)
        } else {
            decode_auth(&self.auth)
                .ok_or_else(|| DockerConfigError::Malformed(format!("auth of {key:?}")))?
        };
        let password = Secret::new(password);
        Ok((!username.is_empty()).then_some(Credentials::Basic { username, password }))
    }
}

/// `auth` is `user:password` in base64; old versions of docker padded the password with NUL.
fn decode_auth(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.trim_matches('\0').to_owned()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Runs `docker-credential-NAME get`, with nothing of our environment but where programs are.
async fn ask_helper(name: &str, key: &str) -> Result<Option<Credentials>, DockerConfigError> {
    let failed = |problem: String| DockerConfigError::Helper {
        name: name.to_owned(),
        problem,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(failed("its name is not one of a program".to_owned()));
    }
    let answered = timeout(HELPER_DEADLINE, run_helper(name, key)).await;
    let (success, output) = answered
        .map_err(|_| failed(format!("no answer within {} s", HELPER_DEADLINE.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if output.len() as u64 > HELPER_OUTPUT_BYTES_MAX {
        return Err(failed(format!(
            "more than {HELPER_OUTPUT_BYTES_MAX} bytes of output"
        )));
    }
    if !success {
        // The protocol's only way to say "I have none".
        let none = String::from_utf8_lossy(&output).contains("credentials not found");
        return if none {
            Ok(None)
        } else {
            Err(failed("it exited with an error".to_owned()))
        };
    }
    let answer: HelperAnswer = serde_json::from_slice(&output)
        .map_err(|_| failed("its output is not what the protocol says".to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(if answer.username == TOKEN_USERNAME {
        Credentials::IdentityToken(secret)
    } else {
        Credentials::Basic {
            username: answer.username,
            password: secret,
        }
    }))
}

async fn run_helper(name: &str, key: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut command = Command::new(format!("docker-credential-{name}"));
    command.arg("get").env_clear().kill_on_drop(true);
    for variable in ["PATH", "HOME"] {
        command.envs(std::env::var_os(variable).map(|value| (variable, value)));
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read is no failure of its own.
        let _ = stdin.write_all(key.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(HELPER_OUTPUT_BYTES_MAX + 1)
            .read_to_end(&mut output)
            .await?;
    }
    if output.len() as u64 > HELPER_OUTPUT_BYTES_MAX {
        child.kill().await?;
    }
    Ok((child.wait().await?.success(), output))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn host(text: &str) -> RegistryHost {
        text.parse().unwrap()
    }

    fn basic(username: &str, password: &str) -> Credentials {
        let password = Secret::new(password.to_owned());
        Credentials::Basic {
            username: username.to_owned(),
            password,
        }
    }

    #[test]
    fn entries_in_all_their_forms() {
        let text = format!(
            r#"{{"auths": {{
                "https://index.docker.io/v1/": {{"auth": "{}"}},
                "r.io:5000": {{"username": "u", "password": "p:q"}},
                "https://t.io/v2/": {{"identitytoken": "refresh"}},
                "b.io": {{"registrytoken": "bearer"}},
                "empty.io": {{}},
                "not a host": {{"username": "u"}}
            }}, "HttpHeaders": {{}}}}"#,
            STANDARD.encode("me:pa:ss")
        );
        let entries = parse_pull_secret(&text).unwrap();
        let find = |name: &str| {
            let entry = entries.iter().find(|entry| entry.registry == host(name));
            entry.map(|entry| entry.credentials.clone())
        };
        assert_eq!(find("docker.io"), Some(basic("me", "pa:ss")));
        assert_eq!(find("r.io:5000"), Some(basic("u", "p:q")));
        assert_eq!(
            find("t.io"),
            Some(Credentials::IdentityToken(Secret::new("refresh".into())))
        );
        assert_eq!(
            find("b.io"),
            Some(Credentials::RegistryToken(Secret::new("bearer".into())))
        );
        assert_eq!(find("empty.io"), None);
        assert_eq!(entries.len(), 4);
    }

    #[test]
    fn an_error_shows_no_secret() {
        for text in [
            r#"{"auths": {"r.io": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"r.io": {"auth": "!secret!"}}}"#,
            r#"{"auths": {"r.io": {"auth": 5, "password": "secret"}}}"#,
            r#"{"auths": "secret"}"#,
        ] {
            let error = parse_pull_secret(text).unwrap_err();
            assert!(
                !format!("{error:?}").to_lowercase().contains("c2vj"),
                "{error}"
            );
            assert!(!format!("{error:?}").contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_helper_with_an_odd_name_is_not_run() {
        for name in ["", "../x", "a b", "x/y", "$(id)"] {
            assert!(ask_helper(name, "r.io").await.is_err(), "{name}");
        }
        let absent = ask_helper("burstlet-no-such-helper", "r.io")
            .await
            .unwrap_err();
        assert!(
            absent
                .to_string()
                .contains("docker-credential-burstlet-no-such-helper"),
            "{absent}"
        );
    }
}
