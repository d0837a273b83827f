//! Generated code of the `burstlet.v1` API: messages, services, and serde implementations that
//! follow the proto3 JSON mapping. Nothing here is written by hand but this file; the contract and
//! its documentation are the `.proto` files, and so is who may call what: [`CALLS`].

use v1::{Reach, Role};

/// Package `burstlet.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::cloned_instead_of_copied,
    clippy::large_futures,
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    clippy::uninlined_format_args,
    clippy::unwrap_used,
    reason = "generated code; the .proto files are its documentation"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/burstlet.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/burstlet.v1.serde.rs"));
}

pub use pbjson_types::{Duration, Timestamp};

/// The encoded file descriptors of the API and of what it imports, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/burstlet.v1.bin"));

/// A call of the API, with what its `access` option says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// `burstlet.v1.Service/Method`.
    pub method: &'static str,
    /// Who may call it.
    pub roles: &'static [Role],
    /// What it is about.
    pub reach: Reach,
    /// Whether the audit trail has each call of it.
    pub audited: bool,
    /// Whether it answers with a stream.
    pub streaming: bool,
}

/// Every call of the API. What is not here is nobody's to call.
pub const CALLS: &[Call] = include!(concat!(env!("OUT_DIR"), "/burstlet.v1.calls.rs"));
