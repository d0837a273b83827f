//! Group specification and image configuration to an OCI runtime specification and seccomp program.
