//! What there is of files, devices and mounts, and what can be done to them.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, major, makedev, minor, mknod};
use rustix::fs::{PROC_SUPER_MAGIC, statfs};

use crate::cgroups;
use crate::report::{list, outcome, saw};

/// Paths that tell of the host or of others' work, or lead to hardware.
const HIDDEN: &[(&str, &str)] = &[
    ("CTR-03", "/proc/acpi"),
    ("CTR-03", "/proc/asound"),
    ("CTR-03", "/proc/interrupts"),
    ("CTR-03", "/proc/kcore"),
    ("CTR-03", "/proc/latency_stats"),
    ("CTR-03", "/proc/sched_debug"),
    ("CTR-03", "/proc/scsi"),
    ("CTR-03", "/proc/timer_list"),
    ("CTR-03", "/proc/timer_stats"),
    ("CTR-03", "/sys/firmware"),
    ("CTR-17", "/proc/keys"),
    ("CTR-29", "/sys/fs/bpf"),
    ("CTR-29", "/sys/kernel/debug"),
    ("CTR-29", "/sys/kernel/security"),
    ("CTR-29", "/sys/kernel/tracing"),
    ("TEN-07", "/sys/devices/virtual/powercap"),
    ("TEN-07", "/sys/devices/system/cpu/cpu0/thermal_throttle"),
];

/// Files by which the host is changed.
const GUARDED: &[(&str, &str)] = &[
    ("CTR-03", "/proc/irq/default_smp_affinity"),
    ("CTR-03", "/proc/sysrq-trigger"),
    ("CTR-09", "/proc/sys/kernel/panic"),
    ("CTR-09", "/proc/sys/kernel/modprobe"),
    ("CTR-09", "/proc/sys/vm/swappiness"),
    ("CTR-09", "/proc/sys/net/ipv4/ip_forward"),
    ("CTR-11", "/proc/sys/kernel/core_pattern"),
    ("CTR-29", "/sys/kernel/uevent_helper"),
    ("CTR-29", "/sys/kernel/mm/transparent_hugepage/enabled"),
    ("CTR-29", "/sys/power/state"),
];

/// Files that tell of the kernel's memory, or of the host's log.
const TELLING: &[&str] = &[
    "/dev/kmsg",
    "/dev/mem",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/slabinfo",
    "/proc/vmallocinfo",
];

pub(crate) fn survey() -> io::Result<()> {
    for (row, path) in HIDDEN {
        saw(row, &format!("look at {path}"), look(Path::new(path)));
    }
    for (row, path) in GUARDED {
        let opened = OpenOptions::new().write(true).open(path);
        saw(row, &format!("open {path} to write"), outcome(opened));
    }
    for path in TELLING {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let seen = match look(Path::new(path)) {
            hidden @ "the null device" => hidden.to_owned(),
            _ => outcome(options.open(path)),
        };
        saw("CTR-29", &format!("open {path}"), seen);
    }
    for path in ["/proc", "/proc/sys/kernel", "/proc/self/attr/current"] {
        let is_proc = statfs(path).is_ok_and(|it| it.f_type == PROC_SUPER_MAGIC);
        saw("CTR-05", &format!("{path} is of proc"), is_proc);
    }
    let processes = names("/proc", |name| name.bytes().all(|b| b.is_ascii_digit()))?;
    saw("CTR-29", "processes", list(&processes));
    let exe = fs::read_link("/proc/1/exe")?;
    saw("CTR-01", "the first process's program", exe.display());
    devices()?;
    mounts()
}

/// What a hidden path shows.
fn look(path: &Path) -> &'static str {
    let Ok(metadata) = fs::metadata(path) else {
        return "nothing";
    };
    if metadata.is_dir() {
        let empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        return if empty { "nothing" } else { "a directory" };
    }
    let null = metadata.file_type().is_char_device() && metadata.rdev() == makedev(1, 3);
    if null { "the null device" } else { "a file" }
}

fn names(directory: &str, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if wanted(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn devices() -> io::Result<()> {
    saw("CTR-04", "entries of /dev", list(&names("/dev", |_| true)?));
    for name in ["full", "null", "random", "tty", "urandom", "zero"] {
        let number = fs::metadata(format!("/dev/{name}"))?.rdev();
        let number = format!("{}:{}", major(number), minor(number));
        saw("CTR-04", &format!("the number of /dev/{name}"), number);
    }
    let own = fs::metadata("/proc/self/fd/0")?;
    let console = match fs::symlink_metadata("/dev/console") {
        Err(_) => "none",
        Ok(it) if !it.file_type().is_char_device() => "no device",
        Ok(it) if it.rdev() == own.rdev() => "the own terminal",
        Ok(_) => "another device",
    };
    saw("CTR-04", "the console", console);
    for (what, kind, number) in [
        ("make memory's device", SFlag::S_IFCHR, makedev(1, 1)),
        ("make a disk's device", SFlag::S_IFBLK, makedev(8, 0)),
        (
            "make the kernel log's device",
            SFlag::S_IFCHR,
            makedev(1, 11),
        ),
    ] {
        let path = "/dev/device";
        let made = mknod(path, kind, Mode::S_IRUSR, number);
        saw("CTR-27", what, outcome(made));
        let opened = made.map_err(io::Error::from).and_then(|()| {
            let opened = OpenOptions::new().read(true).open(path);
            fs::remove_file(path)?;
            opened
        });
        saw("CTR-27", &format!("{what} and open it"), outcome(opened));
    }
    Ok(())
}

fn mounts() -> io::Result<()> {
    let none = None::<&str>;
    let change = |source, kind, target: &str, flags| mount(source, target, kind, flags, none);
    let (plain, again) = (MsFlags::empty(), MsFlags::MS_REMOUNT);
    for (what, result) in [
        (
            "mount a tmpfs",
            change(Some("t"), Some("tmpfs"), "/tmp", plain),
        ),
        (
            "mount a proc",
            change(Some("p"), Some("proc"), "/tmp", plain),
        ),
        (
            "mount cgroups",
            change(Some("c"), Some("cgroup2"), "/tmp", plain),
        ),
        (
            "bind a directory",
            change(Some("/proc"), none, "/tmp", MsFlags::MS_BIND),
        ),
        (
            "remount /proc/sys",
            change(none, none, "/proc/sys", again | MsFlags::MS_BIND),
        ),
        ("remount /sys", change(none, none, "/sys", again)),
        (
            "share the root's mount",
            change(none, none, "/", MsFlags::MS_SHARED),
        ),
        ("unmount /proc", umount2("/proc", MntFlags::MNT_DETACH)),
        ("unmount /dev", umount2("/dev", MntFlags::MNT_DETACH)),
    ] {
        saw("CTR-28", what, outcome(result));
    }
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let listed: Vec<Mount<'_>> = text.lines().filter_map(Mount::read).collect();
    let those = |wanted: &dyn Fn(&&Mount<'_>) -> bool| {
        let places: Vec<&str> = listed.iter().filter(wanted).map(|it| it.place).collect();
        list(&places)
    };
    saw(
        "CTR-28",
        "mounts that propagate",
        those(&|it| it.propagates),
    );
    let cgroups = listed.iter().filter(|it| it.kind.starts_with("cgroup"));
    let cgroups: Vec<_> = cgroups.map(|it| (it.place, it.root)).collect();
    cgroups::survey(&cgroups)?;
    let boundless = |it: &&Mount<'_>| it.kind == "tmpfs" && it.writable && !it.bounded;
    saw("CTR-21", "tmpfs without a bound", those(&boundless));
    let with_devices = |it: &&Mount<'_>| {
        let elsewhere = !Path::new(it.place).starts_with("/dev") && Path::new(it.place).is_dir();
        elsewhere && it.writable && !it.without_devices
    };
    saw("CTR-27", "mounts that have devices", those(&with_devices));
    Ok(())
}

/// A line of `mountinfo`.
struct Mount<'t> {
    root: &'t str,
    place: &'t str,
    kind: &'t str,
    writable: bool,
    without_devices: bool,
    propagates: bool,
    bounded: bool,
}

impl<'t> Mount<'t> {
    fn read(line: &'t str) -> Option<Self> {
        let (of_mount, of_files) = line.split_once(" - ")?;
        let fields: Vec<&str> = of_mount.split(' ').collect();
        let mut options = fields.get(5)?.split(',');
        let files: Vec<&str> = of_files.split(' ').collect();
        let bound = |option: &str| option.starts_with("size=");
        Some(Self {
            root: fields.get(3)?,
            place: fields.get(4)?,
            kind: files.first()?,
            writable: options.clone().all(|option| option != "ro"),
            without_devices: options.any(|option| option == "nodev"),
            propagates: fields.get(6).is_some(),
            bounded: files.last()?.split(',').any(bound),
        })
    }
}
