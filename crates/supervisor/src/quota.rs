//! What a namespace may have at once: groups, and what they ask for. Every group that exists counts,
//! whatever it does, for each may be started again. A cluster's pods do not: the cluster has quotas
//! of its own.

use std::collections::{BTreeMap, HashMap};

use burstlet_model::spec::{GroupSpec, ResourceList};
use burstlet_model::{Bytes, MilliCpu, Namespace};

use crate::record::{Definition, Origin};
use crate::refusal::Refusal;

/// What a namespace may have; without a bound where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Groups.
    pub groups: Option<u32>,
    /// What their requests for processors come to.
    pub cpu: Option<MilliCpu>,
    /// What their requests for memory come to.
    pub memory: Option<Bytes>,
}

/// What each namespace may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// These namespaces.
    pub named: BTreeMap<Namespace, Quota>,
    /// Each of the others.
    pub others: Quota,
}

/// What namespaces have.
#[derive(Debug, Default)]
pub(crate) struct Held(HashMap<Namespace, Sum>);

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    groups: u32,
    cpu: u64,
    memory: u64,
}

impl Quotas {
    fn of(&self, namespace: &Namespace) -> Quota {
        self.named.get(namespace).copied().unwrap_or(self.others)
    }

    /// Whether a namespace that has so much may have this group, too.
    pub(crate) fn check(&self, held: &Held, definition: &Definition) -> Result<(), Refusal> {
        let namespace = &definition.spec.name.namespace;
        let quota = self.of(namespace);
        if definition.origin == Origin::Kubernetes {
            return Ok(());
        }
        let has = held.0.get(namespace).copied().unwrap_or_default();
        let wants = definition.spec.requested();
        let bound = |bound: Bound| bound.check(namespace);
        bound(Bound {
            what: "groups",
            quota: quota.groups.map(u64::from),
            has: has.groups.into(),
            wants: Some(1),
            show: |groups| groups.to_string(),
        })?;
        bound(Bound {
            what: "cpu",
            quota: quota.cpu.map(|cpu| cpu.0),
            has: has.cpu,
            wants: stated(&definition.spec, wants, |list| list.cpu.map(|cpu| cpu.0)),
            show: |milli| MilliCpu(milli).to_string(),
        })?;
        bound(Bound {
            what: "memory",
            quota: quota.memory.map(|memory| memory.0),
            has: has.memory,
            wants: stated(&definition.spec, wants, |list| {
                list.memory.map(|bytes| bytes.0)
            }),
            show: |bytes| Bytes(bytes).to_string(),
        })
    }
}

/// What a group asks for of one resource; `None` if not all of it is stated.
fn stated(
    spec: &GroupSpec,
    requested: ResourceList,
    amount: impl Fn(&ResourceList) -> Option<u64>,
) -> Option<u64> {
    let of_group = spec.resources.as_ref();
    let by_group = of_group
        .and_then(|resources| amount(&resources.requests))
        .is_some();
    let states = |(_, container): (_, &burstlet_model::spec::ContainerSpec)| {
        amount(&container.resources.requests).is_some()
    };
    let by_all = spec.all_containers().all(states);
    (by_group || by_all).then(|| amount(&requested).unwrap_or(0))
}

/// One of a quota's bounds.
struct Bound {
    what: &'static str,
    quota: Option<u64>,
    has: u64,
    wants: Option<u64>,
    show: fn(u64) -> String,
}

impl Bound {
    fn check(&self, namespace: &Namespace) -> Result<(), Refusal> {
        let Some(quota) = self.quota else {
            return Ok(());
        };
        let Some(wants) = self.wants else {
            return Err(Refusal::QuotaNeedsRequests {
                namespace: namespace.clone(),
                resource: self.what,
            });
        };
        if self.has.saturating_add(wants) <= quota {
            return Ok(());
        }
        Err(Refusal::QuotaExceeded {
            namespace: namespace.clone(),
            what: self.what,
            quota: (self.show)(quota),
            held: (self.show)(self.has),
            wanted: (self.show)(wants),
        })
    }
}

impl Held {
    /// Takes note of a group.
    pub(crate) fn add(&mut self, definition: &Definition) {
        if definition.origin == Origin::Kubernetes {
            return;
        }
        let spec = &definition.spec;
        let sum = self.0.entry(spec.name.namespace.clone()).or_default();
        let (cpu, memory) = amounts(spec);
        sum.groups += 1;
        sum.cpu = sum.cpu.saturating_add(cpu);
        sum.memory = sum.memory.saturating_add(memory);
    }

    /// Takes note of a group's end. What it asks for is what it asked for: that never changes.
    pub(crate) fn remove(&mut self, definition: &Definition) {
        if definition.origin == Origin::Kubernetes {
            return;
        }
        let spec = &definition.spec;
        let Some(sum) = self.0.get_mut(&spec.name.namespace) else {
            return;
        };
        let (cpu, memory) = amounts(spec);
        sum.groups = sum.groups.saturating_sub(1);
        sum.cpu = sum.cpu.saturating_sub(cpu);
        sum.memory = sum.memory.saturating_sub(memory);
        if sum.groups == 0 {
            self.0.remove(&spec.name.namespace);
        }
    }
}

fn amounts(spec: &GroupSpec) -> (u64, u64) {
    let requested = spec.requested();
    let cpu = requested.cpu.map_or(0, |cpu| cpu.0);
    (cpu, requested.memory.map_or(0, |memory| memory.0))
}
