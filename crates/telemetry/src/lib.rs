//! Tracing, metrics registry, readiness and the admin port.
