//! What is measured: anything that can start the payload.

use std::time::Duration;

use anyhow::Result;

/// The image with the payload in it.
pub(crate) const IMAGE: &str = "localhost/burstlet-bench:1";
/// Where the payload is in the image.
pub(crate) const PAYLOAD: &str = "/payload";
/// Limits that every container has.
pub(crate) const MEMORY_LIMIT_BYTES: u64 = 128 * 1024 * 1024;
/// The same for processes.
pub(crate) const PIDS_LIMIT: u32 = 1024;

/// Starts the payload in a container.
pub(crate) trait Starter {
    /// What the table calls it.
    fn label(&self) -> &'static str;

    /// From the request to the payload's first instruction. Ends with the container gone.
    fn start(&self, name: &str) -> Result<Duration>;
}

/// Also keeps a container running.
pub(crate) trait Engine: Starter {
    /// Starts a container that sleeps.
    fn hold(&self, name: &str) -> Result<()>;

    /// From the request to the first instruction of a payload beside the one that sleeps.
    fn exec(&self, name: &str) -> Result<Duration>;

    /// The host's process id of the container's first process.
    fn pid(&self, name: &str) -> Result<u32>;

    /// Ends a container that sleeps.
    fn release(&self, name: &str) -> Result<()>;
}
