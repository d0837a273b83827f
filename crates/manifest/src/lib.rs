//! Manifests: a `ContainerGroup` or a Kubernetes `v1` Pod as JSON, to a
//! [`GroupSpec`](burstlet_model::spec::GroupSpec) and back.
//!
//! ```text
//! JSON ─► survey: along the field matrix ─► canonical JSON ─► translate ─► GroupSpec
//!           unknown, unsupported, shapes                       values, references, policy
//!                        └──────────── findings, all at once ───────┘
//! ```
//!
//! Nothing in a manifest is passed over in silence: each field is done, warned about or refused,
//! with its path, the rule and the way out. The [`matrix`] is the one place that says which; the
//! documentation, the `Capabilities` call and the tests are made from it.
//!
//! The canonical JSON is a group's source: what is kept on disk, shown and exported. Translating
//! it again gives the same specification. Data that a pod has by reference (ConfigMaps, Secrets)
//! stands inline in a group; whoever translates a pod of a cluster resolves the references first.
//!
//! This crate refuses to know files, YAML, clocks, and how anything is run.

pub mod bounds;
mod check;
mod document;
mod export;
mod finding;
mod hint;
mod kernel;
pub mod matrix;
mod node;
mod policy;
mod redact;
mod schema;
pub mod standard;
mod survey;
mod translate;

pub use document::document;
pub use export::{PodExport, to_pod, to_wire};
pub use finding::{FINDINGS_MAX, Finding, Level, Refused, Rule};
pub use kernel::{BASELINE_CAPABILITIES, CAPABILITIES, SAFE_SYSCTLS, capability_name};
pub use policy::{Context, Policy};
pub use redact::{MASK, redact};
pub use schema::{Field, Shape, Support};
pub use standard::{Door, Judgement, Modes, Standard, Standards, Violation};
pub use translate::{Translation, parse, translate};
