//! Who a caller is, and what is written of what he does.
//!
//! ```text
//! certificate ─► its one URI ────────┐
//!                                    ├─► Identity: who, role, namespace ─► (the edge judges)
//! token ─► signature, claims, rules ─┘                                            │
//!                                  trail: audit.log, audit.log.1 … ◄─ Entry ◄─────┘
//! ```
//!
//! An identity is what an authority signed, and nothing that the caller says beside it. What cannot
//! be read as an identity is none: there is no default role and no anonymous caller.
//!
//! This crate refuses to know the calls, their wires, and what there is to be reached.

mod certificate;
mod identity;
mod revocation;
mod token;
mod trail;

pub use certificate::{CertificateError, TrustDomain, TrustDomainError, identify};
pub use identity::{Identity, Proof, Reach, Role, UnknownRole};
pub use revocation::{Lists, NotStanding, Revocations, RevocationsError, Standing};
pub use token::{IssuerError, TokenError, TokenRule, TokenSettings, Tokens};
pub use trail::{
    Entry, Event, Fault, Head, HeadError, Line, Reader, Trail, TrailConfig, TrailError, Verified,
    Wrong, argv_sha256, verify,
};
