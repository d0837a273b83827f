use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tar::Header;
use tempfile::TempDir;

use super::*;

/// An archive whose paths are written as they are, however bad.
#[derive(Default)]
struct Made(Vec<u8>);

impl Made {
    fn entry(mut self, kind: EntryType, path: &str, link: &str, content: &str) -> Self {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o6755);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content.as_bytes());
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, path, "", content)
    }

    fn symlink(self, path: &str, to: &str) -> Self {
        self.entry(EntryType::Symlink, path, to, "")
    }
}

/// A directory with a file beside it that nothing may touch.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("into")).unwrap();
        fs::write(dir.path().join("outside"), "untouched").unwrap();
        Self { dir }
    }

    fn inside(&self) -> PathBuf {
        self.dir.path().join("into")
    }

    fn extract(&self, made: &Made, from: Option<&str>, to: Option<&str>) -> Result<Summary> {
        let directory = self.inside();
        let (from, to) = (from.map(OsString::from), to.map(OsString::from));
        let extracted = Target {
            directory,
            from,
            to,
        }
        .extract(made.0.as_slice());
        let outside = fs::read_to_string(self.dir.path().join("outside")).unwrap();
        assert_eq!(outside, "untouched");
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 2);
        extracted
    }
}

#[test]
fn paths_stay_below_or_are_refused() {
    let target = |from: Option<&str>, to: Option<&str>| Target {
        directory: PathBuf::new(),
        from: from.map(OsString::from),
        to: to.map(OsString::from),
    };
    let check = |from, to, path: &str, expected: Option<&str>| {
        let place = target(from, to).place(Path::new(path));
        assert_eq!(place.as_deref(), expected.map(Path::new), "{path}");
    };
    check(None, None, "a/b", Some("a/b"));
    check(None, None, "./a//b/.", Some("a/b"));
    check(None, Some("x"), "./a", Some("x/a"));
    check(Some("etc"), Some("copy"), "etc/passwd", Some("copy/passwd"));
    check(Some("etc"), Some("copy"), "etc", Some("copy"));
    check(Some("etc"), Some("copy"), "etcetera/x", None);
    check(Some("etc"), Some("copy"), "other", None);
    for path in ["/etc/passwd", "../x", "a/../../x", "a/..", ".."] {
        check(None, None, path, None);
    }
}

#[test]
fn files_directories_and_links_are_written() {
    let place = Place::new();
    let made = Made::default()
        .entry(EntryType::Directory, "src/", "", "")
        .file("src/deep/a", "content")
        .entry(EntryType::Link, "src/b", "src/deep/a", "")
        .symlink("src/c", "deep/a");
    let summary = place.extract(&made, Some("src"), Some("dst")).unwrap();
    assert_eq!(
        summary,
        Summary {
            written: 4,
            left_out: vec![]
        }
    );
    let at = |path: &str| place.inside().join(path);
    assert_eq!(fs::read_to_string(at("dst/deep/a")).unwrap(), "content");
    let metadata = fs::metadata(at("dst/deep/a")).unwrap();
    assert_eq!(
        (metadata.permissions().mode() & 0o7777, metadata.mtime()),
        (0o755, 1_000_000_000)
    );
    assert_eq!(fs::metadata(at("dst/b")).unwrap().ino(), metadata.ino());
    assert_eq!(fs::read_link(at("dst/c")).unwrap(), Path::new("deep/a"));
    assert_eq!(
        fs::metadata(at("dst")).unwrap().permissions().mode() & 0o7777,
        0o755
    );
}

#[test]
fn nothing_is_written_through_a_link() {
    for (link, file) in [("../outside", "l"), ("..", "l/outside"), ("/", "l/outside")] {
        let place = Place::new();
        let made = Made::default().symlink("l", link).file(file, "overwritten");
        let extracted = place.extract(&made, None, None);
        // A file in place of a link replaces the link; a path through one fails.
        assert_eq!(extracted.is_ok(), file == "l", "{link}");
    }
    // A link that was there before is no better.
    let place = Place::new();
    std::os::unix::fs::symlink("..", place.inside().join("old")).unwrap();
    let made = Made::default().file("old/outside", "overwritten");
    assert!(place.extract(&made, None, None).is_err());
}

#[test]
fn hard_links_do_not_reach_out() {
    let place = Place::new();
    let made = Made::default()
        .entry(EntryType::Link, "a", "../outside", "")
        .entry(EntryType::Link, "b", "/etc/passwd", "");
    let summary = place.extract(&made, None, None).unwrap();
    assert_eq!(summary.written, 0);
    assert_eq!(
        summary.left_out,
        [
            "a: it is a link that leads elsewhere",
            "b: it is a link that leads elsewhere"
        ]
    );
}

#[test]
fn bad_paths_and_devices_are_left_out_and_told() {
    let place = Place::new();
    let made = Made::default()
        .file("/abs", "x")
        .file("../outside", "x")
        .entry(EntryType::Fifo, "fifo", "", "")
        .entry(EntryType::Char, "dev", "", "")
        .file("good", "x");
    let summary = place.extract(&made, None, None).unwrap();
    assert_eq!(summary.written, 1);
    assert_eq!(
        summary.left_out,
        [
            "/abs: its path leads elsewhere",
            "../outside: its path leads elsewhere",
            "fifo: it is no file, directory or link",
            "dev: it is no file, directory or link",
        ]
    );
}
