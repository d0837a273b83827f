//! Snapshots as overlayfs sees them: trees equal to another unpacker's, and root file systems in
//! which an image's links lead nowhere. Needs root and `umoci`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use burstlet_image::remove_tree;
use burstlet_image::snapshot::{IdBase, ImageTree, SnapshotError, Snapshotter, resolve_user};
use burstlet_image::unpack::Unpacker;
use support::archive::{Archive, Header};
use support::overlay::Overlay;
use support::{blob, config, listing, run};
use tempfile::TempDir;

/// Unpacks layers, lowest first, each into its own directory of `room`.
fn unpack(layers: &[Vec<u8>], room: &Path) -> Vec<PathBuf> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let unpacker = Unpacker::new(config());
    let mut paths = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let path = room.join(format!("layer-{number}"));
        fs::create_dir(&path).unwrap();
        runtime
            .block_on(unpacker.unpack(blob(layer), &path))
            .unwrap();
        paths.push(path);
    }
    paths
}

/// What umoci makes of the same layers.
fn umoci_listing(layers: &[Vec<u8>], room: &Path) -> String {
    run("umoci", &["init", "--layout", "image"], room);
    run("umoci", &["new", "--image", "image:a"], room);
    for (number, layer) in layers.iter().enumerate() {
        let name = format!("{number}.tar");
        fs::write(room.join(&name), layer).unwrap();
        run(
            "umoci",
            &["raw", "add-layer", "--image", "image:a", &name],
            room,
        );
    }
    run(
        "umoci",
        &["raw", "unpack", "--image", "image:a", "rootfs"],
        room,
    );
    listing::of(&room.join("rootfs"))
}

fn without_root(listing: &str) -> String {
    listing
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("/ "))
        .collect()
}

fn check_as_umoci(what: &str, layers: &[Archive]) {
    let layers: Vec<_> = layers.iter().map(|layer| layer.clone().end()).collect();
    let room = tempfile::tempdir().unwrap();
    let mut ours = unpack(&layers, room.path());
    ours.reverse();
    let merged = listing::of(&Overlay::new(&ours, None).path());
    // A container's root is its upper directory's, which the snapshotter makes look so.
    let ours = without_root(&merged);
    let theirs = without_root(&umoci_listing(&layers, room.path()));
    assert!(
        ours == theirs,
        "{what}:\n{}",
        listing::difference(&ours, &theirs)
    );
}

/// Owners, modes, times, links of both kinds, attributes: all that a layer can say.
fn base() -> Archive {
    let entry = |kind, name: &str, mode| {
        Header::new(kind, name.as_bytes())
            .mode(mode)
            .owner(1000, 1001)
            .mtime(1_234_567)
    };
    Archive::new()
        .entry(&entry(b'5', "./", 0o755), b"")
        .dir("etc")
        .file("etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .file("etc/group", "root:x:0:\n")
        .entry(&entry(b'5', "home/", 0o1777), b"")
        .entry(&entry(b'0', "home/suid", 0o6755).size(3), b"su\n")
        .entry(&entry(b'0', "home/secret", 0).size(1), b"s")
        .entry(&entry(b'6', "home/pipe", 0o600), b"")
        .symlink("home/link", "../etc/passwd")
        .symlink("home/dangling", "/none")
        .hard_link("home/hard", "home/suid")
        .pax(&[
            ("SCHILY.xattr.user.note", b"text"),
            ("mtime", b"1234567890.123456789"),
        ])
        .file("home/noted", "n")
        .pax(&[(
            "SCHILY.xattr.security.capability",
            b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        )])
        .entry(&entry(b'0', "home/ping", 0o755).size(1), b"p")
        .dir("usr")
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .file("usr/lib/so", [7; 70_000])
        .dir("var")
        .dir("var/lib")
        .file("var/lib/a", "a")
        .file("var/lib/b", "b")
        .dir("gone")
        .file("gone/a", "a")
        .pax(&[("mtime", b"-5.25")])
        .file("old", "")
}

#[test]
#[rustfmt::skip]
fn trees_are_as_umoci_unpacks_them() {
    let new = Archive::new;
    check_as_umoci("one layer", &[base()]);
    check_as_umoci("changed files", &[base(), new().dir("etc").file("etc/passwd", "changed").entry(&Header::new(b'5', b"home").mode(0o700).owner(5, 6), b"")]);
    check_as_umoci("whiteouts", &[base(), new().file(".wh.gone", "").dir("var").dir("var/lib").file("var/lib/.wh.a", "").file(".wh.none", "")]);
    check_as_umoci("an opaque directory", &[base(), new().dir("var").dir("var/lib").file("var/lib/.wh..wh..opq", "").file("var/lib/c", "c")]);
    check_as_umoci("opaque after its files", &[base(), new().dir("var").dir("var/lib").file("var/lib/c", "c").file("var/lib/.wh..wh..opq", "")]);
    check_as_umoci("a directory made anew", &[base(), new().file(".wh.gone", "").dir("gone").file("gone/b", "b")]);
    check_as_umoci("a file instead of a directory", &[base(), new().file("gone", "file")]);
    check_as_umoci("a directory instead of a file", &[base(), new().dir("old").file("old/a", "a")]);
    check_as_umoci("a directory instead of a link", &[base(), new().dir("lib").file("lib/a", "a")]);
    check_as_umoci("a link instead of a directory", &[base(), new().symlink("gone", "etc")]);
    check_as_umoci("three layers", &[base(), new().file(".wh.gone", "").dir("new").file("new/a", "a"), new().dir("gone").file("gone/c", "c").file(".wh.new", "")]);
    check_as_umoci("twice in one layer", &[base().file("old", "second").dir("old").file("old/x", "x").symlink("old", "x")]);
}

#[test]
fn debians_tar_is_read_as_umoci_reads_it() {
    let room = tempfile::tempdir().unwrap();
    let tree = room.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/b").join("n".repeat(150)), "long").unwrap();
    fs::write(tree.join("a/plain"), vec![9; 100_000]).unwrap();
    fs::hard_link(tree.join("a/plain"), tree.join("a/hard")).unwrap();
    symlink("t".repeat(200), tree.join("a/link")).unwrap();
    fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o2750)).unwrap();
    for format in ["gnu", "posix", "ustar", "oldgnu"] {
        let archive = format!("{format}.tar");
        let option = format!("--format={format}");
        // ustar has no room for the long names.
        let parts: &[&str] = if format == "ustar" {
            &["a/plain", "a/hard"]
        } else {
            &["."]
        };
        run(
            "tar",
            &[&["-C", "tree", &option, "-cf", &archive], parts].concat(),
            room.path(),
        );
        let layers = [fs::read(room.path().join(&archive)).unwrap()];
        let inner = tempfile::tempdir().unwrap();
        let ours = unpack(&layers, inner.path());
        let ours = listing::of(&Overlay::new(&ours, None).path());
        let theirs = umoci_listing(&layers, inner.path());
        // Neither root nor what leads to a file is described in the archive of parts.
        let described = |listing: &str| -> String {
            let undescribed = ["/ ", "/a "];
            let lines = listing.lines().filter(|line| {
                format != "ustar" || !undescribed.iter().any(|name| line.starts_with(name))
            });
            lines.flat_map(|line| [line, "\n"]).collect()
        };
        let difference = listing::difference(&described(&ours), &described(&theirs));
        assert!(difference.is_empty(), "{format}:\n{difference}");
    }
}

struct Room {
    room: TempDir,
    snapshotter: Snapshotter,
}

impl Room {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        let snapshotter = Snapshotter::open(&room.path().join("init")).unwrap();
        Self { room, snapshotter }
    }

    fn container(&self) -> PathBuf {
        self.room.path().join("container")
    }
}

#[test]
fn what_is_mounted_over_is_real_whatever_the_image_has() {
    let outside = tempfile::tempdir().unwrap();
    let out = outside.path().display().to_string();
    let names = [
        "dev",
        "proc",
        "sys",
        "etc",
        "etc/hosts",
        "etc/hostname",
        "etc/resolv.conf",
    ];
    type Make = fn(Archive, &str, &str) -> Archive;
    let kinds: [(&str, Make); 6] = [
        ("absolute link", |archive, name, out| {
            archive.symlink(name, out)
        }),
        ("relative link", |archive, name, _| {
            archive.symlink(name, "../../../tmp")
        }),
        ("dangling link", |archive, name, _| {
            archive.symlink(name, "none")
        }),
        ("file", |archive, name, _| archive.file(name, "image's")),
        ("fifo", |archive, name, _| {
            archive.entry(&Header::new(b'6', name.as_bytes()), b"")
        }),
        ("directory", |archive, name, _| {
            archive.dir(name).file(format!("{name}/x"), "image's")
        }),
    ];
    for (what, make) in kinds {
        for name in names {
            let room = Room::new();
            let layer = make(Archive::new(), name, &out).end();
            let layers = unpack(&[layer], room.room.path());
            let base = IdBase::new(100_000).unwrap();
            let snapshot = room
                .snapshotter
                .prepare(&layers, &room.container(), base)
                .unwrap();
            let mounted = Overlay::new(&snapshot.lowers, Some((&snapshot.upper, &snapshot.work)));
            for directory in ["dev", "proc", "sys"] {
                let path = mounted.path().join(directory);
                assert!(
                    fs::symlink_metadata(&path).unwrap().is_dir(),
                    "{what} {name}"
                );
                assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "{what} {name}");
            }
            assert!(
                fs::symlink_metadata(mounted.path().join("etc"))
                    .unwrap()
                    .is_dir()
            );
            for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
                let found = fs::symlink_metadata(mounted.path().join(file)).unwrap();
                assert!(found.is_file() && found.len() == 0, "{what} {name}: {file}");
            }
        }
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_snapshot_looks_as_its_image() {
    let room = Room::new();
    let etc = Header::new(b'5', b"etc").mode(0o750).owner(8, 9);
    let root = Header::new(b'5', b"./").mode(0o711).owner(1, 2);
    let image = [Archive::new()
        .entry(&root, b"")
        .entry(&etc, b"")
        .file("etc/motd", "hi")
        .end()];
    let layers = unpack(&image, room.room.path());
    let base = IdBase::new(200_000).unwrap();
    let snapshot = room
        .snapshotter
        .prepare(&layers, &room.container(), base)
        .unwrap();
    let looks = |path: &Path| {
        let found = fs::symlink_metadata(path).unwrap();
        (found.mode() & 0o7777, found.uid(), found.gid())
    };
    assert_eq!(looks(&snapshot.upper), (0o711, 200_001, 200_002));
    assert_eq!(looks(&snapshot.work), (0o700, 200_000, 200_000));
    let mounted = Overlay::new(&snapshot.lowers, Some((&snapshot.upper, &snapshot.work)));
    assert_eq!(looks(&mounted.path().join("etc")), (0o750, 8, 9));
    assert_eq!(
        fs::read_to_string(mounted.path().join("etc/motd")).unwrap(),
        "hi"
    );
    fs::write(mounted.path().join("etc/hosts"), "ours").unwrap();
    assert_eq!(
        fs::read_to_string(snapshot.upper.join("etc/hosts")).unwrap(),
        "ours"
    );
    let again = room.snapshotter.prepare(&layers, &room.container(), base);
    assert!(matches!(again, Err(SnapshotError::Exists(_))));
    drop(mounted);
    remove_tree(&room.container()).unwrap();
    let second = room
        .snapshotter
        .prepare(&layers, &room.container(), base)
        .unwrap();
    assert_eq!(second, snapshot);
}

#[test]
fn an_opaque_root_hides_all_layers_below() {
    let room = Room::new();
    let lower = Archive::new()
        .file("a", "a")
        .dir("etc")
        .file("etc/passwd", "u:x:5:5::/:\n")
        .end();
    let upper = Archive::new().file(".wh..wh..opq", "").file("b", "b").end();
    let layers = unpack(&[lower, upper], room.room.path());
    let base = IdBase::new(100_000).unwrap();
    let snapshot = room
        .snapshotter
        .prepare(&layers, &room.container(), base)
        .unwrap();
    assert_eq!(snapshot.lowers.len(), 2);
    let mounted = Overlay::new(&snapshot.lowers, Some((&snapshot.upper, &snapshot.work)));
    assert!(!mounted.path().join("a").exists() && mounted.path().join("b").exists());
    let image = ImageTree::open(&layers).unwrap();
    assert!(resolve_user("u", &image).is_err());
    assert!(ImageTree::open(&layers[..1]).is_ok_and(|image| resolve_user("u", &image).is_ok()));
}

#[test]
fn as_many_layers_as_an_image_may_have_can_be_mounted() {
    let room = Room::new();
    let layers: Vec<PathBuf> = (0..127)
        .map(|number| {
            let layer = room.room.path().join(format!("layer-{number}"));
            fs::create_dir(&layer).unwrap();
            fs::write(layer.join(format!("file-{number}")), "x").unwrap();
            layer
        })
        .collect();
    let base = IdBase::new(100_000).unwrap();
    let snapshot = room
        .snapshotter
        .prepare(&layers, &room.container(), base)
        .unwrap();
    let mounted = Overlay::new(&snapshot.lowers, Some((&snapshot.upper, &snapshot.work)));
    assert_eq!(fs::read_dir(mounted.path()).unwrap().count(), 127 + 4);
    let more = [layers, vec![room.room.path().to_owned()]].concat();
    let refused = room
        .snapshotter
        .prepare(&more, &room.room.path().join("other"), base);
    assert!(matches!(
        refused,
        Err(SnapshotError::TooManyLayers { got: 128 })
    ));
}

#[test]
fn a_tree_nested_beyond_any_path_is_removed() {
    let room = tempfile::tempdir().unwrap();
    let top = room.path().join("top");
    fs::create_dir(&top).unwrap();
    fs::write(room.path().join("canary"), "sings").unwrap();
    let mut here = rustix::fs::open(
        &top,
        rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    for depth in 0..10_000 {
        if depth % 100 == 0 {
            rustix::fs::symlinkat("../../canary", &here, "link").unwrap();
        }
        rustix::fs::mkdirat(&here, "d", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        here = rustix::fs::openat(&here, "d", flags, rustix::fs::Mode::empty()).unwrap();
    }
    drop(here);
    remove_tree(&top).unwrap();
    assert!(!top.exists());
    assert_eq!(
        fs::read_to_string(room.path().join("canary")).unwrap(),
        "sings"
    );
    remove_tree(&top).unwrap();
}

#[test]
fn a_wide_tree_is_removed() {
    let room = tempfile::tempdir().unwrap();
    let top = room.path().join("top");
    // More directories in one than are remembered at once.
    for number in 0..1100 {
        fs::create_dir_all(top.join(format!("{number}/empty"))).unwrap();
    }
    remove_tree(&top).unwrap();
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
}

#[test]
fn a_mount_in_a_tree_is_not_entered() {
    let room = tempfile::tempdir().unwrap();
    let point = room.path().join("top/point");
    fs::create_dir_all(&point).unwrap();
    rustix::mount::mount(
        "none",
        &point,
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        Option::<&std::ffi::CStr>::None,
    )
    .unwrap();
    fs::write(point.join("canary"), "sings").unwrap();
    let removed = remove_tree(&room.path().join("top"));
    let canary = fs::read_to_string(point.join("canary"));
    rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(removed.is_err());
    assert_eq!(canary.unwrap(), "sings");
    remove_tree(&room.path().join("top")).unwrap();
}
