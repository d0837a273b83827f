//! The launcher: forks the keepers of groups. See `burstlet_sandbox::launcher`.

use std::process::ExitCode;

use dlmalloc::GlobalDlmalloc;

/// musl's own allocator asks the kernel for every handful of small things and gives them back at
/// once, which was a third of the system calls of a start.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> ExitCode {
    burstlet_sandbox::launcher::run(std::env::args_os().skip(1))
}
