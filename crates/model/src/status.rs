//! The group status.
