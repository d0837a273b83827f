//! The process that a container starts with, and those started in it later.

use std::collections::BTreeSet;
use std::path::PathBuf;

use burstlet_model::expand::expand;
use burstlet_model::spec::SupplementalGroupsPolicy;
use oci_spec::runtime::{
    PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, Spec, User as OciUser,
};

use crate::env::{self, Environment};
use crate::{BundleError, Inputs, capabilities, oom};

/// The largest id of a group that has a user namespace of its own.
const NAMESPACE_ID_MAX: u32 = 65_535;

/// What a later process is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCommand {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Whether its streams are a terminal.
    pub terminal: bool,
}

/// The first process.
pub(crate) fn first(inputs: &Inputs<'_>) -> Result<Process, BundleError> {
    let container = inputs.container;
    let environment = env::environment(inputs)?;
    let mut process = Process::default();
    process
        .set_terminal(Some(container.tty))
        .set_user(user(inputs)?)
        .set_args(Some(args(inputs, &environment)?))
        .set_env(Some(environment.entries()))
        .set_cwd(working_dir(inputs)?)
        .set_capabilities(Some(capabilities::sets(inputs)?))
        .set_rlimits(Some(vec![no_core_dumps()?]))
        .set_no_new_privileges((!container.security.allow_privilege_escalation).then_some(true))
        .set_oom_score_adj(Some(oom::score(inputs)));
    Ok(process)
}

/// A process in the running container of `spec`: the same user, rights, limits and directory as
/// the first one's; only the arguments and the terminal are its own.
///
/// # Errors
/// There is nothing to run, or a text has a NUL.
pub fn exec_process(spec: &Spec, command: &ExecCommand) -> Result<Process, BundleError> {
    let path = || "command".to_owned();
    if command.args.first().is_none_or(String::is_empty) {
        return Err(BundleError::NoCommand { path: path() });
    }
    if command.args.iter().any(|arg| arg.contains('\0')) {
        return Err(BundleError::Nul { path: path() });
    }
    let mut process = spec.process().clone().unwrap_or_default();
    let mut entries = process.env().clone().unwrap_or_default();
    if command.terminal && !entries.iter().any(|entry| entry.starts_with("TERM=")) {
        entries.push(env::TERM.to_owned());
    }
    process
        .set_args(Some(command.args.clone()))
        .set_env(Some(entries))
        .set_terminal(Some(command.terminal))
        .set_console_size(None);
    Ok(process)
}

/// Kubernetes' rule: a command replaces the image's entry point and its arguments too; arguments
/// replace the image's alone.
fn args(inputs: &Inputs<'_>, environment: &Environment) -> Result<Vec<String>, BundleError> {
    let (container, image) = (inputs.container, inputs.image);
    let expanded = |words: &[String]| -> Vec<String> {
        let known = |name: &str| environment.of_spec(name);
        words.iter().map(|word| expand(word, known).0).collect()
    };
    let mut args = if container.command.is_empty() {
        image.entrypoint.clone()
    } else {
        expanded(&container.command)
    };
    if !container.args.is_empty() {
        args.extend(expanded(&container.args));
    } else if container.command.is_empty() {
        args.extend_from_slice(&image.cmd);
    }
    let path = || inputs.path("command");
    if args.first().is_none_or(String::is_empty) {
        return Err(BundleError::NoCommand { path: path() });
    }
    if args.iter().any(|arg| arg.contains('\0')) {
        return Err(BundleError::Nul { path: path() });
    }
    Ok(args)
}

fn working_dir(inputs: &Inputs<'_>) -> Result<PathBuf, BundleError> {
    let text = match &inputs.container.working_dir {
        Some(dir) => dir.as_str(),
        None if inputs.image.working_dir.is_empty() => "/",
        None => inputs.image.working_dir.as_str(),
    };
    let path = || inputs.path("workingDir");
    if text.contains('\0') {
        return Err(BundleError::Nul { path: path() });
    }
    if !text.starts_with('/') {
        let text = text.to_owned();
        return Err(BundleError::NotAbsolute { path: path(), text });
    }
    Ok(PathBuf::from(text))
}

fn user(inputs: &Inputs<'_>) -> Result<OciUser, BundleError> {
    let (user, security) = (inputs.user, &inputs.group.security);
    let field = |name: &str| inputs.path(&format!("securityContext.{name}"));
    if inputs.container.security.run_as_non_root && user.uid == 0 {
        return Err(BundleError::Root {
            path: field("runAsNonRoot"),
        });
    }
    let mut groups: BTreeSet<u32> = security.supplemental_groups.iter().copied().collect();
    groups.extend(security.fs_group);
    if security.supplemental_groups_policy == SupplementalGroupsPolicy::Merge {
        groups.extend(&user.groups);
    }
    // The process's own group is in the list too, as other runtimes have it.
    groups.insert(user.gid);
    check_id(inputs, user.uid, || field("runAsUser"))?;
    for gid in &groups {
        check_id(inputs, *gid, || field("runAsGroup"))?;
    }
    let mut oci = OciUser::default();
    oci.set_uid(user.uid)
        .set_gid(user.gid)
        .set_additional_gids(Some(groups.into_iter().collect()));
    Ok(oci)
}

fn check_id(inputs: &Inputs<'_>, id: u32, path: impl Fn() -> String) -> Result<(), BundleError> {
    let max = if inputs.group.user_namespace {
        NAMESPACE_ID_MAX
    } else {
        // The last one means "no id" to the kernel.
        u32::MAX - 1
    };
    if id > max {
        return Err(BundleError::Id {
            path: path(),
            id,
            max,
        });
    }
    Ok(())
}

/// A core dump is written by the host, to wherever the host's pattern says.
fn no_core_dumps() -> Result<PosixRlimit, BundleError> {
    let limit = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitCore)
        .hard(0_u64)
        .soft(0_u64);
    Ok(limit.build()?)
}
