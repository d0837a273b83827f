//! Whether a sandbox was made to its end.
//!
//! An agent can go between the making of a keeper and the last step after it: then a keeper stands
//! whose group has no network, or no files for `/etc`. The mark comes after the last step. It
//! outlives the agent, not the machine's next start, so it is not synced.

use std::fs;
use std::io;
use std::path::Path;

const FILE: &str = "sandbox-complete";

/// Says that the sandbox is complete. Blocks.
pub(super) fn mark(group_dir: &Path) -> io::Result<()> {
    fs::write(group_dir.join(FILE), "")
}

/// Takes that back, before the sandbox is made or when it is gone. Blocks.
pub(super) fn clear(group_dir: &Path) -> io::Result<()> {
    match fs::remove_file(group_dir.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the sandbox is complete. Blocks.
pub(super) fn is_marked(group_dir: &Path) -> bool {
    group_dir.join(FILE).exists()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_mark_comes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        clear(dir.path()).unwrap();
        assert!(!is_marked(dir.path()));
        mark(dir.path()).unwrap();
        assert!(is_marked(dir.path()));
        clear(dir.path()).unwrap();
        assert!(!is_marked(dir.path()));
    }
}
