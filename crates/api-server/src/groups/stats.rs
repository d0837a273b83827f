//! Stats: what groups use now, once or again and again.

use std::sync::Arc;
use std::time::Duration;

use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Refusal, Snapshot};
use futures_util::{StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval};
use tonic::Status;

use super::resolve::Scope;
use crate::access::Asked;
use crate::machine::Machine;
use crate::streams::{self, Answer, Answers};
use crate::{convert, status};

/// The shortest time between two readings.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Groups that are read at once.
const READINGS_AT_ONCE_MAX: usize = 8;

/// One reading, or one at each interval.
pub(crate) async fn stats<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: &v1::StatsRequest,
) -> Result<Answers<v1::StatsResponse>, Status> {
    let only = request.group.as_ref();
    let scope = Scope::new(api, &request.namespace, &request.label_selector, only)?;
    let every = every(request)?;
    let permit = api.stream_permit()?;
    let reader = Reader {
        api: api.clone(),
        scope,
    };
    // The first reading is made here, so that its failure is the answer.
    let first = reader.read().await?;
    let span = tracing::debug_span!("stats");
    Ok(streams::task(permit, span, |answers| {
        reader.run(first, every, answers)
    }))
}

fn every(request: &v1::StatsRequest) -> Result<Option<Duration>, Status> {
    let Some(interval) = &request.interval else {
        return Ok(None);
    };
    match convert::std_duration(interval) {
        Some(interval) if interval >= INTERVAL_MIN => Ok(Some(interval)),
        _ => {
            let message = format!("at least {} ms are needed", INTERVAL_MIN.as_millis());
            Err(status::invalid("interval", message))
        }
    }
}

struct Reader<H, M> {
    api: Asked<H, M>,
    scope: Scope,
}

impl<H: Host, M: Machine> Reader<H, M> {
    async fn run(
        self,
        first: v1::StatsResponse,
        every: Option<Duration>,
        answers: Answer<v1::StatsResponse>,
    ) -> Result<(), Status> {
        if streams::send(&answers, first).await.is_err() {
            return Ok(());
        }
        let Some(every) = every else {
            return Ok(());
        };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let reading = self.read().await?;
            if streams::send(&answers, reading).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn read(&self) -> Result<v1::StatsResponse, Status> {
        let there = self.scope.select(self.api.groups().list().groups);
        let readings = stream::iter(there).map(|snapshot| self.read_one(snapshot));
        let mut readings = readings.buffered(READINGS_AT_ONCE_MAX);
        let mut groups = Vec::new();
        while let Some(reading) = readings.next().await {
            match reading {
                Ok(stats) => groups.push(stats),
                // Of many, those that run are shown.
                Err(_) if !self.scope.is_single() => {}
                Err(refusal) => return Err(status::refusal(&refusal)),
            }
        }
        Ok(v1::StatsResponse { groups })
    }

    async fn read_one(&self, snapshot: Arc<Snapshot>) -> Result<v1::GroupStats, Refusal> {
        let usage = self.api.groups().usage(&snapshot.uid).await?;
        Ok(convert::group_stats(&snapshot, &usage))
    }
}
