//! The registry client: documents and blobs by the OCI distribution protocol.
//!
//! ```text
//! Repository ── mirrors in order, the registry last ──► Session (one host)
//!                                                        │ 401: challenge ► token
//!                                                        │ 3xx: checked redirect, no credentials
//!                                                        ▼
//!                                           bounded body, progress deadline
//! ```
//!
//! A registry is not trusted: it may lie about digests, sizes and types, lead us elsewhere, or
//! never end. What leaves this module is verified or is an error that says who did what.

mod address;
mod blob;
mod body;
mod challenge;
mod client;
mod credentials;
mod docker_config;
mod error;
mod health;
mod host;
mod http;
mod resolve;
mod retry;
mod session;
mod settings;
mod signatures;
pub(crate) mod token;
mod token_cache;

pub use address::AddressRefused;
pub use blob::BlobTarget;
pub use challenge::ChallengeError;
pub use client::{RegistryClient, Repository};
pub use credentials::{Credentials, RegistryCredentials};
pub use docker_config::{DockerConfigError, parse_pull_secret};
pub use error::{Problem, RegistryError};
pub use host::{RegistryHost, RegistryHostError};
pub use resolve::Resolved;
pub use settings::{MirrorOrder, RegistriesSettings, RegistrySettings};
