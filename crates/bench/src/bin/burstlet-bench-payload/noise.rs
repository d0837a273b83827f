//! A bad neighbour: takes all that it can get of everything at once, or of some of it, for as long as it
//! lives.

use std::fs::File;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::thread;

/// Threads that compute.
const COMPUTING: usize = 4;
/// Bytes that are taken and touched again and again.
const MEMORY_BYTES: usize = 64 << 20;
const PAGE_BYTES: usize = 4096;
/// The file that is written again and again, and how much of it before it must be on the disk.
const FILE: &str = "/noise";
const FILE_BYTES: usize = 64 << 20;
const SYNC_BYTES: usize = 4 << 20;
/// Bytes of a piece of the log.
const LOG_BYTES: usize = 64 << 10;
/// What can be taken, by name.
const PARTS: [(&str, fn()); 5] = [
    ("cpu", compute_much),
    ("memory", take_memory),
    ("disk", || while write_file().is_ok() {}),
    ("forks", || while fork().is_ok() {}),
    ("log", || while flood().is_ok() {}),
];

/// Takes what is named, or everything; does not end.
pub(crate) fn run(names: &[String]) -> io::Result<()> {
    for name in names {
        if !PARTS.iter().any(|(known, _)| known == name) {
            return Err(io::Error::other(format!("no such noise: {name}")));
        }
    }
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    for (_, part) in PARTS.iter().filter(|(name, _)| is_wanted(name)) {
        thread::spawn(part);
    }
    loop {
        thread::park();
    }
}

fn compute_much() {
    for _ in 0..COMPUTING {
        thread::spawn(compute);
    }
}

fn compute() {
    let mut number = 1_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
    }
}

fn take_memory() {
    loop {
        let mut taken = vec![0_u8; MEMORY_BYTES];
        taken
            .iter_mut()
            .step_by(PAGE_BYTES)
            .for_each(|byte| *byte = 1);
        std::hint::black_box(taken);
    }
}

fn write_file() -> io::Result<()> {
    let piece = vec![7_u8; SYNC_BYTES];
    let mut file = File::create(FILE)?;
    for _ in 0..FILE_BYTES / SYNC_BYTES {
        file.write_all(&piece)?;
        file.sync_data()?;
    }
    Ok(())
}

fn fork() -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("stamp")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.status().map(drop)
}

fn flood() -> io::Result<()> {
    let mut text = vec![b'x'; LOG_BYTES];
    text.iter_mut()
        .skip(127)
        .step_by(128)
        .for_each(|byte| *byte = b'\n');
    loop {
        io::stdout().write_all(&text)?;
    }
}
