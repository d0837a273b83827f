//! From an image reference to verified layers on disk, and the store that keeps them.
//!
//! ```text
//! reference ─ registry ─► documents ─► platform ─► config ┐
//!                └──────► layer blobs ─► unpack ─► layers ├─► image record ─► lease
//! archive ──── import ───────┘                            ┘
//! ```
//!
//! What comes from a registry or an archive is hostile until a digest that we computed says
//! otherwise; nothing is visible in the store before that. The crate knows nothing of containers,
//! groups' networks or the kernel's namespaces beyond those of its own unpacker.

mod config;
pub mod content;
mod digest;
mod document;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod import;
mod platform;
pub mod registry;
mod signature;
pub mod snapshot;
pub mod store;
mod tree;
pub mod unpack;

pub use config::{ConfigError, ImageConfig, Port, PortProtocol};
pub use digest::digest_of;
pub use document::{
    DOCUMENT_BYTES_MAX, Descriptor, Document, DocumentError, INDEX_DEPTH_MAX, Index, IndexEntry,
    LAYERS_MAX, Layer, LayerPacking, Manifest,
};
pub use platform::Platform;
pub use signature::{KeyError, PublicKey, Rejection, ScopeError, SignatureError, SignaturePolicy};
pub use tree::{RemoveTreeError, TreeSize, measure_tree, remove_tree};
