//! A gRPC health server for the probes' tests, on the port that it is told: the service `serving`
//! serves, `resting` does not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};

use tonic::transport::Server;
use tonic_health::ServingStatus;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).unwrap().parse().unwrap();
    let (reporter, health) = tonic_health::server::health_reporter();
    for (service, status) in [
        ("serving", ServingStatus::Serving),
        ("resting", ServingStatus::NotServing),
    ] {
        reporter.set_service_status(service, status).await;
    }
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let server = Server::builder().add_service(health);
    server.serve(address).await.unwrap();
}
