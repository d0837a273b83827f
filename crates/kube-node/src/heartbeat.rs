//! Keeps the node's lease, from a thread with a runtime and connections of its own: whatever the
//! agent is busy with, the node stays alive as long as the process is.

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use burstlet_model::WallTime;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::identity::{self, Exchanges};
use crate::lease::{NAMESPACE, lease_to_write};
use crate::registration::read_lease;

/// How often the lease is renewed: a quarter of how long it lasts.
const RENEW_PERIOD: Duration = Duration::from_secs(10);
/// The pause after a renewal that failed; doubled up to the period.
const RETRY_MIN: Duration = Duration::from_millis(200);
/// How long one renewal may take.
const RENEWAL_MAX: Duration = Duration::from_secs(10);

/// What the thread is given.
pub(crate) struct Heartbeat {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) node: String,
    /// The Node's uid, which changes when it is registered anew.
    pub(crate) node_uid: watch::Receiver<String>,
    /// Tells when the kubeconfig leads to another identity.
    pub(crate) exchanges: Exchanges,
    /// The wall clock.
    pub(crate) now: Box<dyn Fn() -> WallTime + Send>,
    pub(crate) shutdown: CancellationToken,
}

/// Starts the thread, which ends at the shutdown.
pub(crate) fn start(heartbeat: Heartbeat) -> io::Result<thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name("node-lease".to_owned())
        .spawn(move || runtime.block_on(beat(heartbeat)))
}

async fn beat(mut heartbeat: Heartbeat) {
    let mut client: Option<Client> = None;
    let mut pause = RETRY_MIN;
    loop {
        if heartbeat.exchanges.any() {
            client = None;
        }
        let renewed = timeout(RENEWAL_MAX, renew(&heartbeat, &mut client)).await;
        let problem = match renewed {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some("no answer in time".to_owned()),
        };
        let wait = match problem {
            None => {
                pause = RETRY_MIN;
                RENEW_PERIOD
            }
            Some(problem) => {
                tracing::warn!(problem, "the node's lease was not renewed");
                // The credentials may have been replaced.
                client = None;
                let wait = pause;
                pause = (pause * 2).min(RENEW_PERIOD);
                wait
            }
        };
        tokio::select! {
            () = heartbeat.shutdown.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

async fn renew(heartbeat: &Heartbeat, client: &mut Option<Client>) -> Result<(), String> {
    let connected = match client {
        Some(connected) => connected.clone(),
        None => identity::client(&heartbeat.kubeconfig)
            .await
            .map_err(|e| e.to_string())?,
    };
    write(heartbeat, &connected)
        .await
        .map_err(|e| e.to_string())?;
    *client = Some(connected);
    Ok(())
}

async fn write(heartbeat: &Heartbeat, client: &Client) -> kube::Result<()> {
    let name = &heartbeat.node;
    let previous = read_lease(client, name).await?;
    let uid = heartbeat.node_uid.borrow().clone();
    let uid = Some(uid.as_str()).filter(|uid| !uid.is_empty());
    let lease = lease_to_write(name, uid, previous.as_ref(), (heartbeat.now)());
    let lease: Lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    match previous {
        Some(_) => leases.replace(name, &PostParams::default(), &lease).await?,
        None => leases.create(&PostParams::default(), &lease).await?,
    };
    Ok(())
}
