use burstlet_model::DeviceKind;

use super::*;

const STATUS: &str = "Name:\tx\nUid:\t100033\t100033\t100033\t100033\n\
    Gid:\t100033\t100033\t100033\t100033\nGroups:\t100005 100006 \nNoNewPrivs:\t1\nSeccomp:\t2\n\
    CapInh:\t0000000000000000\nCapPrm:\t0000000000000400\nCapEff:\t0000000000000400\n\
    CapBnd:\t00000000000004fb\nCapAmb:\t0000000000000000\n";

const MOUNTINFO: &str = "\
    40 39 0:50 / / ro,relatime - overlay overlay rw,lowerdir=/k/l/0\n\
    41 40 0:51 / /proc rw,nosuid - proc proc rw\n\
    42 41 0:5 /null /proc/kcore rw - devtmpfs devtmpfs rw\n\
    43 40 0:52 / /run/secrets/a\\040b ro - tmpfs tmpfs rw\n\
    44 40 0:53 / /sys/fs/cgroup ro - tmpfs tmpfs rw\n\
    45 44 0:54 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
    46 41 0:5 /gpu /dev/gpu ro - devtmpfs devtmpfs rw\n";

const GPU: DeviceNumber = DeviceNumber {
    kind: DeviceKind::Char,
    major: 195,
    minor: 0,
};

fn seen() -> Seen {
    let mut seen = Seen::from_status(STATUS).unwrap();
    seen.uid_map = parse_map("         0     100000      65536\n").unwrap();
    seen.gid_map = seen.uid_map.clone();
    seen.mounts = parse_mountinfo(MOUNTINFO).unwrap();
    seen.devices = [("/dev/gpu".into(), GPU)].into();
    seen.namespaces = NAMESPACES
        .iter()
        .zip(10_u64..)
        .map(|(name, inode)| (*name, inode))
        .collect();
    seen
}

fn expected() -> Expected {
    Expected {
        uid: 100_033,
        gid: 100_033,
        groups: [100_005, 100_006].into(),
        capabilities: CapabilitySets {
            bounding: 0x4fb,
            effective: 0x400,
            permitted: 0x400,
            ..CapabilitySets::default()
        },
        no_new_privileges: true,
        seccomp: true,
        ids: Some(IdRange {
            host_base: 100_000,
            len: 65_536,
        }),
        namespaces: [("mnt", Namespace::IsNot(1)), ("net", Namespace::Is(13))].into(),
        mounts: vec![
            "/proc".into(),
            "/proc/kcore".into(),
            "/var/run/secrets/a b".into(),
        ],
        guarded: Some("/sys/fs/cgroup".into()),
        devices: [("/dev/gpu".into(), GPU)].into(),
        root_read_only: Some(true),
    }
}

#[test]
fn what_was_asked_for_passes() {
    assert_eq!(check(&expected(), &seen()), []);
}

#[test]
fn every_weakening_is_found() {
    type Weaken = fn(&mut Seen);
    let table: [(&str, Weaken); 22] = [
        ("uid", |s| s.uids = vec![0; 4]),
        ("uid", |s| s.uids[2] = 0),
        ("gid", |s| s.gids[1] = 0),
        ("supplementary groups", |s| s.groups.extend([0])),
        ("supplementary groups", |s| s.groups.clear()),
        ("NoNewPrivs", |s| s.no_new_privileges = false),
        ("seccomp mode", |s| s.seccomp_mode = 0),
        ("seccomp mode", |s| s.seccomp_mode = 1),
        ("CapBnd", |s| s.capabilities.bounding = u64::MAX),
        ("CapEff", |s| s.capabilities.effective |= 1 << 21),
        ("CapInh", |s| s.capabilities.inheritable = 1),
        ("CapAmb", |s| s.capabilities.ambient = 1),
        ("uid map", |s| s.uid_map = vec![(0, 0, u32::MAX)]),
        ("gid map", |s| s.gid_map.push((65_536, 0, 1))),
        ("mnt namespace", |s| s.namespaces.extend([("mnt", 1)])),
        ("net namespace", |s| s.namespaces.extend([("net", 14)])),
        ("mount at /proc/kcore", |s| {
            s.mounts.retain(|path, _| path != Path::new("/proc/kcore"));
        }),
        ("mount at /sys/fs/cgroup", |s| {
            s.mounts.extend([("/sys/fs/cgroup".into(), false)]);
        }),
        ("mount at /sys/fs/cgroup/memory", |s| {
            s.mounts.extend([("/sys/fs/cgroup/memory".into(), false)]);
        }),
        ("device at /dev/gpu", |s| s.devices.clear()),
        ("device at /dev/gpu", |s| {
            let other = DeviceNumber { minor: 1, ..GPU };
            s.devices.extend([("/dev/gpu".into(), other)]);
        }),
        ("read-only node at /dev/gpu", |s| {
            s.mounts.extend([("/dev/gpu".into(), false)]);
        }),
    ];
    for (what, weaken) in table {
        let mut seen = seen();
        weaken(&mut seen);
        let found: Vec<String> = check(&expected(), &seen)
            .into_iter()
            .map(|m| m.what)
            .collect();
        assert_eq!(found, [what]);
    }
}

#[test]
fn roots_and_missing_facts() {
    let mut writable = seen();
    writable.mounts.insert("/".into(), false);
    assert_eq!(check(&expected(), &writable)[0].what, "read-only root");
    let mut nameless = seen();
    nameless.namespaces.clear();
    assert_eq!(check(&expected(), &nameless).len(), 2);
    let host = Expected {
        ids: None,
        ..expected()
    };
    assert_eq!(
        check(&host, &seen()).len(),
        2,
        "both maps differ from the host's"
    );
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_a_pass() {
    assert!(Seen::from_status("Name:\tx\n").is_err());
    assert!(Seen::from_status(&STATUS.replace("CapEff:\t0", "CapEff:\tz")).is_err());
    assert!(parse_map("0 1\n").is_err());
    assert!(parse_mountinfo("1 2 3\n").is_err());
}

#[test]
fn this_process_can_be_read() {
    let pid = std::process::id().cast_signed();
    let null = [("/dev/null".into(), "c 1:3".parse().unwrap())];
    let expected = Expected {
        devices: null.into(),
        ..Expected::default()
    };
    let seen = Seen::read(pid, &expected).unwrap();
    assert_eq!(seen.devices, expected.devices);
    assert_eq!(seen.namespaces.len(), NAMESPACES.len());
    assert!(seen.mounts.contains_key(Path::new("/")));
    assert_eq!(seen.uids.len(), 4);
}
