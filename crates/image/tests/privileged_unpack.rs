//! The unpacker as the agent runs it: what comes out, what it may do, and how it ends. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use burstlet_image::unpack::{
    DevicePolicy, EntryRule, LayerBlob, LayerFault, Limit, UnpackError, UnpackLimits, Unpacker,
    UnpackerConfig,
};
use burstlet_image::{LayerPacking, digest_of, remove_tree};
use support::archive::{Archive, Header};
use support::hostile::pack;
use support::{Stage, blob, config, listing, packed};

/// How long to wait for what must happen soon.
const SOON: Duration = Duration::from_secs(20);

fn sample() -> Vec<u8> {
    (0..200_u32)
        .fold(Archive::new().dir("d"), |archive, number| {
            let text = number.to_string().repeat(500);
            archive
                .file(format!("d/{number}"), text)
                .symlink(format!("l{number}"), "d")
        })
        .end()
}

#[test]
fn every_packing_gives_the_same_tree() {
    let layer = sample();
    let plain = Stage::new().tree_of(&layer);
    assert!(plain.lines().count() > 400, "{plain}");
    let (head, tail) = layer.split_at(70_001);
    for packing in [LayerPacking::None, LayerPacking::Gzip, LayerPacking::Zstd] {
        let members = [pack(head, packing), pack(tail, packing)].concat();
        for bytes in [pack(&layer, packing), members] {
            let stage = Stage::new();
            let unpacked = stage.unpack(packed(&layer, &bytes, packing)).unwrap();
            assert_eq!(listing::of(&stage.target()), plain, "{packing:?}");
            assert_eq!(unpacked.entries, 401);
        }
    }
}

#[test]
fn damaged_streams_are_refused() {
    let layer = sample();
    for packing in [LayerPacking::Gzip, LayerPacking::Zstd] {
        let whole = pack(&layer, packing);
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        let trailing = [&whole[..], b"trailing"].concat();
        for (what, bytes) in [
            ("cut", &whole[..whole.len() - 9]),
            ("cut at the start", &whole[..3]),
            ("flipped", &flipped),
            ("empty", &[]),
            ("something else", b"not compressed at all"),
            ("more than the stream", &trailing),
        ] {
            let fault = Stage::new().fault_of(packed(&layer, bytes, packing));
            let expected = matches!(
                fault,
                LayerFault::Compression { .. }
                    | LayerFault::Truncated { .. }
                    | LayerFault::DiffId { .. }
                    | LayerFault::Header { .. }
            );
            assert!(expected, "{packing:?} {what}: {fault}");
        }
    }
}

#[test]
fn a_stream_with_another_diff_id_is_refused() {
    let layer = Archive::new().file("a", "x").end();
    let padded = [&layer[..], &[0; 512]].concat();
    let fault = Stage::new().fault_of(packed(&layer, &padded, LayerPacking::None));
    let expected = digest_of(&layer).to_string();
    let actual = digest_of(&padded).to_string();
    assert_eq!(fault, LayerFault::DiffId { expected, actual });
}

#[test]
fn a_zstd_window_beyond_the_cap_is_refused() {
    // A frame without content size that asks for a window of 2 GiB, then one empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    let fault = Stage::new().fault_of(packed(b"", &frame, LayerPacking::Zstd));
    assert!(matches!(fault, LayerFault::Compression { .. }), "{fault}");
}

#[test]
fn a_bomb_is_refused_early() {
    for packing in [LayerPacking::Gzip, LayerPacking::Zstd] {
        let zeros = pack(&vec![0; 32 << 20], packing);
        let header = Header::new(b'0', b"zeros").size(0o77_777_777_777).finish();
        let mut bomb = pack(&header, packing);
        for _ in 0..256 {
            bomb.extend_from_slice(&zeros);
        }
        let mut config = config();
        config.limits.ratio_floor_bytes = 64 << 20;
        config.limits.ratio = 150;
        let stage = Stage::new();
        let error = stage
            .unpack_with(config, packed(b"", &bomb, packing))
            .unwrap_err();
        let UnpackError::Layer(fault) = error else {
            panic!("{error:?}")
        };
        assert_eq!(
            fault,
            LayerFault::TooLarge {
                limit: Limit::Ratio,
                max: 150
            }
        );
        remove_tree(&stage.target()).unwrap();
        assert!(!stage.target().exists());
    }
}

#[test]
fn limits_and_policies_are_the_configured_ones() {
    let layer = Archive::new()
        .file("a", [b'x'; 5000])
        .device(b'3', "null", 1, 3)
        .end();
    let check = |change: fn(&mut UnpackerConfig), expected: fn(&LayerFault) -> bool| {
        let mut config = config();
        change(&mut config);
        match Stage::new().unpack_with(config, blob(&layer)) {
            Err(UnpackError::Layer(fault)) => assert!(expected(&fault), "{fault}"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(config().limits, UnpackLimits::default());
    check(
        |config| config.limits.entries = 1,
        |fault| {
            *fault
                == LayerFault::TooLarge {
                    limit: Limit::Entries,
                    max: 1,
                }
        },
    );
    check(
        |config| config.limits.logical_bytes = 4999,
        |fault| {
            *fault
                == LayerFault::TooLarge {
                    limit: Limit::LogicalBytes,
                    max: 4999,
                }
        },
    );
    check(
        |config| config.limits.disk_bytes = 8192,
        |fault| {
            *fault
                == LayerFault::TooLarge {
                    limit: Limit::DiskBytes,
                    max: 8192,
                }
        },
    );
    check(
        |config| config.devices = DevicePolicy::Refuse,
        |fault| {
            matches!(
                fault,
                LayerFault::Entry {
                    rule: EntryRule::Device,
                    ..
                }
            )
        },
    );
    let unpacked = Stage::new().unpack(blob(&layer)).unwrap();
    assert_eq!(
        (unpacked.devices_left_out, unpacked.logical_bytes),
        (1, 5000)
    );
}

#[test]
fn only_harmless_attributes_are_kept() {
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let layer = Archive::new()
        .pax(&[
            ("SCHILY.xattr.user.kept", b"a\0b"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.metacopy", b""),
            ("SCHILY.xattr.security.selinux", b"label"),
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.system.posix_acl_access", b"\x02\0\0\0"),
        ])
        .entry(&Header::new(b'0', b"a").mode(0o4755).owner(3, 4), b"")
        .pax(&[("SCHILY.xattr.user.once", b"1")])
        .dir("d")
        .dir("d")
        .end();
    let stage = Stage::new();
    let unpacked = stage.unpack(blob(&layer)).unwrap();
    assert_eq!(unpacked.attributes_left_out, 6);
    let tree = listing::of(&stage.target());
    let shown = capability.escape_ascii();
    let line =
        format!("4755 3:4 1000000000.000000000 security.capability={shown} user.kept=a\\x00b");
    assert!(tree.contains(&line), "{tree}");
    assert!(
        !tree.contains("overlay") && !tree.contains("user.once"),
        "{tree}"
    );
}

#[test]
fn sparse_files_have_their_holes() {
    let map = format!("{:011o}\0{:011o}\0", 1 << 20, 3);
    let header = Header::new(b'S', b"a")
        .gnu()
        .size(3)
        .set(386, map.as_bytes());
    let header = header.set(483, format!("{:011o}\0", 2 << 20).as_bytes());
    let stage = Stage::new();
    stage
        .unpack(blob(&Archive::new().entry(&header, b"end").end()))
        .unwrap();
    let mut expected = vec![0; 2 << 20];
    expected[1 << 20..(1 << 20) + 3].copy_from_slice(b"end");
    let path = stage.target().join("a");
    assert!(std::fs::read(&path).unwrap() == expected);
    let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap());
    assert!(blocks * 512 < 1 << 20, "{blocks} blocks");
}

/// An unpacking whose blob is a pipe, so that it stands still where a test wants it to.
struct Stalled {
    stage: Stage,
    feed: Option<std::io::PipeWriter>,
    unpacking: std::thread::JoinHandle<Result<burstlet_image::unpack::Unpacked, UnpackError>>,
    target: std::path::PathBuf,
}

impl Stalled {
    fn new(layer: &[u8], sent: usize, config: UnpackerConfig) -> Self {
        let stage = Stage::new();
        let (source, mut feed) = std::io::pipe().unwrap();
        let blob = LayerBlob {
            file: std::os::fd::OwnedFd::from(source).into(),
            packing: LayerPacking::None,
            diff_id: digest_of(layer),
        };
        let target = stage.target();
        let into = target.clone();
        let unpacking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(Unpacker::new(config).unpack(blob, &into))
        });
        feed.write_all(&layer[..sent]).unwrap();
        Self {
            stage,
            feed: Some(feed),
            unpacking,
            target,
        }
    }

    /// The process that does the work, once it is confined.
    fn worker(&self) -> u32 {
        soon("the unpacker confines itself", || {
            processes_in(&self.target)
                .into_iter()
                .find(|pid| field(*pid, "Seccomp") == "2")
        })
    }
}

/// Processes whose root or working directory is `directory`, or that are about to be.
fn processes_in(directory: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let Some(pid) = entry
            .unwrap()
            .file_name()
            .to_str()
            .and_then(|it| it.parse().ok())
        else {
            continue;
        };
        let same = |link: &str| {
            let (Ok(a), Ok(b)) = (
                rustix::fs::stat(format!("/proc/{pid}/{link}")),
                rustix::fs::stat(directory),
            ) else {
                return false;
            };
            (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
        };
        if same("cwd") || same("root") {
            found.push(pid);
        }
    }
    found
}

fn field(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}:")));
    value.unwrap_or_default().trim().to_owned()
}

fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < SOON, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn assert_nobody_in(directory: &Path) {
    soon("the unpacker is gone", || {
        processes_in(directory).is_empty().then_some(())
    });
}

#[test]
fn the_unpacker_is_confined() {
    let layer = sample();
    let stalled = Stalled::new(&layer, layer.len() / 2, config());
    let worker = stalled.worker();
    assert_eq!(field(worker, "NoNewPrivs"), "1");
    // chown, dac_override, fowner, fsetid, setfcap
    assert_eq!(field(worker, "CapEff"), "000000008000001b");
    assert_eq!(field(worker, "CapPrm"), "000000008000001b");
    assert_eq!(field(worker, "CapInh"), "0000000000000000");
    assert_eq!(field(worker, "CapBnd"), "0000000000000000");
    assert_eq!(field(worker, "Groups"), "");
    assert!(field(worker, "NSpid").ends_with("\t1"));
    for namespace in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        let of =
            |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{namespace}")).unwrap();
        assert_ne!(of(&worker.to_string()), of("self"), "{namespace}");
    }
    let mounts = std::fs::read_to_string(format!("/proc/{worker}/mountinfo")).unwrap();
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    let descriptors = std::fs::read_dir(format!("/proc/{worker}/fd"))
        .unwrap()
        .count();
    assert!(descriptors <= 10, "{descriptors} descriptors");
    let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    let cores = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{limits}");
    drop(stalled.feed);
    assert!(matches!(
        stalled.unpacking.join().unwrap(),
        Err(UnpackError::Layer(_))
    ));
    assert_nobody_in(&stalled.target);
}

#[test]
fn a_killed_unpacker_leaves_what_can_be_removed_and_repeated() {
    let layer = sample();
    let whole = Stage::new().tree_of(&layer);
    for point in 0..20 {
        let stalled = Stalled::new(&layer, layer.len() * point / 20, config());
        let worker = stalled.worker();
        let pid = rustix::process::Pid::from_raw(worker.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let ended = stalled.unpacking.join().unwrap();
        assert!(
            matches!(ended, Err(UnpackError::Died { .. })),
            "{point}: {ended:?}"
        );
        assert_nobody_in(&stalled.target);
        remove_tree(&stalled.target).unwrap();
        std::fs::create_dir(&stalled.target).unwrap();
        assert_eq!(stalled.stage.tree_of(&layer), whole, "{point}");
    }
}

#[test]
fn a_slow_unpacking_is_ended_at_its_deadline() {
    let layer = sample();
    let slow = UnpackerConfig {
        deadline: Duration::from_millis(300),
        ..config()
    };
    let stalled = Stalled::new(&layer, layer.len() / 2, slow);
    let ended = stalled.unpacking.join().unwrap();
    assert!(
        matches!(ended, Err(UnpackError::Deadline { .. })),
        "{ended:?}"
    );
    assert!(processes_in(&stalled.target).is_empty());
    drop(stalled.feed);
}

#[test]
fn an_unpacking_that_nobody_waits_for_ends() {
    let layer = sample();
    let stage = Stage::new();
    let (source, mut feed) = std::io::pipe().unwrap();
    feed.write_all(&layer[..4096]).unwrap();
    let blob = LayerBlob {
        file: std::os::fd::OwnedFd::from(source).into(),
        packing: LayerPacking::None,
        diff_id: digest_of(&layer),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let unpacker = Unpacker::new(config());
        let target = stage.target();
        let unpacking = unpacker.unpack(blob, &target);
        tokio::time::timeout(Duration::from_millis(300), unpacking)
            .await
            .unwrap_err();
    });
    assert_nobody_in(&stage.target());
    drop(feed);
}

#[test]
fn what_is_no_unpacker_is_reported_as_such() {
    for (program, expected) in [
        ("/nonexistent/burstlet-unpack", "start the unpacker"),
        ("/bin/false", "without a report"),
        ("/bin/true", "without a report"),
    ] {
        let config = UnpackerConfig::new(program.into());
        let error = Stage::new()
            .unpack_with(config, blob(&sample()))
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let missing = Stage::new();
    std::fs::remove_dir(missing.target()).unwrap();
    let error = missing.unpack(blob(&sample())).unwrap_err();
    assert!(matches!(error, UnpackError::Target { .. }), "{error}");
}
