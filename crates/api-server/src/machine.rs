//! What the edge needs of the machine beside its groups.
//!
//! `Images` and `Node` have no logic between the wire and the machine, so this port speaks the
//! wire's messages: whoever implements it converts once.

use std::future::Future;

use burstlet_model::spec::{PullPolicy, RegistryCredential};
use burstlet_model::{ImageRef, Namespace};
use burstlet_proto::v1;
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::stream::Reader;
use tokio::sync::watch;

/// How far a pull is; only the latest counts.
pub type Progress = watch::Sender<v1::PullProgress>;

/// An image that a client wants in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullImage {
    /// Which.
    pub image: ImageRef,
    /// When to ask the registry.
    pub policy: PullPolicy,
    /// Used for this request only.
    pub credential: Option<RegistryCredential>,
    /// On whose behalf.
    pub namespace: Namespace,
}

/// The machine's images, and what it is. Dropping a future gives up the request.
pub trait Machine: Send + Sync + 'static {
    /// What the machine is.
    fn info(&self) -> impl Future<Output = v1::NodeInfo> + Send;

    /// What of it works and what does not.
    fn doctor(&self) -> impl Future<Output = Vec<v1::HostFinding>> + Send;

    /// Sees to it that an image is in the store.
    fn pull(
        &self,
        request: PullImage,
        progress: Progress,
    ) -> impl Future<Output = Result<v1::Image, HostError>> + Send;

    /// Takes the images of an archive, under `name` if it is given.
    fn import(
        &self,
        name: Option<ImageRef>,
        archive: Reader,
    ) -> impl Future<Output = Result<Vec<v1::Image>, HostError>> + Send;

    /// Every image.
    fn images(&self) -> impl Future<Output = Result<Vec<v1::Image>, HostError>> + Send;

    /// The image that a name or digest leads to.
    fn image(&self, name: &str) -> impl Future<Output = Result<v1::Image, HostError>> + Send;

    /// Removes a name, and with its last name the image.
    fn remove_image(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<v1::RemoveImageResponse, HostError>> + Send;

    /// Removes what nothing needs; with `all` also what has a name.
    fn prune_images(
        &self,
        all: bool,
    ) -> impl Future<Output = Result<v1::PruneImagesResponse, HostError>> + Send;
}
