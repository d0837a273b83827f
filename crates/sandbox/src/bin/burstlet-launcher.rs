//! The launcher: forks the keepers of groups. See `burstlet_sandbox::launcher`.

use std::process::ExitCode;

fn main() -> ExitCode {
    burstlet_sandbox::launcher::run(std::env::args_os().skip(1))
}
