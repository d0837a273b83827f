//! The unpacker as the agent runs it: its own process, confined. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::Stage;
use support::archive::Archive;

#[test]
fn smoke() {
    let stage = Stage::new();
    let layer = Archive::new()
        .dir("a/")
        .file("a/b", "hello")
        .file("c/d/e", "x")
        .symlink("l", "a")
        .file("l/viaq", "y")
        .hard_link("h", "a/b")
        .file("a/.wh.gone", "")
        .file("a/.wh..wh..opq", "")
        .device(b'3', "null", 1, 3)
        .end();
    println!("{}", stage.tree_of(&layer));
}
