//! What others have: low-level runtimes and engines from the distribution's packages.

mod containerd;
mod oci;
mod podman;

pub(crate) use containerd::Containerd;
pub(crate) use oci::Oci;
pub(crate) use podman::{Network, Podman};
