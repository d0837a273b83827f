//! What the node and the kubelet's port have in common; the port itself is served elsewhere.

use std::path::Path;
use std::sync::Arc;

use burstlet_model::WallTime;

use crate::access::Access;
use crate::config::NodeFacts;
use crate::error::KubeNodeError;
use crate::pods::Pods;
use crate::serving::ServingCertificate;

/// Made before the node runs, and kept true by it.
#[derive(Clone, Debug)]
pub struct PortLink {
    /// Who may ask.
    pub access: Access,
    /// What the port shows.
    pub certificate: Arc<ServingCertificate>,
    /// What it is asked about.
    pub pods: Pods,
}

impl PortLink {
    /// For a port whose certificate is kept in `certificate`.
    ///
    /// # Errors
    /// No certificate can be made.
    pub fn new(node: &NodeFacts, certificate: &Path, now: WallTime) -> Result<Self, KubeNodeError> {
        Ok(Self {
            access: Access::new(&node.name),
            certificate: Arc::new(ServingCertificate::open(certificate, node, now)?),
            pods: Pods::default(),
        })
    }
}
