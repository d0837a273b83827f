//! The doors as they are bound: the API's unix socket and TCP listener, and the admin port, with the
//! files that say who comes in. Those are read again when they change.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use burstlet_api_server::{Door, Tls, TlsParts, bind_unix};
use burstlet_model::Secret;
use burstlet_telemetry::admin::Guard;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, ServerTls};
use crate::reload::{Contents, Reloaded};

/// The admin port, and who may come in by it.
pub(super) type AdminDoor = (TcpListener, watch::Receiver<Guard>);

/// The doors, bound.
pub(super) struct Doors {
    pub(super) api: Vec<Door>,
    /// If there is one.
    pub(super) admin: Option<AdminDoor>,
    /// To be followed while they are open.
    pub(super) files: Files,
}

/// The files that say who comes in.
pub(super) struct Files {
    tls: Option<Reloaded<Tls>>,
    guard: Option<Reloaded<Guard>>,
}

impl Files {
    /// Keeps what is made of them as they are, until the shutdown.
    pub(super) async fn follow(self, shutdown: CancellationToken) {
        let api = async {
            if let Some(tls) = self.tls {
                tls.follow(shutdown.clone()).await;
            }
        };
        let admin = async {
            if let Some(guard) = self.guard {
                guard.follow(shutdown.clone()).await;
            }
        };
        tokio::join!(api, admin);
    }
}

/// Opens the doors.
///
/// # Errors
/// An address cannot be bound, or a file cannot be used.
pub(super) async fn open(config: &Config) -> anyhow::Result<Doors> {
    let socket = config.api_socket();
    let unix = bind_unix(&socket).with_context(|| format!("listen at {}", socket.display()))?;
    let mut api = vec![Door::Unix(unix)];
    let tls = match config.tls().map_err(anyhow::Error::msg)? {
        Some(given) => {
            let listen = given.listen;
            let tls = tls(given, config.access.oidc.takes_tokens())?;
            api.push(Door::Tcp(bind(listen, "[api] listen").await?, tls.value()));
            Some(tls)
        }
        None => None,
    };
    tracing::info!(socket = %socket.display(), tcp = ?config.api.listen.0, "serving the API");
    let (admin, guard) = admin(&config.admin).await?.unzip();
    let files = Files { tls, guard };
    Ok(Doors { api, admin, files })
}

async fn admin(given: &config::Admin) -> anyhow::Result<Option<(AdminDoor, Reloaded<Guard>)>> {
    let Some(address) = given.listen.0 else {
        return Ok(None);
    };
    let guard = guard(given.clone())?;
    let listener = bind(address, "[admin] listen").await?;
    tracing::info!(address = ?listener.local_addr().ok(), "serving the admin port");
    Ok(Some(((listener, guard.value()), guard)))
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("listen at {address} ({key})"))
}

fn tls(given: ServerTls, takes_tokens: bool) -> anyhow::Result<Reloaded<Tls>> {
    let paths = [&given.cert_file, &given.key_file].into_iter();
    let paths = paths.chain(&given.client_ca_file).cloned().collect();
    let make = move |files: &Contents| {
        let parts = TlsParts {
            certificate: files.of(&given.cert_file).to_vec(),
            key: Secret::new(files.of(&given.key_file).to_vec()),
            client_ca: given
                .client_ca_file
                .as_ref()
                .map(|ca| files.of(ca).to_vec()),
            takes_tokens,
        };
        Ok(Tls::new(&parts)?)
    };
    Reloaded::open("the API's certificate", paths, make)
}

/// What the operator configured of who may see the admin port.
fn guard(given: config::Admin) -> anyhow::Result<Reloaded<Guard>> {
    let config::Admin {
        cert_file,
        key_file,
        token_file,
        ..
    } = given;
    let (pair, token) = (cert_file.0.zip(key_file.0), token_file.0);
    let paths = pair.iter().flat_map(|(cert, key)| [cert, key]);
    let paths: Vec<PathBuf> = paths.chain(&token).cloned().collect();
    let make = move |files: &Contents| {
        let mut guard = Guard::default();
        if let Some((cert, key)) = &pair {
            guard = guard.with_tls(files.of(cert), files.of(key))?;
        }
        if let Some(path) = &token {
            guard = with_token(guard, files, path)?;
        }
        Ok(guard)
    };
    Reloaded::open("the admin port's certificate or token", paths, make)
}

fn with_token(guard: Guard, files: &Contents, path: &Path) -> anyhow::Result<Guard> {
    let token = String::from_utf8_lossy(files.of(path)).trim().to_owned();
    let place = || format!("read the token in {}", path.display());
    guard.with_token(&token).with_context(place)
}
