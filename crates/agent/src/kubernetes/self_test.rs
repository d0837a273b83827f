//! Whether the node reaches what its pods need, asked from this host from time to time, so that who
//! wonders why pods do not start or do not find each other is told by the Node.

mod record;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burstlet_image::registry::RegistryHost;
use burstlet_kube_node::{ClusterView, Finding};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use self::record::{Record, Subject};
use crate::config::Config;
use crate::host::RealHost;
use crate::host::failure::chain;

/// How long one of them may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Registries that are asked, first by name.
const REGISTRIES_MAX: usize = 8;
/// The registry of images that came from none.
const NO_REGISTRY: &str = "localhost";
const DNS_PORT: u16 = 53;

/// What was found, for the node's conditions. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub(super) struct SelfTest(Arc<Mutex<Vec<Finding>>>);

impl SelfTest {
    /// What was found so far.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Looks from time to time until the shutdown, if it is configured.
    pub(super) async fn keep(
        &self,
        config: &Config,
        host: &Arc<RealHost>,
        told: watch::Receiver<ClusterView>,
        shutdown: CancellationToken,
    ) {
        let period_s = config.kubernetes.self_test_s;
        if period_s == 0 {
            return;
        }
        let mut record = Record::default();
        let mut ticks = interval(Duration::from_secs(period_s.into()));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let subjects = subjects(config, host, told.borrow().api_service);
            let found = tokio::select! {
                () = shutdown.cancelled() => return,
                found = ask_all(config, host, subjects) => found,
            };
            for news in record.see(found) {
                tracing::warn!(news, "the node's self-test");
            }
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = record.findings();
        }
    }
}

/// Who is asked now.
fn subjects(config: &Config, host: &RealHost, api: Option<SocketAddr>) -> Vec<Subject> {
    let servers = config.kubernetes.cluster_dns.iter();
    let servers = servers.map(|ip| Subject::NameServer(SocketAddr::new(*ip, DNS_PORT)));
    let configured = config
        .registries
        .keys()
        .filter_map(|name| name.parse().ok());
    let images = host.images.list();
    let of_images = images.iter().flat_map(|image| image.references.keys());
    let registries: BTreeSet<RegistryHost> = configured
        .chain(of_images.map(RegistryHost::of))
        .filter(|registry| registry.as_str() != NO_REGISTRY)
        .collect();
    let registries = registries.into_iter().take(REGISTRIES_MAX);
    servers
        .chain(api.map(Subject::ApiService))
        .chain(registries.map(Subject::Registry))
        .collect()
}

/// Asks all at the same time; what each says.
async fn ask_all(
    config: &Config,
    host: &Arc<RealHost>,
    subjects: Vec<Subject>,
) -> Vec<(Subject, Result<(), String>)> {
    let name = format!(
        "kubernetes.default.svc.{}.",
        config.kubernetes.cluster_domain
    );
    let asked = subjects.into_iter().map(|subject| {
        let (host, name) = (Arc::clone(host), name.clone());
        async move {
            let answer = timeout(ANSWER_MAX, ask(&host, &subject, &name)).await;
            let silent = |_| Err(format!("no answer in {} s", ANSWER_MAX.as_secs()));
            let said = answer.unwrap_or_else(silent);
            (subject, said)
        }
    });
    asked.collect::<JoinSet<_>>().join_all().await
}

async fn ask(host: &RealHost, subject: &Subject, name: &str) -> Result<(), String> {
    match subject {
        Subject::NameServer(server) => {
            let told = burstlet_network::ask(*server, name).await;
            told.map_err(|error| chain(&error))
        }
        Subject::ApiService(address) => {
            let connected = TcpStream::connect(address).await;
            connected.map(drop).map_err(|error| error.to_string())
        }
        Subject::Registry(registry) => {
            let answered = host.images.reach(registry).await;
            answered.map_err(|error| chain(&error))
        }
    }
}
