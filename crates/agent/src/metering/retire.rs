//! What is older than the operator wants to keep becomes sums.

use anyhow::Context;
use burstlet_metering::ledger::Inspected;
use burstlet_metering::retire::retiring;
use burstlet_model::WallTime;

use super::{Metering, random};

const DAY_NS: u64 = 24 * 3600 * 1_000_000_000;

impl Metering {
    /// Lets go of segments of which everything is older than this many days. 0 keeps all.
    ///
    /// # Errors
    /// The ledger cannot be read or written, or is damaged; it stays as it is.
    pub(crate) async fn retire(&self, keep_days: u32) -> anyhow::Result<()> {
        if keep_days == 0 || self.ledger.status().borrow().segments < 2 {
            return Ok(());
        }
        let age = DAY_NS.saturating_mul(keep_days.into());
        let now = self.now().stamp.wall.0;
        let before = WallTime(now.saturating_sub_unsigned(age));
        let (directory, tags) = (self.directory.clone(), self.tag_labels.clone());
        let look = move || -> anyhow::Result<_> {
            let [salt @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
                random().context("get random bytes")?;
            Ok(retiring(&Inspected::new(&directory), &tags, before, salt)?)
        };
        let Some(found) = tokio::task::spawn_blocking(look).await?? else {
            return Ok(());
        };
        let (segment, since) = (found.carried.segment, found.carried.since);
        self.ledger.retire(found.carried).await?;
        self.meter.forget(&found.summed, since);
        tracing::info!(
            up_to_segment = segment,
            sessions = found.summed.len(),
            "old segments of the ledger are retired; their sums are carried on"
        );
        Ok(())
    }
}
