//! The gRPC edge: package `burstlet.v1` over a unix socket or mutual TLS.
//!
//! ```text
//! client ─► door (peer checked, ─► guard (who, may he?) ─► service ─► convert ─► supervisor::Groups
//!           connections counted)        │                    │                  Machine (images, node)
//!                                       ▼                    │                  metering::Meter
//!                                   audit trail              └──◄── convert ◄──────────┘
//! ```
//!
//! Nobody comes as far as a service whom the guard does not know, or whose role may not make the call.
//! The services convert, call and convert back; they decide nothing. A definition is translated
//! once, here, by the manifest crate; further in there are only valid values. Every stream is
//! bounded, follows the pace of its client, and ends what it holds when the client is gone.
//!
//! This crate refuses to know how groups are run, where images are kept, and the kernel.

mod access;
mod api;
mod calls;
mod convert;
mod deadline;
mod door;
mod ending;
mod groups;
mod images;
mod machine;
mod metering;
mod node;
mod pages;
mod selector;
mod serve;
mod services;
mod status;
mod streams;
mod tls;

pub use access::{Gate, Rates, RatesByNamespace};
pub use api::{Api, Settings};
pub use calls::{OnCall, UNKNOWN_METHOD, code_name};
pub use door::{Door, DoorError, bind_unix};
pub use machine::{Machine, Progress, PullImage};
pub use serve::{ServeError, serve};
pub use status::ERROR_DOMAIN;
pub use tls::{Tls, TlsError, TlsParts};
