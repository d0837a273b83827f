//! The OCI spec that libcontainer is given: the plan's, with all that the keeper decides filled in.
//! Pure.

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, MountBuilder, Process, Spec,
};

use super::capabilities;
use super::cgroups::Wish;
use crate::plan::MountPlan;
use crate::protocol::{Failure, FailureClass};

/// A process without this variable would make libcontainer look its user up in the image.
const HOME: &str = "HOME=/";

/// What the keeper decides about one container's spec.
pub(super) struct Decided<'a> {
    /// Where the root file system is mounted.
    pub(super) root: &'a Path,
    /// Namespaces to join, by their OCI names, as this process's descriptors.
    pub(super) joined: Vec<(&'static str, RawFd)>,
    /// Whether the group has a network of its own, or the host's.
    pub(super) own_network: bool,
    /// The plan's mounts with where each was staged.
    pub(super) mounts: Vec<(&'a MountPlan, PathBuf)>,
    /// Whether a seccomp program will be loaded.
    pub(super) seccomp: bool,
}

/// A spec that can be run, and what was taken out of it to be done elsewhere.
#[derive(Debug)]
pub(super) struct Bundle {
    /// The spec for libcontainer.
    pub(super) spec: Spec,
    /// The container's first process as it was asked for.
    pub(super) process: Process,
    /// The score that the starter sets before anything else.
    pub(super) oom_score_adj: Option<i32>,
    /// How the container is shown its cgroup, which is not libcontainer's to do.
    pub(super) cgroups: Option<Wish>,
}

/// Fills in what the keeper decides.
///
/// # Errors
/// The spec says something that is not its to say, or lacks its process.
pub(super) fn prepare(mut spec: Spec, decided: &Decided<'_>) -> Result<Bundle, Failure> {
    refuse_foreign(&spec)?;
    let mut process = spec
        .process()
        .clone()
        .ok_or_else(|| invalid("it has no process"))?;
    complete(&mut process);
    let oom_score_adj = process.oom_score_adj();
    process.set_oom_score_adj(None);
    let mut given = process.clone();
    if decided.seccomp && process.no_new_privileges() != Some(true) {
        let wanted = process
            .capabilities()
            .clone()
            .unwrap_or_else(capabilities::none);
        given.set_capabilities(Some(capabilities::with_room_for_seccomp(&wanted)));
    }
    spec.set_process(Some(given));
    spec.set_hostname(None).set_domainname(None);
    let mut root = spec.root().clone().unwrap_or_default();
    root.set_path(decided.root.to_owned());
    spec.set_root(Some(root));
    let mut linux = spec.linux().clone().unwrap_or_default();
    linux.set_namespaces(Some(namespaces(decided)?));
    linux
        .set_resources(None)
        .set_seccomp(None)
        .set_cgroups_path(None)
        .set_sysctl(None);
    linux.set_uid_mappings(None).set_gid_mappings(None);
    spec.set_linux(Some(linux));
    let (mounts, cgroups) = mounts(&spec, decided)?;
    spec.set_mounts(Some(mounts));
    Ok(Bundle {
        spec,
        process,
        oom_score_adj,
        cgroups,
    })
}

/// Makes a process's description explicit where a default would be somebody else's.
pub(super) fn complete(process: &mut Process) {
    let mut env = process.env().clone().unwrap_or_default();
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push(HOME.to_owned());
    }
    process.set_env(Some(env));
    if process.capabilities().is_none() {
        process.set_capabilities(Some(capabilities::none()));
    }
    // `Some(false)` changes the order of steps in libcontainer; absent says the same.
    if process.no_new_privileges() == Some(false) {
        process.set_no_new_privileges(None);
    }
}

fn invalid(what: &str) -> Failure {
    Failure::new(
        FailureClass::Invalid,
        format!("the OCI spec is refused: {what}"),
    )
}

/// What the OCI spec must leave to others: silently dropping it would be to fail open.
fn refuse_foreign(spec: &Spec) -> Result<(), Failure> {
    if spec.hooks().is_some() {
        return Err(invalid("hooks run as root on the host"));
    }
    let Some(linux) = spec.linux() else {
        return Ok(());
    };
    let taken = [
        (
            linux.seccomp().is_some(),
            "the seccomp program comes compiled, beside the spec",
        ),
        (
            linux.cgroups_path().is_some(),
            "the cgroup comes beside the spec",
        ),
        (
            linux.sysctl().as_ref().is_some_and(|s| !s.is_empty()),
            "sysctls are the group's",
        ),
        (
            linux.uid_mappings().as_ref().is_some_and(|m| !m.is_empty()),
            "ids are the group's",
        ),
        (
            linux.gid_mappings().as_ref().is_some_and(|m| !m.is_empty()),
            "ids are the group's",
        ),
    ];
    taken
        .iter()
        .find(|(present, _)| *present)
        .map_or(Ok(()), |(_, why)| Err(invalid(why)))
}

fn namespaces(decided: &Decided<'_>) -> Result<Vec<LinuxNamespace>, Failure> {
    let path = |name: &str| {
        let fd = decided.joined.iter().find(|(joined, _)| *joined == name)?.1;
        Some(PathBuf::from(format!("/proc/self/fd/{fd}")))
    };
    let kinds = [
        ("user", LinuxNamespaceType::User),
        ("pid", LinuxNamespaceType::Pid),
        ("ipc", LinuxNamespaceType::Ipc),
        ("uts", LinuxNamespaceType::Uts),
        ("net", LinuxNamespaceType::Network),
        ("mnt", LinuxNamespaceType::Mount),
        ("cgroup", LinuxNamespaceType::Cgroup),
    ];
    let wanted = kinds.into_iter().filter(|(name, _)| match *name {
        "user" => path("user").is_some(),
        "net" => decided.own_network,
        _ => true,
    });
    wanted
        .map(|(name, typ)| {
            let builder = LinuxNamespaceBuilder::default().typ(typ);
            let builder = match path(name) {
                Some(path) => builder.path(path),
                None => builder,
            };
            builder.build().map_err(|error| invalid(&error.to_string()))
        })
        .collect()
}

/// The spec's mounts and the plan's, without that of cgroups.
fn mounts(spec: &Spec, decided: &Decided<'_>) -> Result<(Vec<Mount>, Option<Wish>), Failure> {
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    let cgroups = Wish::take(&mut mounts)?;
    for (plan, staged) in &decided.mounts {
        mounts.push(bind(plan, staged)?);
    }
    Ok((mounts, cgroups))
}

fn bind(plan: &MountPlan, staged: &Path) -> Result<Mount, Failure> {
    let mut options = vec!["rbind".to_owned()];
    if !plan
        .options
        .iter()
        .any(|o| o.ends_with("private") || o.ends_with("slave") || o.ends_with("shared"))
    {
        options.push("rprivate".to_owned());
    }
    options.extend(plan.options.iter().cloned());
    options.push(if plan.read_only { "ro" } else { "rw" }.to_owned());
    MountBuilder::default()
        .destination(&plan.destination)
        .typ("bind")
        .source(staged)
        .options(options)
        .build()
        .map_err(|error| invalid(&error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
