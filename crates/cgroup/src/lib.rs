//! The groups' cgroups: create, limit, kill, read.
