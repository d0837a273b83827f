//! The unpacker's system calls, after it has confined itself and before it reads the layer.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Allowed whatever their arguments.
const ALLOWED: &[libc::c_long] = &[
    // The layer and the report.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    // The tree.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_unlinkat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fchmod,
    libc::SYS_utimensat,
    libc::SYS_fsetxattr,
    libc::SYS_fremovexattr,
    libc::SYS_flistxattr,
    libc::SYS_ftruncate,
    libc::SYS_lseek,
    libc::SYS_getdents64,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fcntl,
    // Memory and threads of our own.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Answered as an old kernel would, and the C library does without. The flags of `clone3` lie in
/// memory, where no filter sees them; `clone` does as well.
const UNKNOWN: &[libc::c_long] = &[libc::SYS_clone3, libc::SYS_ioctl];

/// Shuts every other system call; the process dies of one. Threads made later inherit it.
pub(crate) fn install() -> Result<(), String> {
    for program in programs()? {
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What is unknown, then what is allowed; the kernel takes the stricter answer.
fn programs() -> Result<[BpfProgram; 2], String> {
    let unknown = UNKNOWN.iter().map(|call| (*call, Vec::new())).collect();
    let answer = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let unknown = program(unknown, SeccompAction::Allow, answer)?;
    let mut rules: BTreeMap<_, _> = ALLOWED
        .iter()
        .chain(UNKNOWN)
        .map(|call| (*call, Vec::new()))
        .collect();
    // Threads and their names, not processes; memory, not code.
    let thread = libc::CLONE_THREAD.unsigned_abs().into();
    let executable = libc::PROT_EXEC.unsigned_abs().into();
    let name = libc::PR_SET_NAME.unsigned_abs().into();
    for (call, index, compare, value) in [
        (libc::SYS_clone, 0, SeccompCmpOp::MaskedEq(thread), thread),
        (libc::SYS_prctl, 0, SeccompCmpOp::Eq, name),
        (libc::SYS_mmap, 2, SeccompCmpOp::MaskedEq(executable), 0),
        (libc::SYS_mprotect, 2, SeccompCmpOp::MaskedEq(executable), 0),
    ] {
        rules.insert(call, vec![argument(index, compare, value)?]);
    }
    let allowed = program(rules, SeccompAction::KillProcess, SeccompAction::Allow)?;
    Ok([unknown, allowed])
}

fn argument(index: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, compare, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| error.to_string())
}

fn program(
    rules: BTreeMap<libc::c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    SeccompFilter::new(rules, otherwise, matched, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_and_stay_short() {
        let programs = programs().unwrap();
        assert!(ALLOWED.len() + UNKNOWN.len() + 4 <= 60);
        assert!(programs.iter().all(|program| program.len() < 400));
    }

    #[test]
    fn nothing_that_reaches_beyond_the_directory_is_allowed() {
        for call in [
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_kill,
            libc::SYS_tgkill,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_pidfd_getfd,
            libc::SYS_mount,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_fsopen,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_open_by_handle_at,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_keyctl,
        ] {
            assert!(!ALLOWED.contains(&call), "{call}");
        }
    }
}
