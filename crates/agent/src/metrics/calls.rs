//! Calls of the API, counted.

use burstlet_api_server::{OnCall, code_name};
use burstlet_telemetry::Registry;
use prometheus::{IntCounterVec, Opts};

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
        calls.with_label_values(&[method, code_name(code)]).inc();
    }))
}
