//! crun and runc on a prepared bundle: no image, no network, no daemon.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::command::Output;
use crate::engine::{Engine, MEMORY_LIMIT_BYTES, PAYLOAD, PIDS_LIMIT, Starter};
use crate::scratch::Scratch;

/// The capabilities that a container has by default; the seccomp profile's rules for others are
/// left out.
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A runtime with a bundle for each task.
pub(crate) struct Oci<'a> {
    program: &'static str,
    state: PathBuf,
    bundles: PathBuf,
    scratch: &'a Scratch,
}

impl<'a> Oci<'a> {
    /// Makes the bundles.
    pub(crate) fn new(
        program: &'static str,
        payload: &Path,
        profile: &Value,
        scratch: &'a Scratch,
    ) -> Result<Self> {
        let bundles = scratch.dir(program)?;
        let oci = Self {
            program,
            state: scratch.dir(&format!("{program}/state"))?,
            bundles,
            scratch,
        };
        for task in ["stamp", "sleep"] {
            let bundle = oci.bundles.join(task);
            let root = bundle.join("rootfs");
            std::fs::create_dir_all(&root).context("make a bundle")?;
            std::fs::copy(payload, root.join("payload")).context("copy the payload")?;
            let mut spec = oci.default_spec(&bundle)?;
            adjust(&mut spec, task, profile);
            std::fs::write(bundle.join("config.json"), spec.to_string())
                .context("write a bundle's configuration")?;
        }
        Ok(oci)
    }

    /// What the runtime itself proposes: namespaces, mounts, masked paths.
    fn default_spec(&self, bundle: &Path) -> Result<Value> {
        let mut spec = Command::new(self.program);
        self.output().of(spec.arg("spec").current_dir(bundle))?;
        let path = bundle.join("config.json");
        let text = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).context("parse the default specification")
    }

    fn output(&self) -> Output<'_> {
        Output::new(self.scratch.path())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg("--root").arg(&self.state);
        command
    }

    fn run(&self, task: &str) -> Command {
        let mut command = self.command();
        command
            .arg("run")
            .arg("--bundle")
            .arg(self.bundles.join(task));
        command
    }
}

impl Starter for Oci<'_> {
    fn label(&self) -> &'static str {
        match self.program {
            "crun" => "crun run (no address)",
            _ => "runc run (no address)",
        }
    }

    fn start(&self, name: &str) -> Result<Duration> {
        self.output().stamp(self.run("stamp").arg(name))
    }
}

impl Engine for Oci<'_> {
    fn hold(&self, name: &str) -> Result<()> {
        let output = self.output();
        output
            .of(self.run("sleep").arg("--detach").arg(name))
            .map(drop)
    }

    fn exec(&self, name: &str) -> Result<Duration> {
        let mut exec = self.command();
        self.output().stamp(exec.args(["exec", name, PAYLOAD]))
    }

    fn pid(&self, name: &str) -> Result<u32> {
        let state = self.output().of(self.command().args(["state", name]))?;
        let state: Value = serde_json::from_str(&state).context("parse a container's state")?;
        let pid = state["pid"].as_u64().context("the state has no pid")?;
        Ok(u32::try_from(pid)?)
    }

    fn release(&self, name: &str) -> Result<()> {
        let mut delete = self.command();
        self.output()
            .of(delete.args(["delete", "--force", name]))
            .map(drop)
    }
}

/// The same limits and the same filter as Burstlet's.
fn adjust(spec: &mut Value, task: &str, profile: &Value) {
    let process = &mut spec["process"];
    process["terminal"] = json!(false);
    process["args"] = json!([PAYLOAD, task]);
    process["noNewPrivileges"] = json!(true);
    // Raising limits needs a capability that a host may not have.
    process["rlimits"] = json!([]);
    for set in ["bounding", "effective", "permitted"] {
        process["capabilities"][set] = json!(CAPABILITIES);
    }
    spec["linux"]["seccomp"] = seccomp(profile);
    spec["linux"]["resources"] = json!({
        "memory": {"limit": MEMORY_LIMIT_BYTES},
        "cpu": {"quota": 100_000, "period": 100_000},
        "pids": {"limit": PIDS_LIMIT},
    });
}

/// A profile as the runtime specification has it: what holds for this machine and these
/// capabilities only. Rules that refuse are left to the default, since libseccomp takes no rule
/// for all calls beside one for some: what is allowed is the same, only an error's number differs.
fn seccomp(profile: &Value) -> Value {
    let native = match std::env::consts::ARCH {
        "aarch64" => "SCMP_ARCH_AARCH64",
        _ => "SCMP_ARCH_X86_64",
    };
    let rules = profile["syscalls"].as_array().into_iter().flatten();
    let applies = |rule: &&Value| {
        let mut needed = rule["includes"]["caps"].as_array().into_iter().flatten();
        rule["action"] == "SCMP_ACT_ALLOW"
            && needed.all(|cap| cap.as_str().is_some_and(|cap| CAPABILITIES.contains(&cap)))
    };
    let known = |rule: &Value| {
        let words = ["names", "action", "errnoRet", "args"];
        let kept = words.iter().filter_map(|word| {
            let value = rule.get(*word)?;
            Some(((*word).to_owned(), value.clone()))
        });
        Value::Object(kept.collect())
    };
    json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": [native],
        "syscalls": rules.filter(applies).map(known).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_keeps_what_applies() {
        let profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": [
                {"comment": "c", "names": ["read"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
                {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
                {"names": ["chroot"], "action": "SCMP_ACT_ALLOW",
                 "includes": {"caps": ["CAP_SYS_CHROOT"]}},
            ],
        });
        let made = seccomp(&profile);
        let allow = |name| json!({"names": [name], "action": "SCMP_ACT_ALLOW"});
        assert_eq!(made["syscalls"], json!([allow("read"), allow("chroot")]));
        assert_eq!(made["defaultErrnoRet"], 38);
        assert_eq!(made["architectures"].as_array().map(Vec::len), Some(1));
    }
}
