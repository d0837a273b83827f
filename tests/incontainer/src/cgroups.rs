//! What there is to see of cgroups, and what of it can be changed.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::report::{list, outcome, saw};

const ROW: &str = "CTR-10";
const PLACE: &str = "/sys/fs/cgroup";
/// Files that list processes.
const LISTS: [&str; 3] = ["cgroup.procs", "cgroup.threads", "tasks"];

/// `mounts` are the mount points of cgroups with their roots.
pub(crate) fn survey(mounts: &[(&str, &str)]) -> io::Result<()> {
    let elsewhere = mounts.iter().map(|(place, _)| *place);
    let elsewhere: Vec<&str> = elsewhere
        .filter(|place| !Path::new(place).starts_with(PLACE))
        .collect();
    saw(ROW, "mounts of cgroups elsewhere", list(&elsewhere));
    let roots = mounts.iter().map(|(_, root)| (*root).to_owned());
    saw(ROW, "roots of the mounts of cgroups", distinct(roots));
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let own = own.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    saw(ROW, "own cgroups", distinct(own.map(str::to_owned)));

    let (files, directories) = walk(mounts)?;
    saw(ROW, "cgroups below its own", list(&directories));
    look_at(&files);
    saw(ROW, "limits that can be read", limits());
    let places = mounts.iter().map(|(place, _)| *place);
    try_to_change(&[PLACE].into_iter().chain(places).collect::<Vec<_>>());
    Ok(())
}

fn look_at(files: &[PathBuf]) {
    let named = |name: &str| {
        let those = files.iter().filter(|path| path.ends_with(name));
        those.cloned().collect::<Vec<PathBuf>>()
    };
    saw(
        ROW,
        "files that name a program to start",
        named("release_agent").len(),
    );
    let lists = LISTS.iter().flat_map(|name| named(name));
    let processes: Vec<String> = lists
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    let processes = processes.iter().flat_map(|text| text.lines());
    saw(
        ROW,
        "processes in cgroups",
        distinct(processes.map(str::to_owned)),
    );
    let opened = files
        .iter()
        .map(|path| outcome(OpenOptions::new().write(true).open(path)));
    saw(ROW, "open files of cgroups to write", distinct(opened));
}

fn try_to_change(places: &[&str]) {
    let none = None::<&str>;
    let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    let made = places
        .iter()
        .map(|place| outcome(fs::create_dir(Path::new(place).join("made"))));
    saw(ROW, "make a cgroup", distinct(made));
    let remounted = places
        .iter()
        .map(|place| outcome(mount(none, *place, none, again, none)));
    saw(ROW, "remount cgroups", distinct(remounted));
    let unmounted = places
        .iter()
        .map(|place| outcome(umount2(*place, MntFlags::MNT_DETACH)));
    saw(ROW, "unmount cgroups", distinct(unmounted));
}

/// All files of the mounts, and the directories in them.
fn walk(mounts: &[(&str, &str)]) -> io::Result<(Vec<PathBuf>, Vec<String>)> {
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for (place, _) in mounts {
        for entry in fs::read_dir(place)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path.display().to_string());
            } else {
                files.push(path);
            }
        }
    }
    Ok((files, directories))
}

/// How many of the places tell a limit of memory where programs look for it, on either version.
fn limits() -> usize {
    let places = ["memory.max", "memory/memory.limit_in_bytes"];
    let read = |name: &&str| fs::read_to_string(Path::new(PLACE).join(name)).is_ok();
    places.iter().filter(|name| read(name)).count()
}

fn distinct(words: impl Iterator<Item = String>) -> String {
    let words: BTreeSet<String> = words.collect();
    list(&words.into_iter().collect::<Vec<_>>())
}
