//! What takes more than one look: watching how processes are made, moving paths about, and using
//! up what is counted for each user.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{InitFlags, Inotify};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::fs::{CWD, RenameFlags};

use crate::report::saw;

/// More than any kernel lets one user have unless it is told to.
const INSTANCES_MAX: usize = 65_536;

/// Looks at every process that appears, until a file does: whose program it runs, what it has
/// open, and whether its memory can be opened. Prints each thing seen once.
pub(crate) fn watch(until: &str) -> io::Result<()> {
    let own = std::process::id();
    let mut seen = BTreeSet::new();
    println!("watching");
    while !Path::new(until).exists() {
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.parse::<u32>().ok());
            if pid.is_some_and(|pid| pid != own) {
                look(&entry.path(), &mut |row, tried, what| {
                    if seen.insert((tried, what.clone())) {
                        saw(row, tried, what);
                    }
                });
            }
        }
    }
    saw("CTR-18", "watched", "to the end");
    Ok(())
}

/// One look at a process, by its directory in `/proc`.
fn look(process: &Path, note: &mut dyn FnMut(&'static str, &'static str, String)) {
    let program = || fs::read_link(process.join("exe")).ok();
    let before = program();
    let opened = fs::File::open(process.join("mem"));
    let after = program();
    // One that became another program meanwhile may have been opened before or after.
    if opened.is_ok() && before == after {
        let whose = before.map_or("a hidden process".to_owned(), |it| it.display().to_string());
        note("CTR-18", "memory opened of", whose);
    }
    if let Some(program) = after {
        note("CTR-01", "a program", program.display().to_string());
    }
    let open = fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten();
    for file in open.filter_map(|file| fs::read_link(file.path()).ok()) {
        note("CTR-02", "a descriptor", kind(&file));
    }
}

/// A descriptor's target without the number that tells it from others of its kind.
fn kind(target: &Path) -> String {
    let text = target.to_string_lossy();
    match text.split_once(":[") {
        Some((kind, _)) => kind.to_owned(),
        None => text.into_owned(),
    }
}

/// Makes a path a directory and a link in turn, for ever.
pub(crate) fn flip(path: &str, target: &str) -> io::Result<()> {
    let other = format!("{path}.other");
    fs::create_dir_all(path)?;
    std::os::unix::fs::symlink(target, &other)?;
    println!("flipping");
    loop {
        rustix::fs::renameat_with(CWD, path, CWD, &other, RenameFlags::EXCHANGE)?;
    }
}

/// Takes as many watchers of files as one user may have, and keeps what it got.
pub(crate) fn take_instances() -> io::Result<()> {
    // What is to run out is the user's, not the process's.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut taken = Vec::new();
    while taken.len() < INSTANCES_MAX {
        match Inotify::init(InitFlags::IN_CLOEXEC) {
            Ok(instance) => taken.push(instance),
            Err(Errno::EMFILE) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let some = if taken.is_empty() { "none" } else { "some" };
    saw("TEN-10", "take all watchers of files", some);
    while !taken.is_empty() {
        std::thread::park();
    }
    Ok(())
}
