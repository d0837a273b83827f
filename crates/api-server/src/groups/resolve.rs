//! From a request's words to the group and container that it means.

use std::sync::Arc;

use burstlet_access::Reach;
use burstlet_model::spec::GroupSpec;
use burstlet_model::{ContainerName, GroupName, GroupUid, Name, Namespace};
use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::Origin;
use burstlet_supervisor::{Change, GroupHandle, Refusal, Snapshot};
use tonic::Status;

use crate::access::{Asked, sees};
use crate::machine::Machine;
use crate::selector::Selector;
use crate::status;

/// The group that a request names, if it is there for the caller.
pub(super) fn group<H: Host, M: Machine>(
    api: &Asked<H, M>,
    reference: Option<&v1::GroupRef>,
) -> Result<GroupHandle, Status> {
    let found = find(api, reference)?;
    let handle = found.handle;
    api.caller().note(|about| {
        about.group = Some(handle.name().to_string());
        about.uid = Some(handle.uid().to_string());
    });
    match api.sees(&handle.snapshot()) {
        true => Ok(handle),
        // In the words that are used if there is nothing.
        false => {
            api.caller().note(|about| about.is_foreign = true);
            Err(status::no_group(&found.named))
        }
    }
}

/// A group, and how the request named it.
struct Found {
    handle: GroupHandle,
    named: String,
}

fn find<H: Host, M: Machine>(
    api: &Asked<H, M>,
    reference: Option<&v1::GroupRef>,
) -> Result<Found, Status> {
    let Some(reference) = reference else {
        return Err(status::invalid("group", "a group must be named"));
    };
    let name = match reference.name.as_str() {
        "" => None,
        name => Some(group_name(api, &reference.namespace, name)?),
    };
    let refusal = |refusal| status::refusal(&refusal);
    if reference.uid.is_empty() {
        let Some(name) = name else {
            return Err(status::invalid("group", "a name or a uid is needed"));
        };
        api.caller()
            .note(|about| about.group = Some(name.to_string()));
        let handle = api.groups().find(&name).map_err(refusal)?;
        let named = name.to_string();
        return Ok(Found { handle, named });
    }
    // A text that cannot be a uid is the uid of no group.
    let uid = GroupUid::new(&reference.uid).map_err(|_| status::no_group(&reference.uid))?;
    api.caller().note(|about| about.uid = Some(uid.to_string()));
    let handle = api.groups().get(&uid).map_err(refusal)?;
    let named = uid.to_string();
    match name {
        // What another namespace's group is called is not told either.
        Some(name) if name != *handle.name() => Err(status::no_group(&named)),
        _ => Ok(Found { handle, named }),
    }
}

/// The group that a request would change, which must not be a cluster's.
pub(super) fn changeable<H: Host, M: Machine>(
    api: &Asked<H, M>,
    reference: Option<&v1::GroupRef>,
) -> Result<GroupHandle, Status> {
    let handle = group(api, reference)?;
    if handle.snapshot().definition.origin == Origin::Kubernetes {
        let refusal = Refusal::OfKubernetes(handle.name().clone());
        return Err(status::refusal(&refusal));
    }
    Ok(handle)
}

fn group_name<H: Host, M: Machine>(
    api: &Asked<H, M>,
    namespace: &str,
    name: &str,
) -> Result<GroupName, Status> {
    let namespace = match namespace {
        "" => api.home(),
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
pub(super) fn container<H: Host, M: Machine>(
    api: &Asked<H, M>,
    snapshot: &Snapshot,
    name: &str,
) -> Result<ContainerName, Status> {
    let container = match name {
        "" => only_container(snapshot)?,
        name => ContainerName::new(name)
            .map_err(|error| status::invalid("container", error.to_string()))?,
    };
    api.caller()
        .note(|about| about.container = Some(container.to_string()));
    Ok(container)
}

fn only_container(snapshot: &Snapshot) -> Result<ContainerName, Status> {
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
    /// Whose groups are there at all.
    reach: Reach,
    namespace: Option<Namespace>,
    selector: Selector,
    only: Option<GroupUid>,
}

impl Scope {
    /// The scope of a request; a single group must exist.
    pub(super) fn new<H: Host, M: Machine>(
        api: &Asked<H, M>,
        namespace: &str,
        selector: &str,
        only: Option<&v1::GroupRef>,
    ) -> Result<Self, Status> {
        let namespace = api.within(namespace)?;
        let selector = Selector::parse(selector)
            .map_err(|error| status::invalid("label_selector", error.to_string()))?;
        let only = only
            .map(|reference| group(api, Some(reference)))
            .transpose()?;
        Ok(Self {
            reach: api.caller().identity().reach.clone(),
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
        let definition = &snapshot.definition;
        self.has_as(&snapshot.uid, &definition.spec, definition.origin)
    }

    /// Whether it had the group before this change.
    pub(super) fn had(&self, change: &Change) -> bool {
        let before = change.before.as_ref();
        let origin = change.snapshot.definition.origin;
        before.is_some_and(|before| self.has_as(&change.snapshot.uid, before, origin))
    }

    fn has_as(&self, uid: &GroupUid, spec: &GroupSpec, origin: Origin) -> bool {
        let here = |namespace: &Namespace| *namespace == spec.name.namespace;
        sees(&self.reach, spec, origin)
            && self.namespace.as_ref().is_none_or(here)
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
