//! The hashes that tie each record to all before it.
//!
//! A record stands in the chain by the hash of its body alone, so that a chain can be checked by
//! somebody who sees some of the bodies and of the others only their hashes.

use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// The identity of one ledger, chosen at random when it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerId(pub [u8; 16]);

/// The head of a chain without records.
#[must_use]
pub fn genesis(ledger: LedgerId) -> Hash {
    hash(&[b"burstlet ledger", &ledger.0])
}

/// What stands for a record in the chain.
#[must_use]
pub fn leaf(body: &[u8]) -> Hash {
    hash(&[&[0], body])
}

/// The head after one more record.
#[must_use]
pub fn next(head: &Hash, leaf: &Hash) -> Hash {
    hash(&[&[1], head, leaf])
}

/// The first 52 bits of a head as a number, which a 64-bit float holds exactly: a witness that
/// fits a metric.
#[must_use]
pub fn head52(head: &Hash) -> u64 {
    let [a, b, c, d, e, f, g, ..] = *head;
    u64::from_be_bytes([0, a, b, c, d, e, f, g]) >> 4
}

/// Derives bytes that nobody can guess who does not know `key`.
pub(crate) fn derive(key: &Hash, purpose: &[u8], number: u64) -> [u8; 16] {
    let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        hash(&[key, purpose, &number.to_le_bytes()]);
    bytes
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
