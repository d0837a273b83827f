//! From a request's words to the group and container that it means.

use std::sync::Arc;

use burstlet_model::spec::GroupSpec;
use burstlet_model::{ContainerName, GroupName, GroupUid, Name, Namespace};
use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::Origin;
use burstlet_supervisor::{Change, GroupHandle, Groups, Refusal, Snapshot};
use tonic::Status;

use crate::selector::Selector;
use crate::status;

/// The namespace of a request that does not name one.
pub(super) const NAMESPACE_DEFAULT: &str = "default";

/// The group that a request names.
pub(super) fn group<H: Host>(
    groups: &Groups<H>,
    reference: Option<&v1::GroupRef>,
) -> Result<GroupHandle, Status> {
    let Some(reference) = reference else {
        return Err(status::invalid("group", "a group must be named"));
    };
    let named = match reference.name.as_str() {
        "" => None,
        name => Some(group_name(&reference.namespace, name)?),
    };
    if reference.uid.is_empty() {
        let Some(name) = named else {
            return Err(status::invalid("group", "a name or a uid is needed"));
        };
        return groups
            .find(&name)
            .map_err(|refusal| status::refusal(&refusal));
    }
    // A text that cannot be a uid is the uid of no group.
    let uid = GroupUid::new(&reference.uid).map_err(|_| status::no_group(&reference.uid))?;
    let handle = groups
        .get(&uid)
        .map_err(|refusal| status::refusal(&refusal))?;
    match named {
        Some(name) if name != *handle.name() => Err(status::no_group(&name.to_string())),
        _ => Ok(handle),
    }
}

/// The group that a request would change, which must not be a cluster's.
pub(super) fn changeable<H: Host>(
    groups: &Groups<H>,
    reference: Option<&v1::GroupRef>,
) -> Result<GroupHandle, Status> {
    let handle = group(groups, reference)?;
    if handle.snapshot().definition.origin == Origin::Kubernetes {
        let refusal = Refusal::OfKubernetes(handle.name().clone());
        return Err(status::refusal(&refusal));
    }
    Ok(handle)
}

fn group_name(namespace: &str, name: &str) -> Result<GroupName, Status> {
    let namespace = match namespace {
        "" => NAMESPACE_DEFAULT,
        namespace => namespace,
    };
    // A text that cannot be a name is the name of no group.
    let unknown = || status::no_group(&format!("{namespace}/{name}"));
    Ok(GroupName {
        namespace: Namespace::new(namespace).map_err(|_| unknown())?,
        name: Name::new(name).map_err(|_| unknown())?,
    })
}

/// The container that a request names, or the only main one.
pub(super) fn container(snapshot: &Snapshot, name: &str) -> Result<ContainerName, Status> {
    if !name.is_empty() {
        return ContainerName::new(name)
            .map_err(|error| status::invalid("container", error.to_string()));
    }
    match snapshot.definition.spec.containers.as_slice() {
        [only] => Ok(only.name.clone()),
        several => {
            let names: Vec<_> = several.iter().map(|c| c.name.as_str()).collect();
            let message = format!("the group has several: choose one of {}", names.join(", "));
            Err(status::invalid("container", message))
        }
    }
}

/// The version that a request names; `None` if it names none.
pub(super) fn version(text: &str) -> Result<Option<u64>, Status> {
    let parse = |text: &str| {
        let version = text.parse::<u64>();
        version.map_err(|_| status::invalid("resource_version", "it is not of a group or a list"))
    };
    match text {
        "" => Ok(None),
        text => parse(text).map(Some),
    }
}

/// Which groups a request is about.
#[derive(Debug)]
pub(super) struct Scope {
    namespace: Option<Namespace>,
    selector: Selector,
    only: Option<GroupUid>,
}

impl Scope {
    /// The scope of a request; a single group must exist.
    pub(super) fn new<H: Host>(
        groups: &Groups<H>,
        namespace: &str,
        selector: &str,
        only: Option<&v1::GroupRef>,
    ) -> Result<Self, Status> {
        let namespace = match namespace {
            "" => None,
            text => Some(
                Namespace::new(text)
                    .map_err(|error| status::invalid("namespace", error.to_string()))?,
            ),
        };
        let selector = Selector::parse(selector)
            .map_err(|error| status::invalid("label_selector", error.to_string()))?;
        let only = only
            .map(|reference| group(groups, Some(reference)))
            .transpose()?;
        Ok(Self {
            namespace,
            selector,
            only: only.map(|handle| handle.uid().clone()),
        })
    }

    /// Whether it is about one group only.
    pub(super) const fn is_single(&self) -> bool {
        self.only.is_some()
    }

    /// Whether it has this group.
    pub(super) fn has(&self, snapshot: &Snapshot) -> bool {
        self.has_as(&snapshot.uid, &snapshot.definition.spec)
    }

    /// Whether it had the group before this change.
    pub(super) fn had(&self, change: &Change) -> bool {
        let before = change.before.as_ref();
        before.is_some_and(|before| self.has_as(&change.snapshot.uid, before))
    }

    fn has_as(&self, uid: &GroupUid, spec: &GroupSpec) -> bool {
        let here = |namespace: &Namespace| *namespace == spec.name.namespace;
        self.namespace.as_ref().is_none_or(here)
            && self.only.as_ref().is_none_or(|only| only == uid)
            && self.selector.matches(&spec.labels)
    }

    /// The groups of the scope, of all.
    pub(super) fn select(&self, all: Vec<Arc<Snapshot>>) -> Vec<Arc<Snapshot>> {
        all.into_iter()
            .filter(|snapshot| self.has(snapshot))
            .collect()
    }
}
