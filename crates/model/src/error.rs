/// What class of failure an error is, so that each edge can choose its status code in one place.
///
/// Every public error of every crate answers `kind()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller's input is wrong, and asking again with the same input cannot help.
    Invalid,
    /// The named object does not exist, or the caller may not know that it does.
    NotFound,
    /// An object of this name exists already.
    AlreadyExists,
    /// The object exists but is not in a state that allows the operation.
    FailedPrecondition,
    /// The caller is known but may not do this.
    PermissionDenied,
    /// The caller is not known.
    Unauthenticated,
    /// A configured bound was reached (queue, quota, sessions, disk).
    ResourceExhausted,
    /// Something that we depend on does not answer; asking again later may help.
    Unavailable,
    /// The operation did not end within its deadline.
    DeadlineExceeded,
    /// The kernel or the configuration of this host does not offer what was asked for.
    Unsupported,
    /// A defect of Burstlet or of the host.
    Internal,
}
