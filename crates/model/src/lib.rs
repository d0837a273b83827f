//! The vocabulary of Burstlet and its pure decisions: identifiers, quantities, the group
//! specification and status, and the words for what can happen to them.
//!
//! Nothing here reads a clock, a file or a socket, and no type here has a wire form: every edge
//! (gRPC, Kubernetes, records on disk) converts to these types once and hands only valid values
//! inward.

mod device;
mod error;
pub mod expand;
mod id;
mod image_ref;
pub mod metering;
mod processors;
mod quantity;
mod secret;
pub mod spec;
pub mod status;
mod time;
mod usage;

pub use device::{Device, DeviceKind, DeviceNumber, DeviceNumberError, Lease};
pub use error::ErrorKind;
pub use id::{
    ContainerName, Digest, ExtendedResource, GroupName, GroupUid, IdError, Name, Namespace,
};
pub use image_ref::{ImageRef, ImageRefError};
pub use processors::{ProcessorPool, ProcessorSet, ProcessorSetError, Seat, Topology};
pub use quantity::{Bytes, MilliCpu, Quantity, QuantityError};
pub use secret::Secret;
pub use time::{BootTime, Stamp, WallTime};
pub use usage::{NetworkUsage, Usage};
