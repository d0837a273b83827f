#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// An image of layers made of small files; `name -> target` is a link, `name/` a directory,
/// `!name` a whiteout.
struct Image {
    room: tempfile::TempDir,
    layers: Vec<PathBuf>,
}

impl Image {
    fn new(layers: &[&[&str]]) -> Self {
        let room = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..layers.len())
            .map(|number| room.path().join(number.to_string()))
            .collect();
        for (number, (path, entries)) in paths.iter().zip(layers).enumerate() {
            fs::create_dir(path).unwrap();
            for entry in *entries {
                put(path, entry, number);
            }
        }
        Self {
            room,
            layers: paths,
        }
    }

    fn read(&self, name: &str) -> Result<Option<String>, ImageTreeError> {
        let read = ImageTree::open(&self.layers).unwrap().read(name, 64)?;
        Ok(read.map(|bytes| String::from_utf8(bytes).unwrap()))
    }
}

/// A file says which layer it is of.
fn put(layer: &Path, entry: &str, number: usize) {
    if let Some((name, target)) = entry.split_once(" -> ") {
        symlink(target, layer.join(name)).unwrap();
    } else if let Some(name) = entry.strip_prefix('!') {
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(CWD, layer.join(name), kind, Mode::empty(), 0).unwrap();
    } else if entry.ends_with('/') {
        fs::create_dir_all(layer.join(entry)).unwrap();
    } else {
        fs::write(layer.join(entry), format!("layer {number}")).unwrap();
    }
}

#[test]
fn names_are_looked_up_as_overlayfs_does() {
    let image = Image::new(&[
        &[
            "etc/", "etc/a", "etc/b", "etc/c", "x/", "x/a", "y/", "y/a", "file",
        ],
        &["etc/", "etc/b", "!etc/c", "!x", "y", "file/", "file/new"],
        &["etc/", "etc/d", "x/", "x/b", "y/", "y/b"],
    ]);
    for (name, layer) in [
        ("etc/a", Some(0)),
        ("etc/b", Some(1)),
        ("etc/c", None),
        ("etc/d", Some(2)),
        ("/etc//./d", Some(2)),
        ("x/a", None),
        ("x/b", Some(2)),
        ("y/a", None),
        ("y/b", Some(2)),
        ("file/new", Some(1)),
        ("etc/a/b", None),
        ("none", None),
        ("none/a", None),
        ("../../etc/a", Some(0)),
    ] {
        let expected = layer.map(|number: usize| format!("layer {number}"));
        assert_eq!(image.read(name).unwrap(), expected, "{name}");
    }
    for directory in ["etc", "", "/", "etc/..", "y/."] {
        assert!(
            matches!(image.read(directory), Err(ImageTreeError::NotAFile(_))),
            "{directory}"
        );
    }
}

#[test]
fn links_are_followed_below_the_root_and_through_the_layers() {
    let image = Image::new(&[
        &["etc/", "etc/passwd", "usr/", "usr/lib/", "usr/lib/group"],
        &[
            "etc/",
            "etc/group -> ../usr/lib/group",
            "abs -> /etc/passwd",
            "out -> ../../../etc/passwd",
        ],
        &[
            "l1 -> l2",
            "l2 -> l1",
            "dir -> /usr/../usr/lib",
            "dangling -> none",
            "self -> self/a",
        ],
    ]);
    for (name, layer) in [
        ("etc/group", Some(0)),
        ("abs", Some(0)),
        ("out", Some(0)),
        ("dir/group", Some(0)),
        ("dir/../../etc/passwd", Some(0)),
        ("dangling", None),
        ("dangling/a", None),
    ] {
        let expected = layer.map(|number: usize| format!("layer {number}"));
        assert_eq!(image.read(name).unwrap(), expected, "{name}");
    }
    for name in ["l1", "l2/a", "self"] {
        assert!(
            matches!(image.read(name), Err(ImageTreeError::Loop(_))),
            "{name}"
        );
    }
}

#[test]
fn only_small_regular_files_are_read() {
    let image = Image::new(&[&["etc/"]]);
    let layer = image.room.path().join("0");
    rustix::fs::mknodat(
        CWD,
        layer.join("etc/passwd"),
        rustix::fs::FileType::Fifo,
        Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(matches!(
        image.read("etc/passwd"),
        Err(ImageTreeError::NotAFile(_))
    ));
    fs::write(layer.join("etc/group"), [b'x'; 65]).unwrap();
    assert!(matches!(
        image.read("etc/group"),
        Err(ImageTreeError::TooLarge { max: 64, .. })
    ));
    fs::write(layer.join("etc/group"), [b'x'; 64]).unwrap();
    assert_eq!(image.read("etc/group").unwrap().unwrap().len(), 64);
}

#[test]
fn an_image_without_accounts_has_root_and_numbers() {
    let image = Image::new(&[&["bin/"]]);
    let tree = ImageTree::open(&image.layers).unwrap();
    assert_eq!(resolve_user("", &tree).unwrap(), ContainerUser::default());
    assert_eq!(resolve_user("7:8", &tree).unwrap().gid, 8);
    assert!(matches!(
        resolve_user("root", &tree),
        Err(UserError::NoUser(_))
    ));
}

#[test]
fn directories_look_as_their_uppermost_part() {
    let image = Image::new(&[&["etc/"], &["etc/"], &["var/"]]);
    fs::set_permissions(
        image.layers[0].join("etc"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    fs::set_permissions(
        image.layers[1].join("etc"),
        fs::Permissions::from_mode(0o1751),
    )
    .unwrap();
    let tree = ImageTree::open(&image.layers).unwrap();
    assert_eq!(tree.directory(b"etc").unwrap().unwrap().mode, 0o1751);
    assert!(tree.directory(b"none").unwrap().is_none());
}

#[test]
fn id_ranges_end_where_ids_do() {
    assert!(IdBase::new(0).is_ok());
    assert!(IdBase::new(u32::MAX - ID_MAX - 1).is_ok());
    assert!(IdBase::new(u32::MAX - ID_MAX).is_err());
    assert!(IdBase::new(u32::MAX).is_err());
    assert_eq!(IdBase::new(100_000).unwrap().host(65_535), 165_535);
}
