//! Kernel parameters of the calling thread's network namespace.

use std::io;
use std::path::{Path, PathBuf};

use crate::NetworkError;

const ROOT: &str = "/proc/sys/net";

/// Sets a parameter named by its path below `/proc/sys/net`.
pub(crate) fn set(name: &str, value: &str) -> Result<(), NetworkError> {
    let path = path(name);
    std::fs::write(&path, value).map_err(NetworkError::file("set", path))
}

/// Sets a parameter that a kernel built without the feature does not have.
pub(crate) fn set_if_present(name: &str, value: &str) -> Result<(), NetworkError> {
    match set(name, value) {
        Err(NetworkError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        done => done,
    }
}

/// Reads a parameter.
pub(crate) fn get(name: &str) -> Result<String, NetworkError> {
    let path = path(name);
    let text = std::fs::read_to_string(&path).map_err(NetworkError::file("read", path))?;
    Ok(text.trim().to_owned())
}

fn path(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}
