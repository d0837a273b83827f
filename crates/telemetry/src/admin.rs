//! The admin port: routes over HTTP/1.1 for the operator and for Prometheus, and the pages that
//! others bring.
//!
//! Without a [`Guard`] it answers whoever reaches it, so the caller binds it to loopback then. How the
//! agent is may be known to everybody; metrics are for who has the token.

mod guard;

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use guard::{Guard, GuardError, TOKEN_CHARACTERS_MIN};

use crate::{Health, Item, Readiness, Registry};

/// Connections at a time; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 64;
/// How long a client may take for a TLS handshake.
pub const HANDSHAKE_SECONDS_MAX: u64 = 10;
/// How long a client may take to send a request's head.
pub const HEAD_READ_SECONDS_MAX: u64 = 10;
/// How long open connections get to end at shutdown.
pub const SHUTDOWN_SECONDS_MAX: u64 = 2;
/// The pause after the kernel refused a connection, so that a lack of fds does not spin.
pub const ACCEPT_PAUSE_MILLISECONDS: u64 = 100;

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Makes a page for a request with an `Accept` header; nothing if it cannot.
pub type Render = Arc<dyn Fn(Option<&str>) -> Option<Rendered> + Send + Sync>;

/// A page that is made anew for whoever asks. It may take its time.
#[derive(Clone)]
pub struct Page {
    /// Its route.
    pub path: &'static str,
    /// Makes it. Who cannot has told the log why.
    pub render: Render,
}

/// A page as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The text.
    pub body: String,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What the admin port shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// For `/metrics`.
    pub registry: Registry,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// For all but `/metrics`.
    pub health: Health,
    /// For their own routes.
    pub pages: Vec<Page>,
    /// Who is let in: connections and requests are judged by what it is when they come.
    pub guard: watch::Receiver<Guard>,
}

/// Serves until `shutdown` completes, then gives open connections a moment to end.
pub async fn serve(admin: Admin, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let guard = admin.guard.clone();
    let service = TowerToHyperService::new(router(admin));
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
    tokio::pin!(shutdown);
    loop {
        // Both futures may be dropped at any point: a slot or a connection is taken whole or not.
        let (slot, stream) = tokio::select! {
            () = &mut shutdown => break,
            next = next_connection(&listener, &slots) => next,
        };
        let (service, stopping) = (service.clone(), stopping.clone());
        let acceptor = guard.borrow().acceptor();
        tasks.spawn(async move {
            let _slot = slot;
            let Some(acceptor) = acceptor else {
                return serve_connection(stream, service, stopping).await;
            };
            if let Some(stream) = shake_hands(&acceptor, stream).await {
                serve_connection(stream, service, stopping).await;
            }
        });
    }
    tasks.close();
    stopping.cancel();
    let _ = tokio::time::timeout(Duration::from_secs(SHUTDOWN_SECONDS_MAX), tasks.wait()).await;
}

async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (Option<tokio::sync::OwnedSemaphorePermit>, TcpStream) {
    // The semaphore is never closed, so there is always a permit in the end.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (slot, stream),
            Err(fault) => pause_after(&fault).await,
        }
    }
}

async fn pause_after(fault: &io::Error) {
    tracing::debug!(%fault, "accept on the admin port");
    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MILLISECONDS)).await;
}

async fn shake_hands(acceptor: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let limit = Duration::from_secs(HANDSHAKE_SECONDS_MAX);
    match tokio::time::timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(fault)) => {
            tracing::debug!(%fault, "a TLS handshake on the admin port failed");
            None
        }
        Err(_) => None,
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: TowerToHyperService<Router>,
    stopping: CancellationToken,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_READ_SECONDS_MAX))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "serve a connection of the admin port");
    }
}

fn router(admin: Admin) -> Router {
    let pages = admin.pages.iter().cloned();
    let pages = pages.fold(Router::new(), |router, page| {
        let Page { path, render } = page;
        router.route(path, get(move |headers: HeaderMap| show(render, headers)))
    });
    let guard = admin.guard.clone();
    let admit = move |request: Request, next: Next| {
        let is_admitted = guard.borrow().admits(request.headers());
        async move {
            match is_admitted {
                true => next.run(request).await,
                false => refused(),
            }
        }
    };
    let guarded = Router::new().route("/metrics", get(metrics));
    let guarded = guarded.with_state(admin.clone()).merge(pages);
    Router::new()
        .route("/livez", get(livez))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(admin)
        .merge(guarded.route_layer(middleware::from_fn(admit)))
}

fn refused() -> Response {
    let how = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, how).into_response()
}

type Parameters = Query<HashMap<String, String>>;

async fn livez(State(admin): State<Admin>, query: Parameters) -> Response {
    report("livez", &admin.health.heartbeats(), &query)
}

async fn healthz(State(admin): State<Admin>, query: Parameters) -> Response {
    let items = [admin.health.heartbeats(), admin.health.checks()].concat();
    report("healthz", &items, &query)
}

async fn readyz(State(admin): State<Admin>, query: Parameters) -> Response {
    let items = [admin.readiness.items(), admin.health.checks()].concat();
    report("readyz", &items, &query)
}

async fn metrics(State(admin): State<Admin>) -> Result<Response, Infallible> {
    Ok(match admin.registry.render() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TEXT)], text).into_response(),
        Err(fault) => {
            tracing::error!(%fault, "render the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    })
}

async fn show(render: Render, headers: HeaderMap) -> Response {
    let rendered = tokio::task::spawn_blocking(move || {
        let accept = headers.get(header::ACCEPT);
        render(accept.and_then(|accept| accept.to_str().ok()))
    });
    match rendered.await {
        Ok(Some(page)) => ([(header::CONTENT_TYPE, page.content_type)], page.body).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn report(route: &str, items: &[Item], query: &HashMap<String, String>) -> Response {
    let well = items.iter().all(|item| item.fault.is_none());
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let text = render(route, items, query.contains_key("verbose"));
    (status, [(header::CONTENT_TYPE, TEXT)], text).into_response()
}

/// The body of a report, in the form that users of Kubernetes know. Faults are always listed.
fn render(route: &str, items: &[Item], verbose: bool) -> String {
    let line = |item: &Item| match &item.fault {
        None if verbose => format!("[+]{} ok\n", item.name),
        None => String::new(),
        Some(fault) => format!("[-]{} failed: {fault}\n", item.name),
    };
    let lines: String = items.iter().map(line).collect();
    match items.iter().any(|item| item.fault.is_some()) {
        true => format!("{lines}{route} check failed\n"),
        false if verbose => format!("{lines}{route} check passed\n"),
        false => "ok\n".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
