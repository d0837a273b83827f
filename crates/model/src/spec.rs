//! The group specification.
