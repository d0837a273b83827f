//! What is served at the doors: the API, and the admin port.

use std::sync::Arc;

use anyhow::Context;
use burstlet_access::Trail;
use burstlet_api_server::{Api, Settings};
use burstlet_metering::focus::Invoice;
use burstlet_metering::ledger::Inspected;
use burstlet_model::spec::ResourceList;
use burstlet_supervisor::Groups;
use burstlet_telemetry::admin::{self, Admin};
use burstlet_telemetry::{BuildInfo, Health, Readiness, Registry};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::host::RealHost;
use crate::machine::{self, Machine};
use crate::metering;
use crate::metrics::{Metrics, StoreUse};
use crate::node::Node;
use crate::policy::{DOMAIN, Rules};
use crate::{access, billing};

use super::doors;

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
    pub(super) trail: Trail,
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
        trail,
        shutdown,
    } = serve;
    let doors = doors::open(&config).await;
    let gate = access::gate(&config, trail);
    // Whatever fails must end the agent, and not only its door.
    let (doors, (gate, lists)) = doors
        .and_then(|doors| Ok((doors, gate?)))
        .inspect_err(|_| shutdown.cancel())?;
    let settings = settings(&config, &rules, &machine, groups.host());
    let pages = vec![billing::page(settings.meter.clone())];
    let api = Api::new(groups.clone(), node(&groups, config), settings);
    let on_call = metrics.on_call.clone();
    let serving = async {
        let (doors, shutdown) = (doors.api, shutdown.clone());
        let served = burstlet_api_server::serve(api, doors, gate, on_call, shutdown.clone()).await;
        shutdown.cancel();
        served
    };
    let administering = async {
        if let Some((listener, guard)) = doors.admin {
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
    let files = doors.files.follow(shutdown.clone());
    let lists = access::follow(lists, shutdown.clone());
    let following = metrics.follow(&groups);
    let (served, (), (), (), ()) = tokio::join!(serving, administering, following, files, lists);
    served.context("serve the API")
}

fn node(groups: &Groups<RealHost>, config: Arc<Config>) -> Node {
    Node {
        host: Arc::clone(groups.host()),
        config,
        started: machine::now().wall,
    }
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
    let host = Arc::clone(groups.host());
    let processors = move || host.processors.in_use();
    let metrics = Metrics::register(&registry, groups, look, processors)?;
    Ok((registry, metrics))
}

fn settings(config: &Config, rules: &Rules, machine: &Machine, host: &RealHost) -> Settings {
    let billing = &config.billing;
    Settings {
        policy: rules.policy().clone(),
        pods: rules.pods().clone(),
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
