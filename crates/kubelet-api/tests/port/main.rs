//! The port as its clients see it: by the libraries that kubectl uses, by WebSockets, and by plain
//! HTTP. What it runs is made up here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod backend;
mod channels;
mod documents;
mod go;
mod peer;
mod port;
mod pressure;
mod sessions;
