//! Calls of the API, counted.

use burstlet_api_server::OnCall;
use burstlet_telemetry::Registry;
use prometheus::{IntCounterVec, Opts};
use tonic::Code;

/// Registers the counter and gives what counts.
pub(super) fn register(registry: &Registry) -> Result<OnCall, prometheus::Error> {
    let calls = IntCounterVec::new(
        Opts::new(
            "burstlet_api_calls_total",
            "Calls of the gRPC API that are over, streams included.",
        ),
        &["method", "code"],
    )?;
    registry.register(calls.clone())?;
    Ok(OnCall::new(move |method, code| {
        calls.with_label_values(&[method, name(code)]).inc();
    }))
}

/// The code as gRPC writes it.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
