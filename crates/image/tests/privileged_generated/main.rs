//! Layers that nobody wrote: every way out combined with every act, and archives by chance, of
//! which each is unpacked beside a directory of canaries. What is accepted agrees with GNU tar and
//! umoci. Needs root, `tar` and `umoci`.
//!
//! `BURSTLET_TEST_ARCHIVES` says how many archives are made by chance (ten thousand take a while),
//! `BURSTLET_TEST_SEED` from which number on: one that failed is named by its seed and comes again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod archives;
#[path = "../support/mod.rs"]
mod support;
mod ways;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use support::archive::{Archive, Header};

/// Archives by chance where nobody says how many.
const ARCHIVES: u64 = 150;

/// How often the canaries are linked, which their listing does not say.
fn links(outside: &Path) -> u64 {
    let count = |name| fs::metadata(outside.join(name)).unwrap().nlink();
    count("passwd") + count("sub/canary")
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let said = std::env::var(variable).ok();
    said.map_or(otherwise, |text| text.parse().unwrap())
}

/// How many archives are made by chance.
fn archives() -> u64 {
    number("BURSTLET_TEST_ARCHIVES", ARCHIVES)
}

/// The first archive's number.
fn first_seed() -> u64 {
    number("BURSTLET_TEST_SEED", 0)
}

fn header(kind: u8) -> Header {
    Header::new(kind, b"").mode(0o4777).owner(7, 7).mtime(1)
}

fn at(archive: Archive, kind: u8, path: &str) -> Archive {
    archive
        .pax(&[("path", path.as_bytes())])
        .entry(&header(kind), b"")
}

/// Numbers that are the same for the same seed.
struct Chance(u64);

impl Chance {
    fn of(seed: u64) -> Self {
        // The first numbers of neighbours are alike without this.
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}
