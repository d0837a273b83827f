//! The program `burstlet-unpack`: started by the agent, it leaves all namespaces and starts itself
//! again as the first process of a new pid namespace, which does the work.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode};
use std::thread;

use super::apply::Applier;
use super::confine::{failed, leave_namespaces, shut_in};
use super::decode::LayerStream;
use super::fault::LayerFault;
use super::limits::Budget;
use super::protocol::{
    GO, HELLO, JOB_BYTES_MAX, Job, Marks, Outcome, PROTOCOL_VERSION, Report, line, parse,
};
use super::tar::Reader;
use super::{Unpacked, seccomp};

/// How the second process knows that it is one.
const CONFINED: &str = "confined";
/// The unpacker's exit code when the agent has gone away.
const ABANDONED: i32 = 3;

/// The whole program. Standard input is the blob, standard output the agent's socket, the working
/// directory the one to fill.
#[must_use]
pub fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some(CONFINED) => work(),
        _ => start(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("burstlet-unpack: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The first process.
fn start() -> io::Result<ExitCode> {
    leave_namespaces()?;
    let mut channel = duplicate(io::stdout())?;
    channel.write_all(HELLO)?;
    let mut go = [0];
    channel.read_exact(&mut go)?;
    if go != [GO] {
        return Err(io::Error::other("the agent's answer is not understood"));
    }
    let status = Command::new("/proc/self/exe")
        .arg(CONFINED)
        .env_clear()
        .status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The second process.
fn work() -> io::Result<ExitCode> {
    let mut channel = duplicate(io::stdout())?;
    let mut request = Vec::new();
    let mut bounded = BufReader::new(channel.try_clone()?).take(JOB_BYTES_MAX);
    bounded.read_until(b'\n', &mut request)?;
    let job: Job = parse(&request).map_err(io::Error::other)?;
    if job.version != PROTOCOL_VERSION {
        return Err(io::Error::other("the agent speaks another version"));
    }
    let outcome = match unpack(&job, &channel) {
        Ok((unpacked, marks)) => Outcome::Done { unpacked, marks },
        Err(fault) => Outcome::Refused(fault),
    };
    channel.write_all(&line(&Report {
        version: PROTOCOL_VERSION,
        outcome,
    })?)?;
    Ok(ExitCode::SUCCESS)
}

fn unpack(job: &Job, channel: &File) -> Result<(Unpacked, Marks), LayerFault> {
    let root = shut_in(job.limits.logical_bytes)?;
    seccomp::install().map_err(|error| failed("limit the system calls", error))?;
    let watched = channel
        .try_clone()
        .map_err(|error| failed("watch the agent", error))?;
    end_with(watched).map_err(|error| failed("watch the agent", error))?;
    let blob = duplicate(io::stdin()).map_err(|error| failed("open the blob", error))?;
    let stream = LayerStream::start(blob, job.packing, job.limits)
        .map_err(|error| failed("start to decompress", error))?;
    let mut reader = Reader::new(stream);
    let applier = Applier::new(root, Budget::new(job.limits), job.devices);
    let made = applier.run(&mut reader)?;
    let actual = reader.into_source().digest();
    if actual != job.diff_id {
        return Err(LayerFault::DiffId {
            expected: job.diff_id.clone(),
            actual,
        });
    }
    Ok(made)
}

/// Ends this process once the agent's side of the channel is closed: nobody waits for the tree.
fn end_with(mut agent: File) -> io::Result<()> {
    let watch = move || {
        let mut nothing = [0];
        while !matches!(agent.read(&mut nothing), Ok(0) | Err(_)) {}
        std::process::exit(ABANDONED);
    };
    thread::Builder::new()
        .name("watch".to_owned())
        .spawn(watch)?;
    Ok(())
}

/// A descriptor as a plain file, which reads and writes without the buffers and locks of the
/// standard streams.
fn duplicate(stream: impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}
