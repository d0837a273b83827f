//! The node's life: credentials, registration, heartbeat, and then its pods until the shutdown.

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::WallTime;
use burstlet_supervisor::Groups;
use burstlet_supervisor::host::Host;
use kube::Client;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::book::{self, Sources};
use crate::config::NodeConfig;
use crate::costs::Turns;
use crate::directory::{self, FromFiles};
use crate::error::KubeNodeError;
use crate::events::{self, Events};
use crate::heartbeat::{self, Heartbeat};
use crate::identity::Identity;
use crate::link::PortLink;
use crate::node::{ClusterView, NodeCondition};
use crate::pods::Pods;
use crate::registration;
use crate::service_watch::{self, Services};
use crate::serving;
use crate::watching::Watching;

/// Requests about pods that are under way at once.
const REQUESTS_MAX: usize = 64;
/// The pause after the API server could not be asked; doubled up to the second.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Tells what the node is like now, and is told what the cluster says of it.
pub type Condition = Arc<dyn Fn(&ClusterView) -> NodeCondition + Send + Sync>;

/// What every part of the node uses.
pub(crate) struct Shared<H> {
    pub(crate) client: Client,
    pub(crate) config: NodeConfig,
    pub(crate) groups: Groups<H>,
    pub(crate) condition: Condition,
    pub(crate) services: Services,
    pub(crate) watching: Watching,
    pub(crate) events: Events,
    pub(crate) pods: Pods,
    pub(crate) requests: Semaphore,
    pub(crate) turns: Turns,
    /// What happened before is told already.
    pub(crate) began: WallTime,
    pub(crate) shutdown: CancellationToken,
}

impl<H: Host> Shared<H> {
    pub(crate) fn now(&self) -> WallTime {
        self.groups.host().now().wall
    }
}

/// Is the node until the shutdown. Groups are left as they are. `link` is kept true for the
/// kubelet's port, if there is one.
///
/// An API server that cannot be reached is waited for.
///
/// # Errors
/// The credentials cannot be used, or another agent has a node of this name.
pub async fn run<H: Host>(
    config: NodeConfig,
    groups: Groups<H>,
    condition: Condition,
    link: Option<PortLink>,
    shutdown: CancellationToken,
) -> Result<(), KubeNodeError> {
    // It is large, and waited for from the bottom of the agent.
    let serving = Box::pin(serve(config, groups, condition, link, shutdown.clone()));
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = serving => ended,
    }
}

async fn serve<H: Host>(
    config: NodeConfig,
    groups: Groups<H>,
    condition: Condition,
    link: Option<PortLink>,
    shutdown: CancellationToken,
) -> Result<(), KubeNodeError> {
    let now = || groups.host().now().wall;
    let opened = async || Identity::open(&config.credentials, &config.node, now()).await;
    let (identity, client) = patiently(opened).await?;
    if let Some(link) = &link {
        link.access.connect(client.clone());
    }
    let shared = Arc::new(Shared {
        events: events::start(client.clone(), &config.node.name, shutdown.clone()),
        services: service_watch::start(client.clone(), shutdown.clone()),
        pods: link.as_ref().map(|l| l.pods.clone()).unwrap_or_default(),
        watching: Watching::new(client.clone(), shutdown.clone()),
        requests: Semaphore::new(REQUESTS_MAX),
        turns: Turns::default(),
        began: now(),
        client,
        config,
        groups,
        condition,
        shutdown,
    });
    let joined = CancellationToken::new();
    let (tell_uid, node_uid) = watch::channel(String::new());
    let sources = Sources {
        joined: joined.clone(),
        files: files(&shared),
        node_uid,
    };
    let pods = async {
        book::keep(Arc::clone(&shared), sources).await;
        Ok(())
    };
    // Pods of files do not wait for an API server.
    tokio::try_join!(pods, join(&shared, identity, link, (tell_uid, joined))).map(|_| ())
}

/// The pods of files, if there is a directory of them.
fn files<H: Host>(shared: &Shared<H>) -> Option<FromFiles> {
    let directory = shared.config.static_pods.clone()?;
    let node = &shared.config.node.name;
    Some(directory::watch(directory, node, shared.shutdown.clone()))
}

/// Registers the node, says that it has joined, and keeps it until the shutdown.
async fn join<H: Host>(
    shared: &Arc<Shared<H>>,
    identity: Identity,
    link: Option<PortLink>,
    (tell_uid, joined): (watch::Sender<String>, CancellationToken),
) -> Result<(), KubeNodeError> {
    patiently(async || registration::check_alone(shared).await).await?;
    let doing = || format!("register node {}", shared.config.node.name);
    let uid = patiently(async || {
        registration::register(shared)
            .await
            .map_err(crate::error::api(doing()))
    });
    tell_uid.send_replace(uid.await?);
    joined.cancel();
    let host = Arc::clone(shared.groups.host());
    let heartbeat = Heartbeat {
        kubeconfig: shared.config.credentials.kubeconfig.clone(),
        node: shared.config.node.name.clone(),
        node_uid: tell_uid.subscribe(),
        exchanges: identity.exchanges(),
        now: Box::new(move || host.now().wall),
        shutdown: shared.shutdown.clone(),
    };
    // The thread ends at the shutdown, or with the process; nobody has to wait for it.
    heartbeat::start(heartbeat).map_err(KubeNodeError::Thread)?;
    let node = registration::keep_true(Arc::clone(shared), tell_uid);
    let certificate = async {
        if let Some(link) = &link {
            serving::keep(shared, &link.certificate).await;
        }
    };
    tokio::join!(node, certificate, identity.keep(shared));
    Ok(())
}

/// Tries until it can be done, or never can.
async fn patiently<T>(
    mut work: impl AsyncFnMut() -> Result<T, KubeNodeError>,
) -> Result<T, KubeNodeError> {
    let mut pause = RETRY_MIN;
    loop {
        match work().await {
            Err(error @ KubeNodeError::Api { .. }) => {
                let problem = &error as &dyn std::error::Error;
                tracing::warn!(
                    error = problem,
                    "the API server cannot be asked; trying again"
                );
            }
            done => return done,
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}
