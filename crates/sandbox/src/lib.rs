//! Launcher, keeper, their protocol and its client.
