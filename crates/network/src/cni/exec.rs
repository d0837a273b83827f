//! Running one plugin: environment and input as the specification has them, output and time
//! bounded.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tracing::debug;

use super::CniError;

/// How long one plugin may take.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest answer that is read.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// How much of standard error is kept for the error's text.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;

/// What a plugin is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Add,
    Delete,
    Check,
    Gc,
}

impl Call {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Delete => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
        }
    }
}

/// A call with its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Invocation<'a> {
    pub(super) call: Call,
    pub(super) container: Option<&'a str>,
    pub(super) netns: Option<&'a str>,
    pub(super) interface: Option<&'a str>,
    pub(super) args: Option<&'a str>,
}

impl Invocation<'_> {
    /// A call that concerns no group.
    pub(super) const fn of_network(call: Call) -> Self {
        Self {
            call,
            container: None,
            netns: None,
            interface: None,
            args: None,
        }
    }

    fn environment(&self, bin_dirs: &[PathBuf]) -> Vec<(&'static str, String)> {
        let path: Vec<_> = bin_dirs
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        let mut environment = vec![
            ("PATH", crate::SYSTEM_PATH.to_owned()),
            ("CNI_COMMAND", self.call.as_str().to_owned()),
            ("CNI_PATH", path.join(":")),
        ];
        let optional = [
            ("CNI_CONTAINERID", self.container),
            ("CNI_NETNS", self.netns),
            ("CNI_IFNAME", self.interface),
            ("CNI_ARGS", self.args),
        ];
        environment.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?.to_owned()))),
        );
        environment
    }
}

/// Runs a plugin and returns its answer; `Null` where it has none to give.
pub(super) async fn run(
    bin_dirs: &[PathBuf],
    plugin: &Map<String, Value>,
    invocation: Invocation<'_>,
    input: &Map<String, Value>,
) -> Result<Value, CniError> {
    let program = find(bin_dirs, plugin)?;
    let name = name_of(plugin);
    debug!(
        plugin = name,
        command = invocation.call.as_str(),
        "running CNI plugin"
    );
    let failed = |source| CniError::Run {
        plugin: name.to_owned(),
        source,
    };
    let mut child = Command::new(program)
        .env_clear()
        .envs(invocation.environment(bin_dirs))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let input = Value::from(input.clone()).to_string();
    let output = timeout(PLUGIN_TIMEOUT, converse(&mut child, input.as_bytes()))
        .await
        .map_err(|_| CniError::Timeout {
            plugin: name.to_owned(),
            command: invocation.call.as_str(),
            seconds: PLUGIN_TIMEOUT.as_secs(),
        })?
        .map_err(failed)?;
    output.answer(name, invocation.call)
}

/// The plugin's file: the first directory that has one wins.
pub(super) fn find(bin_dirs: &[PathBuf], plugin: &Map<String, Value>) -> Result<PathBuf, CniError> {
    let name = name_of(plugin);
    bin_dirs
        .iter()
        .map(|dir| dir.join(name))
        .find(|path| Path::is_file(path))
        .ok_or_else(|| CniError::NoPlugin {
            plugin: name.to_owned(),
            dirs: bin_dirs.to_vec(),
        })
}

fn name_of(plugin: &Map<String, Value>) -> &str {
    plugin
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

struct Output {
    success: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Writes the input and reads both outputs at the same time, so that neither side waits for ever.
async fn converse(child: &mut Child, input: &[u8]) -> std::io::Result<Output> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A plugin that does not read its input says why by its answer.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), stdout, stderr) = tokio::join!(
        write,
        read(stdout, OUTPUT_BYTES_MAX),
        read(stderr, COMPLAINT_BYTES_MAX)
    );
    let success = child.wait().await?.success();
    Ok(Output {
        success,
        stdout: stdout?,
        stderr: stderr?,
    })
}

/// Reads up to `limit` bytes, and the rest without keeping it, so that the writer can end.
async fn read(from: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(limit).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

impl Output {
    fn answer(&self, plugin: &str, call: Call) -> Result<Value, CniError> {
        let parsed = serde_json::from_slice::<Value>(&self.stdout);
        if self.success {
            return match (call, parsed) {
                (Call::Add, Ok(value @ Value::Object(_))) => Ok(value),
                (Call::Add, _) => Err(CniError::BadAnswer {
                    plugin: plugin.to_owned(),
                    problem: "the answer to ADD is not a JSON object".to_owned(),
                }),
                _ => Ok(Value::Null),
            };
        }
        let error = parsed.unwrap_or_default();
        let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
        let complaint = String::from_utf8_lossy(&self.stderr);
        let message = match (text("msg"), text("details")) {
            ("", _) => complaint.trim().to_owned(),
            (message, "") => message.to_owned(),
            (message, details) => format!("{message}: {details}"),
        };
        Err(CniError::Plugin {
            plugin: plugin.to_owned(),
            command: call.as_str(),
            code: error.get("code").and_then(Value::as_u64).unwrap_or(0),
            message,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use burstlet_model::ErrorKind;
    use serde_json::json;

    use super::*;

    /// Runs a plugin that is a shell script.
    async fn script(call: Call, text: &str) -> Result<Value, CniError> {
        // A process forked meanwhile would hold the script open for writing: "text file busy".
        static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plugin");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let plugin = Map::from_iter([("type".to_owned(), json!("plugin"))]);
        let invocation = Invocation {
            call,
            container: Some("uid-1"),
            netns: Some("/proc/1/fd/3"),
            interface: Some("eth0"),
            args: Some("A=b"),
        };
        let input = Map::from_iter([("key".to_owned(), json!("value"))]);
        run(
            &[PathBuf::from("/nonexistent"), dir.path().to_owned()],
            &plugin,
            invocation,
            &input,
        )
        .await
    }

    #[tokio::test]
    async fn parameters_and_input_reach_the_plugin() {
        let answer = script(
            Call::Add,
            r#"printf '{"env":"%s","in":%s}' "$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS" "$(cat)""#,
        );
        let expected =
            json!({ "env": "ADD uid-1 /proc/1/fd/3 eth0 A=b", "in": { "key": "value" } });
        assert_eq!(answer.await.unwrap(), expected);
    }

    #[tokio::test]
    async fn errors_are_decoded() {
        let error = script(
            Call::Check,
            r#"echo '{"cniVersion":"1.0.0","code":11,"msg":"busy","details":"soon"}'; exit 1"#,
        );
        let error = error.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(
            error.to_string(),
            "CNI plugin plugin failed to CHECK: busy: soon (code 11)"
        );
        let error = script(Call::Delete, "echo out of luck >&2; exit 3")
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "CNI plugin plugin failed to DEL: out of luck (code 0)"
        );
    }

    #[tokio::test]
    async fn answers_are_checked_and_bounded() {
        assert_eq!(script(Call::Delete, "").await.unwrap(), Value::Null);
        let nothing = script(Call::Add, "exit 0").await.unwrap_err();
        assert!(matches!(nothing, CniError::BadAnswer { .. }), "{nothing}");
        let endless = script(Call::Add, "head -c 3000000 /dev/zero")
            .await
            .unwrap_err();
        assert!(matches!(endless, CniError::BadAnswer { .. }), "{endless}");
    }

    #[tokio::test]
    async fn a_missing_plugin_is_named() {
        let plugin = Map::from_iter([("type".to_owned(), json!("absent"))]);
        let dirs = [PathBuf::from("/nonexistent")];
        let invocation = Invocation::of_network(Call::Gc);
        let error = run(&dirs, &plugin, invocation, &Map::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    }
}
