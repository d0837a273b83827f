//! Reading the ledger beside its writer, to see whether it is as it was written.

use std::collections::BTreeMap;

use burstlet_metering::chain::Hash;
use burstlet_metering::ledger::{Damage, OpenError};
use burstlet_metering::verify::{Verified, verify as check};
use burstlet_metering::{Hex, published};
use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use tonic::Status;

use super::{beside, convert};
use crate::access::Asked;
use crate::machine::Machine;
use crate::status;

/// Heads of one request.
const HEADS_MAX: usize = 1024;
/// Looks at a ledger whose segments go meanwhile, which happens once a day.
const LOOKS_MAX: usize = 3;

/// Says whether every record is as it was written.
pub(crate) async fn verify<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::VerifyRequest,
) -> Result<v1::VerifyResponse, Status> {
    let heads = heads(&request.heads)?;
    let files = api.settings().ledger.clone();
    beside(api, move |_| {
        let mut verified = check(&files, &heads);
        for _ in 1..LOOKS_MAX {
            if !matches!(verified, Err(OpenError::Storage { .. })) {
                break;
            }
            verified = check(&files, &heads);
        }
        let verified = verified.map_err(|error| status::ledger(&error))?;
        Ok(answer(verified))
    })
    .await
}

fn heads(given: &[v1::PublishedHead]) -> Result<BTreeMap<u64, Hash>, Status> {
    if given.len() > HEADS_MAX {
        return Err(status::invalid(
            "heads",
            format!("takes at most {HEADS_MAX}"),
        ));
    }
    let head = |head: &v1::PublishedHead| {
        let text = format!("{}:{}", head.sequence, head.head);
        let wrong = || status::invalid("heads", "head must be 64 hexadecimal digits");
        published(&text).ok_or_else(wrong)
    };
    given.iter().map(head).collect()
}

fn answer(verified: Verified) -> v1::VerifyResponse {
    let Verified {
        scan,
        records,
        since,
    } = verified;
    let damage = |damage: Damage| v1::LedgerDamage {
        file: damage.file,
        from_sequence: damage.from_seq,
        what: damage.what,
    };
    v1::VerifyResponse {
        ledger: Some(v1::LedgerHead {
            ledger: Hex(&scan.ledger.unwrap_or_default().0).to_string(),
            sequence: scan.seq,
            head: Hex(&scan.head).to_string(),
            epoch: scan.epoch,
            complete_since: since.map(convert::timestamp),
        }),
        first_sequence: scan.first_seq,
        records,
        damages: scan.damages.into_iter().map(damage).collect(),
    }
}
