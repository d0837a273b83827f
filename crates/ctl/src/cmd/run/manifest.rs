//! The flags of `run` as a group file.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::args::{Args, Network, Pull, Restart};
use super::{CONTAINER, values};
use crate::error::UsageError;
use crate::output::API_VERSION;

/// How long a group of `run --rm` stays after its end if nobody is there to remove it.
const RM_FALLBACK_SECONDS: u32 = 60;

/// The group that the flags ask for; `here` looks a variable up in this process's environment.
pub(super) fn manifest(
    args: &Args,
    namespace: &str,
    here: &dyn Fn(&str) -> Option<String>,
) -> Result<Value> {
    if args.rm && args.restart == Restart::Always {
        bail!(UsageError(
            "--rm and --restart=always exclude each other".to_owned()
        ));
    }
    Ok(json!({
        "apiVersion": API_VERSION,
        "kind": "ContainerGroup",
        "metadata": metadata(args, namespace)?,
        "spec": spec(args, here)?,
    }))
}

fn metadata(args: &Args, namespace: &str) -> Result<Value> {
    let mut metadata = Map::new();
    match &args.name {
        Some(name) => metadata.insert("name".into(), json!(name)),
        None => metadata.insert("generateName".into(), json!(name_prefix(&args.image))),
    };
    metadata.insert("namespace".into(), json!(namespace));
    for (key, flag, given) in [
        ("labels", "--label", &args.label),
        ("annotations", "--annotation", &args.annotation),
        ("tags", "--tag", &args.tag),
    ] {
        if !given.is_empty() {
            metadata.insert(key.into(), values::pairs(flag, given)?.into());
        }
    }
    Ok(metadata.into())
}

fn spec(args: &Args, here: &dyn Fn(&str) -> Option<String>) -> Result<Value> {
    let (volumes, mounts) = volumes(args)?;
    let restart_policy = match args.restart {
        Restart::No => "Never",
        Restart::OnFailure => "OnFailure",
        Restart::Always => "Always",
    };
    let mut spec = Map::new();
    spec.insert("containers".into(), json!([container(args, mounts, here)?]));
    spec.insert("restartPolicy".into(), json!(restart_policy));
    if !volumes.is_empty() {
        spec.insert("volumes".into(), volumes.into());
    }
    if args.rm {
        let seconds = if args.detach { 0 } else { RM_FALLBACK_SECONDS };
        spec.insert("ttlSecondsAfterFinished".into(), json!(seconds));
    }
    if let Some(seconds) = args.stop_timeout {
        spec.insert("terminationGracePeriodSeconds".into(), json!(seconds));
    }
    if let Some(priority) = args.priority {
        spec.insert("priority".into(), json!(priority));
    }
    if args.spot {
        spec.insert("scheduling".into(), json!("Spot"));
    }
    spec.extend(network(args)?);
    if !args.sysctl.is_empty() {
        let pairs = values::pairs("--sysctl", &args.sysctl)?;
        let one = |(name, value)| json!({"name": name, "value": value});
        let sysctls: Vec<Value> = pairs.into_iter().map(one).collect();
        spec.insert("securityContext".into(), json!({"sysctls": sysctls}));
    }
    Ok(spec.into())
}

fn network(args: &Args) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    match args.network {
        Some(Network::Namespace) => fields.insert("networkIsolation".into(), json!("Namespace")),
        Some(Network::Open) => fields.insert("networkIsolation".into(), json!("Open")),
        Some(Network::Host) => fields.insert("hostNetwork".into(), json!(true)),
        None => None,
    };
    if let Some(hostname) = &args.hostname {
        fields.insert("hostname".into(), json!(hostname));
    }
    if !args.dns.is_empty() {
        fields.insert("dnsConfig".into(), json!({"nameservers": args.dns}));
    }
    let alias = |entry: &String| match entry.split_once(':') {
        Some((name, ip)) => Ok(json!({"ip": ip, "hostnames": [name]})),
        None => bail!(UsageError(format!("--add-host {entry:?} is not NAME:IP"))),
    };
    if !args.add_host.is_empty() {
        let aliases = args
            .add_host
            .iter()
            .map(alias)
            .collect::<Result<Vec<_>>>()?;
        fields.insert("hostAliases".into(), aliases.into());
    }
    Ok(fields)
}

fn volumes(args: &Args) -> Result<(Vec<Value>, Vec<Value>)> {
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    let given = args.volume.iter().map(|text| (text, false));
    let in_memory = args.tmpfs.iter().map(|text| (text, true));
    for (at, (text, is_tmpfs)) in given.chain(in_memory).enumerate() {
        let name = format!("volume-{}", at + 1);
        let (volume, mount) = match is_tmpfs {
            true => values::tmpfs(&name, text)?,
            false => values::volume(&name, text)?,
        };
        volumes.push(volume);
        mounts.push(mount);
    }
    Ok((volumes, mounts))
}

fn container(
    args: &Args,
    mounts: Vec<Value>,
    here: &dyn Fn(&str) -> Option<String>,
) -> Result<Value> {
    let mut container = Map::new();
    let mut put = |key: &str, value: Value| container.insert(key.to_owned(), value);
    put("name", json!(CONTAINER));
    put("image", json!(args.image));
    put("imagePullPolicy", json!(pull_policy(args.pull)));
    for (key, words) in program(args) {
        put(key, words);
    }
    if let Some(dir) = &args.workdir {
        put("workingDir", json!(dir));
    }
    let lists = [
        ("env", env(args, here)?),
        ("ports", ports(args)?),
        ("volumeMounts", mounts),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        put(key, list.into());
    }
    let objects = [
        ("resources", resources(args)?),
        ("securityContext", security(args)?),
    ];
    for (key, object) in objects.into_iter().filter(|(_, object)| !object.is_empty()) {
        put(key, object.into());
    }
    for key in streams(args) {
        put(key, json!(true));
    }
    Ok(container.into())
}

const fn pull_policy(pull: Pull) -> &'static str {
    match pull {
        Pull::Always => "Always",
        Pull::Missing => "IfNotPresent",
        Pull::Never => "Never",
    }
}

/// The flags of the container's streams.
fn streams(args: &Args) -> impl Iterator<Item = &'static str> {
    let flags = [
        ("stdin", args.interactive),
        // Who leaves a terminal comes back to it; its end of input is a key.
        ("stdinOnce", args.interactive && !args.tty),
        ("tty", args.tty),
    ];
    flags
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(key, _)| key)
}

/// What runs: `command` replaces the image's entrypoint, `args` its command.
fn program(args: &Args) -> Vec<(&'static str, Value)> {
    let words: Vec<_> = args
        .command
        .iter()
        .map(|word| values::literal(word))
        .collect();
    match args.entrypoint.as_deref() {
        // An empty entrypoint leaves the command alone.
        Some("") => vec![("command", json!(words))],
        Some(program) => vec![
            ("command", json!([values::literal(program)])),
            ("args", json!(words)),
        ],
        None if words.is_empty() => Vec::new(),
        None => vec![("args", json!(words))],
    }
}

fn env(args: &Args, here: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Value>> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
    };
    let files = args.env_file.iter().map(read).collect::<Result<Vec<_>>>()?;
    let all = values::env(&files, &args.env, here)?;
    let one =
        |(name, value): (String, String)| json!({"name": name, "value": values::literal(&value)});
    Ok(all.into_iter().map(one).collect())
}

fn ports(args: &Args) -> Result<Vec<Value>> {
    args.publish.iter().map(|text| values::port(text)).collect()
}

fn resources(args: &Args) -> Result<Map<String, Value>> {
    let mut limits = Map::new();
    if let Some(cores) = &args.cpus {
        limits.insert("cpu".into(), json!(values::cores(cores)?));
    }
    if let Some(size) = &args.memory {
        limits.insert("memory".into(), json!(values::size("--memory", size)?));
    }
    if let Some(number) = args.pids_limit {
        limits.insert("pids".into(), json!(number.to_string()));
    }
    for text in &args.device {
        let (resource, number) = values::device(text)?;
        if limits.insert(resource, json!(number.to_string())).is_some() {
            let text = format!("--device {text:?} is of a resource that was given before");
            bail!(UsageError(text));
        }
    }
    let mut resources = Map::new();
    if !limits.is_empty() {
        resources.insert("limits".into(), limits.into());
    }
    Ok(resources)
}

fn security(args: &Args) -> Result<Map<String, Value>> {
    let mut security = Map::new();
    if let Some(user) = &args.user {
        let (uid, gid) = values::user(user)?;
        security.insert("runAsUser".into(), json!(uid));
        if let Some(gid) = gid {
            security.insert("runAsGroup".into(), json!(gid));
        }
    }
    if args.read_only {
        security.insert("readOnlyRootFilesystem".into(), json!(true));
    }
    if args.privileged {
        security.insert("privileged".into(), json!(true));
    }
    // Kubernetes leaves out the prefix that docker allows.
    let plain = |name: &String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_")
            .map_or(name.clone(), str::to_owned)
    };
    let mut capabilities = Map::new();
    for (key, names) in [("add", &args.cap_add), ("drop", &args.cap_drop)] {
        if !names.is_empty() {
            capabilities.insert(
                key.into(),
                names.iter().map(plain).collect::<Vec<_>>().into(),
            );
        }
    }
    if !capabilities.is_empty() {
        security.insert("capabilities".into(), capabilities.into());
    }
    Ok(security)
}

/// The last word of the image's name with a dash: `ghcr.io/team/web:1` gives `web-`.
fn name_prefix(image: &str) -> String {
    let path = image.split('@').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = last
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let word: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    match word.trim_matches('-') {
        "" => "run-".to_owned(),
        word => format!("{word}-"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
