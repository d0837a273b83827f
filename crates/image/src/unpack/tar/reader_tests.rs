#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/support/archive.rs"]
mod archive;

use proptest::prelude::*;

use self::archive::{Archive, Header as Block, record};
use super::*;
use crate::unpack::UnpackLimits;
use crate::unpack::tar::EntryKind::{Device, Directory, Fifo, File, HardLink, Symlink};

fn read_with(limits: UnpackLimits, archive: &[u8]) -> Result<Vec<Entry>, LayerFault> {
    let mut budget = Budget::new(limits);
    let mut reader = Reader::new(archive);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next(&mut budget)? {
        entries.push(entry);
    }
    Ok(entries)
}

fn read(archive: &[u8]) -> Result<Vec<Entry>, LayerFault> {
    read_with(UnpackLimits::default(), archive)
}

fn check(what: &str, archive: Archive, expected: &[(EntryKind, &str)]) {
    let entries = read(&archive.end()).unwrap_or_else(|fault| panic!("{what}: {fault}"));
    let found: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.kind,
                String::from_utf8_lossy(&entry.name).into_owned(),
            )
        })
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(kind, name)| (*kind, (*name).to_owned()))
        .collect();
    assert_eq!(found, expected, "{what}");
}

fn check_refused(what: &str, archive: Archive, expected: HeaderRule) {
    match read(&archive.end()) {
        Err(LayerFault::Header { rule, .. }) => assert_eq!(rule, expected, "{what}"),
        other => panic!("{what}: {other:?}"),
    }
}

fn file(name: &str) -> Block {
    Block::new(b'0', name.as_bytes())
}

#[test]
#[rustfmt::skip]
fn entries_that_every_reader_understands() {
    let new = Archive::new;
    check("nothing", new(), &[]);
    check("file", new().file("a", "b"), &[(File, "a")]);
    check("next to a file of a block", new().file("a", [1; 512]).dir("b"), &[(File, "a"), (Directory, "b")]);
    check("V7 file", new().entry(&Block::new(0, b"a").v7(), b""), &[(File, "a")]);
    check("V7 directory", new().entry(&Block::new(0, b"a/").v7(), b""), &[(Directory, "a/")]);
    check("contiguous file", new().entry(&Block::new(b'7', b"a"), b""), &[(File, "a")]);
    check("hard link", new().hard_link("a", "b"), &[(HardLink, "a")]);
    check("symbolic link", new().symlink("a", "b"), &[(Symlink, "a")]);
    check("fifo", new().entry(&Block::new(b'6', b"a"), b""), &[(Fifo, "a")]);
    check("character device", new().device(b'3', "a", 1, 3), &[(Device, "a")]);
    check("block device", new().device(b'4', "a", 8, 0), &[(Device, "a")]);
    check("prefix", new().entry(&file("b").set(345, b"a"), b""), &[(File, "a/b")]);
    check("GNU has no prefix", new().entry(&file("b").gnu().set(345, b"a"), b""), &[(File, "b")]);
    check("GNU long name", new().extension(b'L', b"long\0").entry(&file("a").gnu(), b""), &[(File, "long")]);
    check("PAX path", new().pax(&[("path", b"long")]).file("a", ""), &[(File, "long")]);
    check("PAX comment", new().pax(&[("comment", b"c")]).file("a", ""), &[(File, "a")]);
    check("global comment", new().extension(b'g', &record("comment", b"c")).file("a", ""), &[(File, "a")]);
    check("two global comments", new().extension(b'g', b"").extension(b'g', b"").file("a", ""), &[(File, "a")]);
    check("PAX size that agrees", new().pax(&[("size", b"1")]).file("a", "b"), &[(File, "a")]);
    check("base-256 size", new().entry(&file("a").set(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x01"), b"b"), &[(File, "a")]);
    check("size in blanks", new().entry(&file("a").set(124, b"         1 \0"), b"b"), &[(File, "a")]);
}

#[test]
fn links_times_and_owners() {
    let archive = Archive::new()
        .pax(&[("linkpath", b"far"), ("uid", b"70000"), ("mtime", b"12.5")])
        .entry(
            &Block::new(b'2', b"a")
                .owner(1, 2)
                .mode(0o17_777)
                .link(b"near"),
            b"",
        )
        .extension(b'K', b"gnu\0")
        .entry(&Block::new(b'1', b"b").gnu().link(b"near"), b"")
        .entry(
            &file("c").set(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
            b"",
        );
    let entries = read(&archive.end()).unwrap();
    let [a, b, c] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (a.link.as_slice(), b.link.as_slice()),
        (&b"far"[..], &b"gnu"[..])
    );
    assert_eq!((a.uid, a.gid, a.mode), (70_000, 2, 0o7777));
    assert_eq!(
        a.mtime,
        Timestamp {
            seconds: 12,
            nanos: 500_000_000
        }
    );
    assert_eq!(
        c.mtime,
        Timestamp {
            seconds: -2,
            nanos: 0
        }
    );
}

#[test]
#[rustfmt::skip]
fn headers_that_are_malformed() {
    let mut broken = Archive::new().file("a", "").0;
    broken[0] ^= 1;
    check_refused("a wrong checksum", Archive(broken), HeaderRule::Checksum);
    check_refused(
        "no header at all",
        Archive(vec![b'x'; 512]),
        HeaderRule::Checksum,
    );
    let one = |block: Block| Archive::new().entry(&block, b"");
    for (what, block, rule) in [
        ("another version", file("a").set(263, b"01"), HeaderRule::Magic),
        ("half of GNU's magic", file("a").set(257, b"ustar \0\0"), HeaderRule::Magic),
        ("star's dialect", file("a").set(508, b"tar\0"), HeaderRule::Magic),
        ("negative size", file("a").set(124, b"-0000000001\0"), HeaderRule::Number),
        ("negative base-256 size", file("a").set(124, &[0xff; 12]), HeaderRule::Number),
        ("base-256 size overflow", file("a").set(124, &[0xbf; 12]), HeaderRule::Number),
        ("a size of letters", file("a").set(124, b"0000000zzzz\0"), HeaderRule::Number),
        ("two sizes", file("a").set(124, b"1 2        \0"), HeaderRule::Number),
        ("a decimal size", file("a").set(124, b"00000000009\0"), HeaderRule::Number),
        ("a hexadecimal size", file("a").set(124, b"0x000000010\0"), HeaderRule::Number),
        ("negative uid", file("a").set(108, &[0xff; 8]), HeaderRule::Number),
        ("negative gid", file("a").set(116, b"-000001\0"), HeaderRule::Number),
        ("negative mode", file("a").set(100, &[0xff; 8]), HeaderRule::Number),
        ("a mode of letters", file("a").set(100, b"rwxr-xr-"), HeaderRule::Number),
        ("a time of letters", file("a").set(136, b"yesterday\0"), HeaderRule::Number),
        ("type Z", Block::new(b'Z', b"a"), HeaderRule::Type),
        ("GNU's directory dump", Block::new(b'D', b"a").gnu(), HeaderRule::Type),
        ("GNU's continued volume", Block::new(b'M', b"a").gnu(), HeaderRule::Type),
        ("GNU's volume label", Block::new(b'V', b"a").gnu(), HeaderRule::Type),
        ("Solaris' extended header", Block::new(b'X', b"a"), HeaderRule::Type),
        ("type 8", Block::new(b'8', b"a"), HeaderRule::Type),
        ("type 255", Block::new(255, b"a"), HeaderRule::Type),
        ("a file with a slash", file("a/"), HeaderRule::SlashAfterFile),
        ("a contiguous file with a slash", Block::new(b'7', b"a/"), HeaderRule::SlashAfterFile),
        ("a directory with data", Block::new(b'5', b"a").size(1), HeaderRule::SizeOfNoData),
        ("a V7 directory with data", Block::new(0, b"a/").v7().size(1), HeaderRule::SizeOfNoData),
        ("a symbolic link with data", Block::new(b'2', b"a").size(512), HeaderRule::SizeOfNoData),
        ("a hard link with data", Block::new(b'1', b"a").size(1), HeaderRule::SizeOfNoData),
        ("a device with data", Block::new(b'3', b"a").size(1), HeaderRule::SizeOfNoData),
        ("a fifo with data", Block::new(b'6', b"a").size(1), HeaderRule::SizeOfNoData),
        ("PAX in V7", Block::new(b'x', b"a").v7(), HeaderRule::Extension),
        ("PAX in GNU", Block::new(b'x', b"a").gnu(), HeaderRule::Extension),
        ("GNU long name in POSIX", Block::new(b'L', b"a"), HeaderRule::Extension),
        ("a sparse file in POSIX", Block::new(b'S', b"a"), HeaderRule::Sparse),
    ] {
        check_refused(what, one(block), rule);
    }
}

#[test]
#[rustfmt::skip]
fn extended_headers_that_readers_read_differently() {
    let new = Archive::new;
    let path = |name: &[u8]| record("path", name);
    for (what, archive, rule) in [
        ("two PAX headers", new().pax(&[("path", b"a")]).pax(&[("path", b"b")]).file("c", ""), HeaderRule::Extension),
        ("two long names", new().extension(b'L', b"a\0").extension(b'L', b"b\0").file("c", ""), HeaderRule::Extension),
        ("two long links", new().extension(b'K', b"a\0").extension(b'K', b"b\0").symlink("c", "d"), HeaderRule::Extension),
        ("a PAX path and a long name", new().pax(&[("path", b"a")]).extension(b'L', b"b\0").file("c", ""), HeaderRule::Extension),
        ("a PAX link and a long link", new().extension(b'K', b"a\0").pax(&[("linkpath", b"b")]).symlink("c", "d"), HeaderRule::Extension),
        ("PAX before the end", new().pax(&[("path", b"a")]), HeaderRule::Extension),
        ("a long name before the end", new().extension(b'L', b"a\0"), HeaderRule::Extension),
        ("PAX before a global header", new().pax(&[("path", b"a")]).extension(b'g', b"").file("b", ""), HeaderRule::Extension),
        ("PAX before a GNU file", new().pax(&[("path", b"a")]).entry(&file("b").gnu(), b""), HeaderRule::Extension),
        ("PAX before a V7 file", new().pax(&[("path", b"a")]).entry(&file("b").v7(), b""), HeaderRule::Extension),
        ("a long name before a V7 file", new().extension(b'L', b"a\0").entry(&file("b").v7(), b""), HeaderRule::Extension),
        ("an empty long name", new().extension(b'L', b"").file("a", ""), HeaderRule::Extension),
        ("a long name that begins with NUL", new().extension(b'L', b"\0a").file("a", ""), HeaderRule::Extension),
        ("a long name with a second one", new().extension(b'L', b"a\0b\0").file("a", ""), HeaderRule::Extension),
        ("a global path", new().extension(b'g', &path(b"a")).file("b", ""), HeaderRule::PaxAmbiguous),
        ("a global size", new().extension(b'g', &record("size", b"1")).file("b", ""), HeaderRule::PaxAmbiguous),
        ("two paths in one header", new().extension(b'x', &[path(b"a"), path(b"b")].concat()).file("c", ""), HeaderRule::PaxAmbiguous),
        ("a PAX path with NUL", new().pax(&[("path", b"a\0b")]).file("c", ""), HeaderRule::PaxAmbiguous),
        ("an empty PAX path", new().pax(&[("path", b"")]).file("c", ""), HeaderRule::PaxAmbiguous),
        ("a larger PAX size", new().pax(&[("size", b"1024")]).file("a", ""), HeaderRule::PaxAmbiguous),
        ("a smaller PAX size", new().pax(&[("size", b"0")]).file("a", "data"), HeaderRule::PaxAmbiguous),
        ("a PAX size of a directory", new().pax(&[("size", b"9999999999")]).dir("a"), HeaderRule::SizeOfNoData),
        ("a negative PAX size", new().pax(&[("size", b"-1")]).file("a", ""), HeaderRule::PaxRecord),
        ("a PAX record cut short", new().extension(b'x', b"99 path=a\n").file("b", ""), HeaderRule::PaxRecord),
        ("a PAX record without a key", new().extension(b'x', b"4 a\n").file("b", ""), HeaderRule::PaxRecord),
        ("bytes after the PAX records", new().extension(b'x', &[path(b"a"), b"\0\0".to_vec()].concat()).file("b", ""), HeaderRule::PaxRecord),
        ("PAX sparse 0.0", new().pax(&[("GNU.sparse.size", b"1")]).file("a", ""), HeaderRule::Sparse),
        ("PAX sparse 0.1", new().pax(&[("GNU.sparse.map", b"0,1")]).file("a", ""), HeaderRule::Sparse),
        ("PAX sparse 1.0", new().pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.name", b"b")]).file("a", ""), HeaderRule::Sparse),
    ] {
        check_refused(what, archive, rule);
    }
}

#[test]
fn ends_that_are_none() {
    for length in [0, 1, 511, 512, 1023] {
        let fault = read(&vec![0; length]).unwrap_err();
        assert_eq!(
            fault,
            LayerFault::Truncated {
                offset: length as u64
            }
        );
    }
    let whole = Archive::new().file("a", [7; 600]).dir("b").end();
    for length in 0..whole.len() {
        let fault = read(&whole[..length]).unwrap_err();
        assert!(
            matches!(fault, LayerFault::Truncated { .. }),
            "{length}: {fault}"
        );
    }
    let after = |bytes: &[u8]| [whole.as_slice(), bytes].concat();
    assert!(read(&after(&[0; 10 * 512])).is_ok());
    assert!(read(&after(&[0; 7])).is_ok());
    let second_archive = Archive::new().file("c", "").end();
    for more in [&b"x"[..], &second_archive] {
        let fault = read(&after(more)).unwrap_err();
        assert!(matches!(
            fault,
            LayerFault::Header {
                rule: HeaderRule::AfterEnd,
                ..
            }
        ));
    }
    let between = Archive::new().raw(&[0; 512]).file("a", "").end();
    let fault = read(&between).unwrap_err();
    assert!(matches!(
        fault,
        LayerFault::Header {
            offset: 512,
            rule: HeaderRule::AfterEnd
        }
    ));
    let padded = after(&vec![0; usize::try_from(TRAILING_BYTES_MAX).unwrap() + 512]);
    let fault = read(&padded).unwrap_err();
    assert!(matches!(
        fault,
        LayerFault::TooLarge {
            limit: Limit::TrailingBytes,
            ..
        }
    ));
}

#[test]
fn what_headers_may_cost() {
    let limits = UnpackLimits {
        entries: 3,
        header_bytes: 3 << 20,
        ..UnpackLimits::default()
    };
    let check = |archive: Archive, expected: Limit| match read_with(limits, &archive.end()) {
        Err(LayerFault::TooLarge { limit, .. }) => assert_eq!(limit, expected),
        other => panic!("{other:?}"),
    };
    let four = (0..4).fold(Archive::new(), |archive, _| archive.file("a", ""));
    check(four, Limit::Entries);
    let large = vec![b'a'; usize::try_from(EXTENSION_BYTES_MAX).unwrap() + 1];
    check(
        Archive::new().extension(b'L', &large),
        Limit::ExtensionBytes,
    );
    let claimed = Archive::new().entry(&Block::new(b'x', b"a").size(u64::from(u32::MAX)), b"");
    check(claimed, Limit::ExtensionBytes);
    let comments = (0..4).fold(Archive::new(), |archive, _| {
        archive
            .pax(&[("comment", &large[..1_000_000])])
            .extension(b'g', b"")
    });
    assert!(read_with(limits, &comments.end()).is_err());
    let globals = (0..4).fold(Archive::new(), |archive, _| {
        archive.extension(b'g', &record("comment", &large[..1_000_000]))
    });
    check(globals, Limit::HeaderBytes);
}

#[test]
fn old_sparse_files() {
    let sparse = |size: u64, real: u64, pieces: &[(u64, u64)]| {
        let map: Vec<u8> = pieces
            .iter()
            .flat_map(|(offset, bytes)| format!("{offset:011o}\0{bytes:011o}\0").into_bytes())
            .collect();
        let block = Block::new(b'S', b"a").gnu().size(size).set(386, &map);
        let block = block.set(483, format!("{real:011o}\0").as_bytes());
        Archive::new().entry(&block, &vec![1; usize::try_from(size).unwrap()])
    };
    let entries = read(&sparse(515, 4096, &[(1024, 512), (4000, 3)]).end()).unwrap();
    assert_eq!((entries[0].size(), entries[0].stored), (4096, 515));
    let pieces = &entries[0].sparse.as_ref().unwrap().pieces;
    assert_eq!(
        pieces
            .iter()
            .map(|p| (p.offset, p.bytes))
            .collect::<Vec<_>>(),
        [(1024, 512), (4000, 3)]
    );
    assert_eq!(
        read(&sparse(0, 1 << 32, &[(1 << 32, 0)]).end()).unwrap()[0].size(),
        1 << 32
    );
    for (what, archive) in [
        (
            "overlapping pieces",
            sparse(1024, 4096, &[(0, 512), (256, 512)]),
        ),
        (
            "descending pieces",
            sparse(1024, 4096, &[(2048, 512), (0, 512)]),
        ),
        ("a piece beyond the end", sparse(512, 1024, &[(1000, 512)])),
        (
            "a piece that wraps",
            sparse(512, 4096, &[(0o77_777_777_777, 512)]),
        ),
        ("less data than pieces", sparse(512, 4096, &[(0, 1024)])),
        ("more data than pieces", sparse(1024, 4096, &[(0, 512)])),
        (
            "a piece that ends within a block",
            sparse(514, 4096, &[(0, 2), (1024, 512)]),
        ),
    ] {
        check_refused(what, archive, HeaderRule::Sparse);
    }
}

proptest! {
    #[test]
    fn any_archive_of_broken_headers_ends(
        flips in proptest::collection::vec((0_usize..2560, any::<u8>()), 0..6),
    ) {
        let mut archive = Archive::new()
            .pax(&[("path", b"a/b")])
            .file("x", "data")
            .end();
        for (at, value) in flips {
            let block = at / 512 * 512;
            archive[at] = value;
            let sum: u32 = (block..block + 512)
                .map(|i| if (148..156).contains(&(i - block)) { 32 } else { u32::from(archive[i]) })
                .sum();
            archive[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let _ = read(&archive);
    }
}
