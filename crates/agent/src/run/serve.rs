//! The doors: the API's unix socket and TCP listener, and the admin port.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use burstlet_api_server::{Api, Door, Settings, Tls, bind_unix};
use burstlet_metering::focus::Invoice;
use burstlet_metering::ledger::Inspected;
use burstlet_model::Secret;
use burstlet_model::spec::ResourceList;
use burstlet_supervisor::Groups;
use burstlet_telemetry::admin::{self, Admin, Guard};
use burstlet_telemetry::{BuildInfo, Health, Readiness, Registry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, ServerTls};
use crate::host::RealHost;
use crate::machine::{self, Machine};
use crate::metering;
use crate::metrics::{Metrics, StoreUse};
use crate::node::Node;
use crate::policy::{DOMAIN, Rules};
use crate::{access, billing};

/// What the doors lead to.
pub(super) struct Serve {
    pub(super) config: Arc<Config>,
    pub(super) rules: Rules,
    pub(super) machine: Machine,
    pub(super) groups: Groups<RealHost>,
    pub(super) readiness: Readiness,
    pub(super) health: Health,
    pub(super) registry: Registry,
    pub(super) metrics: Metrics,
    pub(super) shutdown: CancellationToken,
}

/// Serves until the shutdown.
///
/// # Errors
/// An address cannot be bound, or a certificate cannot be used.
pub(super) async fn serve(serve: Serve) -> anyhow::Result<()> {
    let Serve {
        config,
        rules,
        machine,
        groups,
        readiness,
        health,
        registry,
        metrics,
        shutdown,
    } = serve;
    let doors = doors(&config).await;
    let admin = bind_admin(&config).await;
    let gate = access::gate(&config);
    // Whatever fails must end the agent, and not only its door.
    let (doors, admin, gate) = doors
        .and_then(|doors| Ok((doors, admin?, gate?)))
        .inspect_err(|_| shutdown.cancel())?;
    let node = Node {
        host: Arc::clone(groups.host()),
        config: Arc::clone(&config),
        started: machine::now().wall,
    };
    let settings = settings(&config, &rules, &machine, groups.host());
    let pages = vec![billing::page(settings.meter.clone())];
    let api = Api::new(groups.clone(), node, settings);
    let on_call = metrics.on_call.clone();
    let serving = async {
        let served = burstlet_api_server::serve(api, doors, gate, on_call, shutdown.clone()).await;
        shutdown.cancel();
        served
    };
    let administering = async {
        if let Some((listener, guard)) = admin {
            let shown = Admin {
                registry,
                readiness,
                health,
                pages,
                guard,
            };
            admin::serve(shown, listener, shutdown.cancelled()).await;
        }
    };
    let (served, (), ()) = tokio::join!(serving, administering, metrics.follow(&groups));
    served.context("serve the API")
}

/// The registry with all metrics, and what keeps them up to date.
///
/// # Errors
/// Two metrics have one name.
pub(super) fn metrics(groups: &Groups<RealHost>) -> Result<(Registry, Metrics), prometheus::Error> {
    let registry = Registry::new(BuildInfo {
        program: "burstlet",
        version: env!("CARGO_PKG_VERSION"),
    })?;
    let images = groups.host().images.clone();
    let look = move || StoreUse {
        images: images.list().len(),
        bytes: images.disk_bytes(),
    };
    let metrics = Metrics::register(&registry, groups, look)?;
    Ok((registry, metrics))
}

fn settings(config: &Config, rules: &Rules, machine: &Machine, host: &RealHost) -> Settings {
    let billing = &config.billing;
    Settings {
        policy: rules.policy().clone(),
        allocatable: rules.allocatable(),
        domain: DOMAIN.to_owned(),
        total: machine.total(),
        reserved: ResourceList {
            cpu: Some(config.capacity.reserved_cpu),
            memory: Some(config.capacity.reserved_memory),
            ..ResourceList::default()
        },
        queue_max: config.capacity.queue_max,
        meter: host.metering.meter().clone(),
        ledger: Inspected::new(&config.state_dir.join(metering::DIRECTORY)),
        invoice: Invoice {
            account: billing.account.clone(),
            provider: billing.provider.clone(),
            region: billing.region.clone(),
        },
        rates: access::rates(config),
    }
}

async fn doors(config: &Config) -> anyhow::Result<Vec<Door>> {
    let socket = config.api_socket();
    let unix = bind_unix(&socket).with_context(|| format!("listen at {}", socket.display()))?;
    let mut doors = vec![Door::Unix(unix)];
    if let Some(tls) = config.tls().map_err(anyhow::Error::msg)? {
        doors.push(tls_door(&tls).await?);
    }
    tracing::info!(socket = %socket.display(), tcp = ?config.api.listen.0, "serving the API");
    Ok(doors)
}

async fn tls_door(given: &ServerTls) -> anyhow::Result<Door> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
    };
    let tls = Tls {
        certificate: read(&given.cert_file)?,
        key: Secret::new(read(&given.key_file)?),
        client_ca: given.client_ca_file.as_deref().map(read).transpose()?,
    };
    let listener = TcpListener::bind(given.listen).await;
    let listener = listener.with_context(|| format!("listen at {}", given.listen))?;
    Ok(Door::Tcp(listener, tls))
}

async fn bind_admin(config: &Config) -> anyhow::Result<Option<(TcpListener, Guard)>> {
    let Some(address) = config.admin.listen.0 else {
        return Ok(None);
    };
    let guard = guard(&config.admin)?;
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("listen at {address} ([admin] listen)"))?;
    tracing::info!(address = ?listener.local_addr().ok(), "serving the admin port");
    Ok(Some((listener, guard)))
}

/// What the operator configured of who may see the admin port.
fn guard(admin: &config::Admin) -> anyhow::Result<Guard> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("read {}", path.display()));
    let mut guard = Guard::default();
    if let (Some(cert), Some(key)) = (&admin.cert_file.0, &admin.key_file.0) {
        guard = guard.with_tls(&read(cert)?, &read(key)?)?;
    }
    if let Some(path) = &admin.token_file.0 {
        let token = String::from_utf8_lossy(&read(path)?).trim().to_owned();
        let place = || format!("read the token in {}", path.display());
        guard = guard.with_token(&token).with_context(place)?;
    }
    Ok(guard)
}
