//! What the benchmarks run in a container: it says when it began, by a clock that host and
//! container share. Built as a static program, since the images hold nothing else.

mod noise;
mod requests;

use std::io::{self, BufWriter, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::time::{ClockId, clock_gettime};

/// Bytes of one log line, with its newline.
const LINE_BYTES: usize = 128;
/// Bytes written at once, as a C library buffers for a pipe.
const BUFFER_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    let began = now_ns();
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        None | Some("stamp") => writeln!(io::stdout(), "{began}"),
        Some("sleep") => sleep(began),
        Some("lines") => lines(args.next().and_then(|count| count.parse().ok())),
        Some("floor") => floor(),
        Some("requests") => requests::run(args.next().and_then(|count| count.parse().ok())),
        Some("noise") => noise::run(&args.collect::<Vec<_>>()),
        Some(other) => Err(io::Error::other(format!("no such task: {other}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payload: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Nanoseconds of the monotonic clock.
fn now_ns() -> u64 {
    let seconds_ns = 1_000_000_000;
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        now.tv_sec().cast_unsigned() * seconds_ns + now.tv_nsec().cast_unsigned()
    })
}

fn sleep(began: u64) -> io::Result<()> {
    writeln!(io::stdout(), "{began}")?;
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Writes lines to the standard output, then to the standard error how long it took.
fn lines(count: Option<u64>) -> io::Result<()> {
    let count = count.ok_or_else(|| io::Error::other("how many lines?"))?;
    let mut line = [b'x'; LINE_BYTES];
    line[LINE_BYTES - 1] = b'\n';
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    let began = now_ns();
    for _ in 0..count {
        out.write_all(&line)?;
    }
    out.flush()?;
    writeln!(io::stderr(), "{}", now_ns() - began)
}

/// The least that a container costs: new namespaces and a new program, nothing else. Prints when
/// the program began, then when that was asked for.
fn floor() -> io::Result<()> {
    let own = std::env::current_exe()?;
    let asked = now_ns();
    let six = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(six)?;
    let status = Command::new(own)
        .arg("stamp")
        .stdin(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("the program ended with {status}")));
    }
    writeln!(io::stdout(), "{asked}")
}
