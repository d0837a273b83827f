//! What a verb works on: the services, for one caller. Whoever is bound to a namespace finds no
//! group, no image and no bill of another here.

use std::ops::Deref;
use std::time::Duration;

use burstlet_access::Reach;
use burstlet_model::Namespace;
use burstlet_model::spec::GroupSpec;
use burstlet_supervisor::Snapshot;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::Origin;
use tokio::time::Instant;
use tonic::{Request, Status};

use super::caller::Caller;
use super::expiry::{Ends, StreamPermit};
use crate::api::Api;
use crate::machine::Machine;
use crate::status;

/// The namespace of a request that does not name one, by somebody who is bound to none.
const NAMESPACE_DEFAULT: &str = "default";

/// The services, as one caller has them.
#[derive(Debug)]
pub(crate) struct Asked<H, M> {
    api: Api<H, M>,
    caller: Caller,
}

impl<H, M> Clone for Asked<H, M> {
    fn clone(&self) -> Self {
        Self {
            api: self.api.clone(),
            caller: self.caller.clone(),
        }
    }
}

impl<H, M> Deref for Asked<H, M> {
    type Target = Api<H, M>;

    fn deref(&self) -> &Api<H, M> {
        &self.api
    }
}

impl<H: Host, M: Machine> Asked<H, M> {
    /// What a request asks, and for whom the guard has let it in.
    pub(crate) fn open<T>(api: &Api<H, M>, request: Request<T>) -> Result<(Self, T), Status> {
        let (_, extensions, message) = request.into_parts();
        let caller = extensions.get::<Caller>().ok_or_else(status::no_caller)?;
        let asked = Self {
            api: api.clone(),
            caller: caller.clone(),
        };
        Ok((asked, message))
    }

    pub(crate) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The namespace that the caller is bound to.
    pub(crate) fn tenant(&self) -> Option<&Namespace> {
        self.caller.identity().reach.namespace()
    }

    /// The namespace of an object that is named without one.
    pub(crate) fn home(&self) -> &str {
        self.tenant().map_or(NAMESPACE_DEFAULT, Namespace::as_str)
    }

    /// The namespace that a request is about, if it is not about all; an empty text names none.
    pub(crate) fn within(&self, namespace: &str) -> Result<Option<Namespace>, Status> {
        if namespace.is_empty() {
            return Ok(self.tenant().cloned());
        }
        let named = Namespace::new(namespace)
            .map_err(|error| status::invalid("namespace", error.to_string()))?;
        self.may_be_in(&named)?;
        Ok(Some(named))
    }

    /// Whether the caller may ask about this namespace, whatever is in it.
    pub(crate) fn may_be_in(&self, namespace: &Namespace) -> Result<(), Status> {
        match self.tenant() {
            Some(own) if own != namespace => {
                self.caller.note(|about| about.is_foreign = true);
                Err(status::foreign_namespace(own))
            }
            _ => Ok(()),
        }
    }

    /// Whether a group is there for the caller.
    pub(crate) fn sees(&self, snapshot: &Snapshot) -> bool {
        let definition = &snapshot.definition;
        sees(
            &self.caller.identity().reach,
            &definition.spec,
            definition.origin,
        )
    }

    /// Room for one more stream; it must be held as long as the stream lives.
    pub(crate) fn stream_permit(&self) -> Result<StreamPermit, Status> {
        let of_namespace = self.tenant().map(|own| {
            let lent = self.usage().stream(own);
            lent.map_err(|exceeded| status::edge_quota(own, exceeded))
        });
        let of_namespace = of_namespace.transpose()?;
        Ok(StreamPermit::new(
            self.any_stream()?,
            of_namespace,
            Ends {
                at: self.expires(),
                standing: self.caller.standing().map(|s| (s.clone(), self.now().wall)),
            },
        ))
    }

    /// Takes note of pulls for a namespace.
    pub(crate) fn pulls(&self, namespace: &Namespace, wanted: u32) -> Result<(), Status> {
        let taken = self.usage().pulls(namespace, wanted, self.now().boot);
        taken.map_err(|exceeded| status::edge_quota(namespace, exceeded))
    }

    /// When the caller's credential ends, by the clock that streams wait with.
    fn expires(&self) -> Option<Instant> {
        let end = self.caller.identity().expires?;
        let left_ns = end
            .0
            .saturating_sub(self.now().wall.0)
            .max(0)
            .unsigned_abs();
        // One that lasts for centuries lasts.
        Instant::now().checked_add(Duration::from_nanos(left_ns))
    }
}

/// Whether a group is there for somebody of this reach. A cluster's pods are not a namespace's, even
/// if their namespaces are called alike: the cluster says who may reach them.
pub(crate) fn sees(reach: &Reach, spec: &GroupSpec, origin: Origin) -> bool {
    match reach {
        Reach::Node => true,
        Reach::Namespace(own) => *own == spec.name.namespace && origin == Origin::Direct,
    }
}
