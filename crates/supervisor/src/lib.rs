//! The loop that owns a container group.

pub mod host;
pub mod record;
pub mod stream;
