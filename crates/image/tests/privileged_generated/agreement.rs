//! Archives that every tool should read the same, and what other tools make of them.

use std::fs;
use std::path::Path;

use super::support::archive::{Archive, Header};
use super::support::{Stage, blob, listing, run};
use super::{Chance, archives, first_seed};

/// One of so many archives is compared.
const PER_COMPARISON: u64 = 10;

/// A name that is one everywhere, numbered so that none comes twice.
fn tame_name(chance: &mut Chance, directories: &[String], index: usize) -> String {
    const STEMS: [&str; 6] = [
        "plain",
        "with blank",
        "\u{fc}ml\u{e4}ut",
        "x",
        "-option",
        "a.wh.b",
    ];
    let directory = &directories[chance.below(directories.len())];
    format!("{directory}{}{index}", chance.pick(&STEMS))
}

fn tame_header(chance: &mut Chance) -> Header {
    let number = |value: usize| u32::try_from(value).unwrap();
    let (owner, seconds) = (
        number(chance.below(3000)),
        number(chance.below(2_000_000_000)),
    );
    let mode = [0o644, 0o4755, 0o600, 0o1777, 0][chance.below(5)];
    Header::new(b'0', b"")
        .mode(mode)
        .owner(owner, owner / 2)
        .mtime(seconds.into())
}

fn of_kind(mut header: Header, kind: u8) -> Header {
    header.0[156] = kind;
    header
}

/// An archive that every tool reads the same: each name once, after the directory that it is in.
fn tame_archive(chance: &mut Chance) -> Vec<u8> {
    let mut archive = Archive::new();
    let mut directories = vec![String::new()];
    let mut files: Vec<(String, Header)> = Vec::new();
    for index in 0..=chance.below(40) {
        let path = tame_name(chance, &directories, index);
        let header = tame_header(chance);
        let mut records = vec![("path", path.as_bytes())];
        let (header, data) = match chance.below(6) {
            0 | 1 => (of_kind(header, b'5').mode(0o755), Vec::new()),
            2 => (of_kind(header, b'2').link(b"../nowhere/x"), Vec::new()),
            3 if !files.is_empty() => {
                let (source, header) = &files[chance.below(files.len())];
                records.push(("linkpath", source.as_bytes()));
                (of_kind(header.clone(), b'1'), Vec::new())
            }
            // The bits above mean nothing for a fifo, and are dropped.
            4 => (of_kind(header, b'6').mode(0o640), Vec::new()),
            _ => {
                let data = vec![b'd'; chance.below(5000)];
                (header.size(data.len() as u64), data)
            }
        };
        archive = archive.pax(&records).entry(&header, &data);
        match header.0[156] {
            b'5' => directories.push(format!("{path}/")),
            b'0' => files.push((path, header.size(0))),
            _ => {}
        }
    }
    archive.end()
}

/// What is below the root; the root itself is the target's, not the archive's.
fn below(root: &Path) -> String {
    let listing = listing::of(root);
    let lines = listing.split_inclusive('\n');
    lines.filter(|line| !line.starts_with("/ ")).collect()
}

fn by_tar(archive: &Path, room: &Path) -> String {
    fs::create_dir(room.join("tar")).unwrap();
    let archive = archive.to_str().unwrap();
    let how = [
        "-x",
        "-p",
        "--same-owner",
        "--numeric-owner",
        "--delay-directory-restore",
    ];
    run(
        "tar",
        &[&how[..], &["-C", "tar", "-f", archive]].concat(),
        room,
    );
    below(&room.join("tar"))
}

fn by_umoci(archive: &Path, room: &Path) -> String {
    let archive = archive.to_str().unwrap();
    run("umoci", &["init", "--layout", "image"], room);
    run("umoci", &["new", "--image", "image:a"], room);
    run(
        "umoci",
        &["raw", "add-layer", "--image", "image:a", archive],
        room,
    );
    run(
        "umoci",
        &["raw", "unpack", "--image", "image:a", "rootfs"],
        room,
    );
    below(&room.join("rootfs"))
}

#[test]
fn what_is_accepted_is_what_other_tools_make_of_it() {
    let first = first_seed();
    let count = archives() / PER_COMPARISON;
    for seed in first..first + count {
        let layer = tame_archive(&mut Chance::of(seed));
        let stage = Stage::new();
        stage.unpack(blob(&layer)).unwrap();
        let ours = below(&stage.target());
        let room = tempfile::tempdir().unwrap();
        let archive = room.path().join("layer.tar");
        fs::write(&archive, &layer).unwrap();
        for (tool, theirs) in [
            ("tar", by_tar(&archive, room.path())),
            ("umoci", by_umoci(&archive, room.path())),
        ] {
            let difference = listing::difference(&ours, &theirs);
            assert!(difference.is_empty(), "seed {seed}, {tool}:\n{difference}");
        }
    }
}
