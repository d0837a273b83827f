//! A layer. Nothing outside its directory changes, what is inside is bounded and can be removed, and of
//! an archive that another reader takes as well both see as many entries.
#![no_main]

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use burstlet_image::fuzzing::unpack;
use burstlet_image::unpack::UnpackLimits;
use burstlet_image::{measure_tree, remove_tree};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const BLOCK_BYTES: usize = 512;
const LIMITS: UnpackLimits = UnpackLimits {
    entries: 256,
    logical_bytes: 1 << 20,
    disk_bytes: 1 << 20,
    header_bytes: 64 << 10,
    depth: 16,
    ratio: 200,
    ratio_floor_bytes: 1 << 20,
};

fuzz_target!(|data: (bool, &[u8])| {
    let (is_raw, bytes) = data;
    let mut archive = bytes.to_vec();
    if !is_raw {
        make_checksums_right(&mut archive);
    }
    let outside = outside();
    let before = outside.look();
    let root = outside.root();
    fs::create_dir(&root).expect("make the root");
    let opened = File::open(&root).expect("open the root");
    let unpacked = unpack(opened.into(), &archive, LIMITS);
    let size = measure_tree(&root, u64::MAX).expect("measure the tree");
    assert!(size.bytes <= 2 * LIMITS.disk_bytes, "{size:?}");
    assert!(size.entries <= LIMITS.entries * LIMITS.depth, "{size:?}");
    remove_tree(&root).expect("remove the tree");
    assert_eq!(outside.look(), before, "something outside changed");
    if let Ok(unpacked) = unpacked {
        let other = entries_of(&archive);
        assert!(
            other.is_none_or(|other| other == unpacked.entries),
            "{unpacked:?}"
        );
        assert!(unpacked.logical_bytes <= LIMITS.logical_bytes);
    }
});

/// A directory with a file that layers would like to reach.
struct Outside(TempDir);

fn outside() -> &'static Outside {
    static OUTSIDE: OnceLock<Outside> = OnceLock::new();
    OUTSIDE.get_or_init(|| {
        let dir = TempDir::new().expect("make a directory");
        fs::write(dir.path().join("canary"), "alive").expect("write a file");
        Outside(dir)
    })
}

impl Outside {
    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn look(&self) -> (Vec<OsString>, Vec<u8>, [i64; 7]) {
        let path = self.0.path().join("canary");
        let entries = fs::read_dir(self.0.path()).expect("list the directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let canary: Metadata = fs::symlink_metadata(&path).expect("look at the file");
        let seen = [
            i64::from(canary.mode()),
            i64::from(canary.uid()),
            i64::from(canary.gid()),
            canary.nlink().cast_signed(),
            canary.mtime(),
            canary.mtime_nsec(),
            canary.ino().cast_signed(),
        ];
        (
            names.collect(),
            fs::read(path).expect("read the file"),
            seen,
        )
    }
}

/// Chance never finds a checksum: gives every header the right one, as far as sizes lead to headers.
fn make_checksums_right(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = archive.get_mut(at..at + BLOCK_BYTES) {
        at += BLOCK_BYTES;
        if header.iter().all(|byte| *byte == 0) {
            continue;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = header[124..135].iter().map(|byte| char::from(*byte));
        let size = usize::from_str_radix(&digits.collect::<String>(), 8).unwrap_or(0);
        at = at.saturating_add(size.next_multiple_of(BLOCK_BYTES));
    }
}

/// How many entries another reader sees; `None` if it refuses the archive.
fn entries_of(archive: &[u8]) -> Option<u64> {
    let mut read = tar::Archive::new(archive);
    let mut count = 0;
    for entry in read.entries().ok()? {
        let kind = entry.ok()?.header().entry_type();
        count += u64::from(!kind.is_pax_global_extensions());
    }
    Some(count)
}
