#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "compared with the times of files made here"
)]

use std::os::unix::fs::PermissionsExt;

use super::*;

fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor {
        digest: digest_of(bytes),
        size: bytes.len() as u64,
        media_type: String::new(),
    }
}

fn store() -> (tempfile::TempDir, ContentStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = ContentStore::open(&dir.path().join("content"), SystemTime::now()).unwrap();
    (dir, store)
}

#[test]
fn documents_are_kept_and_verified_again() {
    let (dir, store) = store();
    let digest = digest_of(b"text");
    assert!(matches!(
        store.read(&digest, 10),
        Err(ContentError::Absent(_))
    ));
    assert!(matches!(
        store.put(&digest, b"other"),
        Err(ContentError::Digest { .. })
    ));
    assert_eq!(store.list().unwrap(), []);
    store.put(&digest, b"text").unwrap();
    assert_eq!(store.read(&digest, 10).unwrap(), b"text");
    assert!(
        store.read(&digest, 3).is_err(),
        "longer than the reader allows"
    );
    let path = store.path(&digest);
    fs::write(&path, b"tost").unwrap();
    assert!(matches!(
        store.read(&digest, 10),
        Err(ContentError::Digest { .. })
    ));
    store.put(&digest, b"text").unwrap();
    assert_eq!(store.read(&digest, 10).unwrap(), b"text");
    store.remove(&digest).unwrap();
    store.remove(&digest).unwrap();
    let mode = fs::metadata(dir.path().join("content/blobs"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700, "the store is closed to everybody else");
}

#[test]
fn a_partial_blob_is_continued() {
    let (_dir, store) = store();
    let whole = blob(b"hello world");
    let mut partial = store.partial(&whole, "a").unwrap();
    partial.append(b"hello ").unwrap();
    drop(partial);
    let mut partial = store.partial(&whole, "a").unwrap();
    assert_eq!(partial.written(), 6);
    partial.append(b"world").unwrap();
    let received = partial.verify().unwrap();
    let mut text = String::new();
    received.file().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello world");
    received.remove().unwrap();
    assert_eq!(store.partial(&whole, "a").unwrap().written(), 0);
    assert_eq!(store.partial(&whole, "b").unwrap().written(), 0);
}

#[test]
fn wrong_bytes_are_never_kept() {
    let (_dir, store) = store();
    let whole = blob(b"right");
    let mut partial = store.partial(&whole, "a").unwrap();
    partial.append(b"wrong").unwrap();
    assert!(matches!(partial.verify(), Err(ContentError::Digest { .. })));
    let mut partial = store.partial(&whole, "a").unwrap();
    assert_eq!(partial.written(), 0, "the wrong bytes are gone");
    assert!(matches!(
        partial.append(b"right+"),
        Err(ContentError::Size { got: 6, .. })
    ));
    partial.append(b"rig").unwrap();
    assert!(matches!(
        partial.verify(),
        Err(ContentError::Size { got: 3, .. })
    ));
}

#[test]
fn an_overlong_leftover_is_dropped() {
    let (_dir, store) = store();
    let mut long = store
        .partial(
            &Descriptor {
                size: 100,
                ..blob(b"abc")
            },
            "a",
        )
        .unwrap();
    long.append(b"abcdef").unwrap();
    drop(long);
    assert_eq!(store.partial(&blob(b"abc"), "a").unwrap().written(), 0);
}

#[test]
fn opening_removes_what_a_crash_left() {
    let (dir, store) = store();
    let content = dir.path().join("content");
    fs::write(content.join("blobs/.new-x"), b"half").unwrap();
    let mut partial = store.partial(&blob(b"abc"), "a").unwrap();
    partial.append(b"ab").unwrap();
    drop(partial);
    let later = SystemTime::now() + PARTIAL_AGE_MAX + Duration::from_secs(60);
    ContentStore::open(&content, SystemTime::now()).unwrap();
    assert_eq!(fs::read_dir(content.join("partial")).unwrap().count(), 1);
    ContentStore::open(&content, later).unwrap();
    assert_eq!(fs::read_dir(content.join("partial")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(content.join("blobs")).unwrap().count(), 0);
}
