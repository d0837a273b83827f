//! Archives of anything, now and then damaged.

use burstlet_image::LayerPacking;
use burstlet_image::unpack::UnpackError;

use super::support::archive::{Archive, Header};
use super::support::hostile::pack;
use super::support::{Stage, config, packed};
use super::{Chance, archives, at, first_seed, links};

const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "a",
    "b",
    "..",
    ".",
    "",
    ".wh.a",
    ".wh.b",
    ".wh..wh..opq",
    "...",
    "\u{1b}[2J",
];

fn any_path(chance: &mut Chance, outside: &str) -> String {
    let parts: Vec<&str> = (0..=chance.below(4)).map(|_| chance.pick(WORDS)).collect();
    match chance.below(12) {
        0 => format!("{outside}/{}", parts.join("/")),
        1 => format!("/{}", parts.join("/")),
        2 => format!("../outside/{}", parts.join("/")),
        _ => parts.join("/"),
    }
}

fn any_entry(archive: Archive, chance: &mut Chance, outside: &str) -> Archive {
    let (path, other) = (any_path(chance, outside), any_path(chance, outside));
    match chance.below(12) {
        0..=2 => archive.file(path, vec![b'x'; chance.below(2000)]),
        3 | 4 => archive.dir(path),
        5 | 6 => archive.symlink(path, other),
        7 => archive.hard_link(path, other),
        8 => at(archive, b"34670SV"[chance.below(7)], &path),
        9 => archive.pax(&[("path", path.as_bytes()), ("linkpath", other.as_bytes())]),
        10 => archive.extension(b"LKxgX"[chance.below(5)], path.as_bytes()),
        _ => {
            let (field, byte) = (chance.below(500), u8::try_from(chance.below(256)).unwrap());
            archive.entry(&Header::new(b'0', path.as_bytes()).set(field, &[byte]), b"")
        }
    }
}

/// An archive of anything, now and then damaged after it was written.
fn any_archive(chance: &mut Chance, outside: &str) -> Vec<u8> {
    let mut archive = Archive::new();
    for _ in 0..=chance.below(30) {
        archive = any_entry(archive, chance, outside);
    }
    let mut bytes = archive.end();
    match chance.below(6) {
        0 => {
            let at = chance.below(bytes.len());
            bytes[at] ^= 1 << chance.below(8);
        }
        1 => bytes.truncate(chance.below(bytes.len())),
        _ => {}
    }
    bytes
}

#[test]
fn archives_by_chance_are_unpacked_inside_or_refused() {
    let first = first_seed();
    let (mut accepted, count) = (0, archives());
    for seed in first..first + count {
        let stage = Stage::new();
        let mut chance = Chance::of(seed);
        let layer = any_archive(&mut chance, &stage.outside().display().to_string());
        let packings = [LayerPacking::None, LayerPacking::Gzip, LayerPacking::Zstd];
        let packing = packings[chance.below(3)];
        let packed = packed(&layer, &pack(&layer, packing), packing);
        let result = stage.unpack_with(config(), packed);
        assert_eq!(links(&stage.outside()), 2, "seed {seed}");
        let judged = matches!(result, Ok(_) | Err(UnpackError::Layer(_)));
        assert!(judged, "seed {seed}: {result:?}");
        accepted += u64::from(result.is_ok());
        burstlet_image::remove_tree(&stage.target()).unwrap();
        assert!(!stage.target().exists(), "seed {seed} cannot be removed");
    }
    println!("{accepted} of {count} were accepted");
}
