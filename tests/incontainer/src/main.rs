//! What a hostile container tries. It runs inside a group, as root there, and prints for each row
//! of the table of attack classes (`docs/security.md`) what it tried and what it saw:
//!
//! ```text
//! ROW <tab> what was tried <tab> what was seen
//! ```
//!
//! It judges nothing: what may be seen is in the suite, outside. Nothing that it tries would harm
//! the machine if it succeeded.

mod calls;
mod cgroups;
mod files;
mod hold;
mod network;
mod peek;
mod race;
mod report;
mod start;
mod sys;

use std::process::ExitCode;

const USAGE: &str = "usage: burstlet-incontainer survey [ROW=WHAT=ADDRESS:PORT]... | watch FILE | \
                     flip LINK TARGET | instances | hear PORT | shout ADDRESS:PORT | old-interface | \
                     hold MEBIBYTES:MILLISECONDS... | peek PROCESS ADDRESS";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["survey", targets @ ..] => survey(targets),
        ["watch", until] => race::watch(until),
        ["flip", link, target] => race::flip(link, target),
        ["instances"] => race::take_instances(),
        ["hear", port] => network::hear(port),
        ["shout", to] => network::shout(to),
        ["hold", steps @ ..] => hold::hold(steps),
        ["peek", process, address] => peek::peek(process, address),
        [calls::OLD_INTERFACE] => {
            sys::call_by_old_interface();
            Ok(())
        }
        _ => Err(std::io::Error::other(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("burstlet-incontainer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tries everything once.
fn survey(targets: &[&str]) -> std::io::Result<()> {
    start::survey()?;
    calls::survey()?;
    files::survey()?;
    network::survey(targets)
}
