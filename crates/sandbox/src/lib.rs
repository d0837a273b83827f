//! Launcher, keeper, their protocol and its client.

pub mod logs;
