use std::sync::Arc;

use burstlet_manifest::{Context, Policy, Refused, Translation};
use burstlet_metering::Meter;
use burstlet_metering::focus::Invoice;
use burstlet_metering::ledger::Inspected;
use burstlet_model::spec::ResourceList;
use burstlet_model::{GroupUid, Stamp};
use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Groups, Snapshot};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::access::{RatesByNamespace, Usage};
use crate::machine::Machine;
use crate::{convert, status};

/// Streams that are open at once, over all connections: watches, logs, sessions, forwards.
pub(crate) const STREAMS_MAX: usize = 4096;

/// What the operator configured, as far as the edge must know it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What definitions may ask for.
    pub policy: Policy,
    /// What pods of a cluster may.
    pub pods: Policy,
    /// What a container without limits may use at most.
    pub allocatable: ResourceList,
    /// The domain of the node's groups.
    pub domain: String,
    /// What the machine has.
    pub total: ResourceList,
    /// What of it is not given to groups.
    pub reserved: ResourceList,
    /// How many groups may wait for room.
    pub queue_max: u32,
    /// What the ledger tells.
    pub meter: Meter,
    /// Where the ledger is, to be read beside its writer.
    pub ledger: Inspected,
    /// Who bills whom, in exports.
    pub invoice: Invoice,
    /// What each namespace may take of the edge.
    pub rates: RatesByNamespace,
}

/// The services' state: all of them are this. Cheap to clone.
#[derive(Debug)]
pub struct Api<H, M> {
    shared: Arc<Shared<H, M>>,
}

#[derive(Debug)]
struct Shared<H, M> {
    groups: Groups<H>,
    machine: M,
    settings: Settings,
    streams: Arc<Semaphore>,
    usage: Usage,
}

impl<H, M> Clone for Api<H, M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<H: Host, M: Machine> Api<H, M> {
    /// The services over these groups and this machine.
    pub fn new(groups: Groups<H>, machine: M, settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                groups,
                machine,
                usage: Usage::new(settings.rates.clone()),
                settings,
                streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            }),
        }
    }

    pub(crate) fn groups(&self) -> &Groups<H> {
        &self.shared.groups
    }

    pub(crate) fn machine(&self) -> &M {
        &self.shared.machine
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.settings().meter
    }

    pub(crate) fn now(&self) -> Stamp {
        self.groups().host().now()
    }

    /// A group as it is now and what it costs. One that cannot be rated has no cost; the ledger's
    /// own reader has told why.
    pub(crate) fn show(&self, snapshot: &Snapshot) -> Result<v1::ContainerGroup, Status> {
        let now = self.now();
        let cost = self.meter().cost(&snapshot.uid, now).unwrap_or_default();
        convert::group(snapshot, cost.as_ref(), now)
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.shared.usage
    }

    /// Room for one more stream of anybody's.
    pub(crate) fn any_stream(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.shared.streams)
            .try_acquire_owned()
            .map_err(|_| status::too_many_streams(STREAMS_MAX))
    }

    pub(crate) fn translate(
        &self,
        manifest: &Value,
        uid: &GroupUid,
        name_suffix: &str,
    ) -> Result<Translation, Refused> {
        self.translate_by(&self.settings().policy, manifest, uid, name_suffix)
    }

    pub(crate) fn translate_by(
        &self,
        policy: &Policy,
        manifest: &Value,
        uid: &GroupUid,
        name_suffix: &str,
    ) -> Result<Translation, Refused> {
        let settings = self.settings();
        let context = Context {
            policy,
            uid,
            name_suffix,
            allocatable: settings.allocatable,
            domain: &settings.domain,
        };
        burstlet_manifest::translate(manifest, &context)
    }
}
