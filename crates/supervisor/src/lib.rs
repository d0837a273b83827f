//! The loop that owns a container group.
