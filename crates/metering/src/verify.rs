//! Whether a ledger is as it was written, and passed through the heads that were published of it.

use std::collections::BTreeMap;

use burstlet_model::WallTime;

use crate::chain::Hash;
use crate::ledger::{Damage, Files, Found, OpenError, Scan, scan};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The ledger, with what is not as it was written.
    pub scan: Scan,
    /// Records that were read.
    pub records: u64,
    /// From when on the ledger has every session; `None` if nothing was retired.
    pub since: Option<WallTime>,
}

impl Verified {
    /// Whether everything is as it was written.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.scan.damages.is_empty()
    }
}

/// Reads a ledger, and compares it with heads that were published, by the number of their record.
///
/// # Errors
/// It cannot be read, or a newer version wrote it. Damage is no error: it is reported.
pub fn verify(files: &impl Files, published: &BTreeMap<u64, Hash>) -> Result<Verified, OpenError> {
    let mut heads: BTreeMap<u64, Hash> = BTreeMap::new();
    let (mut records, mut since) = (0, None);
    let mut note = |seq, head| {
        if published.contains_key(&seq) {
            heads.insert(seq, head);
        }
    };
    let mut scan = scan(files, |found| match found {
        Found::Carried(carried) => {
            since = Some(carried.since);
            note(carried.seq, carried.head);
        }
        Found::Record(entered) => {
            records += 1;
            note(entered.record.seq, entered.head);
        }
    })?;
    let retired = scan.carried.map_or(0, |(_, carry)| carry.through);
    for (seq, head) in published {
        let what = match heads.get(seq) {
            Some(found) if found == head => continue,
            Some(_) => "it does not lead to the head that was published",
            None if *seq <= retired => {
                "it is retired: hack/verify-ledger checks it with the archive"
            }
            None => "its head was published, and it is not there",
        };
        scan.damages.push(Damage {
            file: format!("record {seq}"),
            from_seq: *seq,
            what: what.to_owned(),
        });
    }
    Ok(Verified {
        scan,
        records,
        since,
    })
}
