//! The servers, with every bound stated.

use std::io;
use std::time::Duration;

use burstlet_model::ErrorKind;
use burstlet_proto::FILE_DESCRIPTOR_SET;
use burstlet_proto::v1::container_groups_server::ContainerGroupsServer;
use burstlet_proto::v1::images_server::ImagesServer;
use burstlet_proto::v1::metering_server::MeteringServer;
use burstlet_proto::v1::node_server::NodeServer;
use burstlet_supervisor::host::Host;
use futures_util::Stream;
use futures_util::future::try_join_all;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tower::layer::util::{Identity, Stack};

use crate::access::{Gate, Guard};
use crate::api::Api;
use crate::calls::{Calls, OnCall};
use crate::door::{Door, clients};
use crate::machine::Machine;
use crate::tls::tls_clients;

/// Everything that is served.
const DESCRIPTORS: [&[u8]; 4] = [
    FILE_DESCRIPTOR_SET,
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];
/// Bytes of one decoded message, whether it was compressed or not.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Calls that are open at once on one connection.
const CALLS_PER_CONNECTION_MAX: u32 = 256;
/// Bytes of a request's headers.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Streams that a client opened and reset before we saw them; more end the connection (rapid reset).
const PENDING_RESETS_MAX: usize = 20;
/// Streams that we reset for a client's errors; more end the connection.
const ERROR_RESETS_MAX: usize = 64;
/// Bytes on their way for one stream; a session's pace is its client's.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Bytes on their way for one connection.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// A silent connection is asked whether it is there this often,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// and cut when it does not answer for this long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long calls that are under way have to end when the agent goes down.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors do not fit together.
    #[error("set up reflection for the API")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The descriptors cannot be read.
    #[error("read the API's descriptors")]
    Descriptors(#[source] prost::DecodeError),
    /// A server ended by itself.
    #[error("serve the API")]
    Server(#[source] tonic::transport::Error),
}

impl ServeError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// Serves the API on every door until `shutdown`, to those whom `gate` knows, telling `on_call` of
/// each call that is over. Calls and streams under way then have a few seconds to end; what is left is
/// cut when the process ends.
///
/// # Errors
/// A server ends by itself.
pub async fn serve<H: Host, M: Machine>(
    api: Api<H, M>,
    doors: Vec<Door>,
    gate: Gate,
    on_call: OnCall,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let calls = Calls::new(&DESCRIPTORS, on_call).map_err(ServeError::Descriptors)?;
    let routes = routes(&api).await?;
    let trail = gate.trail.clone();
    let guard = Guard::new(gate, move || api.now());
    let running = doors.into_iter().map(|door| {
        let server = server(calls.clone(), guard.clone());
        let (routes, shutdown) = (routes.clone(), shutdown.clone());
        async move {
            match door {
                Door::Unix(door) => one(server, routes, clients(door), shutdown).await,
                Door::Tcp(door, tls) => one(server, routes, tls_clients(door, tls), shutdown).await,
            }
        }
    });
    try_join_all(running).await?;
    trail.settle().await;
    Ok(())
}

type WatchedServer = Server<Stack<Guard, Stack<Calls, Identity>>>;

async fn one<C>(
    mut server: WatchedServer,
    routes: Routes,
    clients: impl Stream<Item = io::Result<C>> + Send,
    shutdown: CancellationToken,
) -> Result<(), ServeError>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let stop = shutdown.clone().cancelled_owned();
    let serving = server
        .add_routes(routes)
        .serve_with_incoming_shutdown(Box::pin(clients), stop);
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    // The server would wait for clients that follow logs or sit in a shell for hours.
    tokio::select! {
        served = serving => served.map_err(ServeError::Server),
        () = too_long => Ok(()),
    }
}

fn server(calls: Calls, guard: Guard) -> WatchedServer {
    Server::builder()
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(calls)
        .layer(guard)
}

async fn routes<H: Host, M: Machine>(api: &Api<H, M>) -> Result<Routes, ServeError> {
    let groups =
        ContainerGroupsServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let images = ImagesServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let node = NodeServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let metering = MeteringServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (health, health_server) = tonic_health::server::health_reporter();
    health
        .set_serving::<ContainerGroupsServer<Api<H, M>>>()
        .await;
    health.set_serving::<ImagesServer<Api<H, M>>>().await;
    health.set_serving::<NodeServer<Api<H, M>>>().await;
    health.set_serving::<MeteringServer<Api<H, M>>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection().build_v1().map_err(ServeError::Reflection)?;
    // Older tools ask by the older name.
    let v1alpha = reflection()
        .build_v1alpha()
        .map_err(ServeError::Reflection)?;
    Ok(Routes::new(groups)
        .add_service(images)
        .add_service(node)
        .add_service(metering)
        .add_service(health_server)
        .add_service(v1)
        .add_service(v1alpha))
}
