//! Errors of the parts, as the loop takes them.

use std::error::Error;
use std::fmt::Write;

use burstlet_failpoint::Point;
use burstlet_model::ErrorKind;
use burstlet_supervisor::host::HostError;

/// An error with all its causes in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// The reason shown when no part of the machine has a better word.
pub(super) const CREATE: &str = "CreateContainerError";
/// The reason shown when a group's namespaces, cgroups or network cannot be made.
pub(crate) const SANDBOX: &str = "FailedCreatePodSandBox";
/// The reason shown when a volume cannot be made or mounted.
pub(super) const MOUNT: &str = "FailedMount";

/// Makes a failure of `kind`, shown under `reason`, of an error of one of the parts.
pub(super) fn fail(
    kind: ErrorKind,
    reason: &'static str,
    error: &(dyn Error + 'static),
) -> HostError {
    HostError::new(kind, reason, chain(error))
}

/// Stands before an effect that can fail; see [`burstlet_failpoint`].
pub(super) fn pass(point: Point) -> Result<(), HostError> {
    burstlet_failpoint::pass(point).map_err(|error| fail(ErrorKind::Internal, SANDBOX, &error))
}

/// What a blocking task says when it was ended by the runtime.
pub(super) fn aborted(error: &tokio::task::JoinError) -> HostError {
    HostError::new(
        ErrorKind::Internal,
        CREATE,
        format!("a worker of the agent ended: {error}"),
    )
}
