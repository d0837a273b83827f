/// A probe, with Kubernetes' timing words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub action: ProbeAction,
    /// Wait after the container's start before the first try.
    pub initial_delay_s: u32,
    /// Between tries; at least 1.
    pub period_s: u32,
    /// For each try; at least 1.
    pub timeout_s: u32,
    /// Successes in a row that make it succeed; at least 1.
    pub success_threshold: u32,
    /// Failures in a row that make it fail; at least 1.
    pub failure_threshold: u32,
    /// Replaces the group's grace period when this probe's failure ends the container.
    pub termination_grace_period_s: Option<u32>,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    /// Runs a command in the container; exit 0 is success.
    Exec(Vec<String>),
    /// A status from 200 to 399 is success.
    HttpGet(HttpGet),
    /// A connection is success.
    TcpSocket {
        /// The group's own address if `None`.
        host: Option<String>,
        /// The port.
        port: u16,
    },
    /// `grpc.health.v1.Health/Check` answering `SERVING` is success.
    Grpc {
        /// The port.
        port: u16,
        /// The service asked about; empty for the server as a whole.
        service: String,
    },
}

/// An HTTP request of a probe or hook, made from inside the group's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGet {
    /// The group's own address if `None`.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
    /// Path and query, starting with `/`.
    pub path: String,
    /// Plain or TLS (certificate not verified, as a kubelet).
    pub scheme: HttpScheme,
    /// Added to the request; `Host` replaces the one computed.
    pub headers: Vec<(String, String)>,
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpScheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}
