//! Who the node is to the API server, from the agent's start to its end.
//!
//! ```text
//! kubeconfig there? ─no─► bootstrap kubeconfig ─► key, request (kept until it is granted)
//!        │yes                                                │
//!        ▼                                                   ▼
//! whose certificate is it? ─ ours ─► at 70–90 % of its life ─► certificate ─► KUBECONFIG.pem
//!        │ the operator's                   (once it is over: by the bootstrap again)
//!        └─► the files are read again when they change
//! ```
//!
//! Pods do not notice: every part of the node keeps its client, and what is behind it is exchanged
//! ([`switch`]). What is to be done is judged in [`decide`], and the files are in [`files`].

mod connect;
mod decide;
mod files;
mod switch;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burstlet_model::WallTime;
use burstlet_supervisor::host::Host;
use kube::Client;
use tokio::time::{Instant, sleep, timeout};

use crate::certificate::read_pair;
use crate::config::{Credentials, NodeFacts};
use crate::csr::{self, Wish};
use crate::error::KubeNodeError;
use crate::run::Shared;
use decide::{By, Entry, Held, entry, renewal};
use files::{Files, Look};
use switch::Switch;

pub(crate) use files::client;
pub(crate) use switch::Exchanges;

/// Who signs the certificates that nodes show to the API server.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// How often it is looked whether the files have changed, and how old the certificate is.
const LOOK_PERIOD: Duration = Duration::from_secs(10);
/// How long somebody may take to grant a renewal until it counts as failed. The request stays, and is
/// waited for again.
const GRANT_MAX: Duration = Duration::from_secs(60);
/// The pause after a renewal that failed; doubled up to the second.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(600);

/// How the identity stands, for whoever shows it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct IdentityState(Arc<Mutex<Standing>>);

/// How the identity stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When the certificate is good no more; `None` without one.
    pub expires: Option<WallTime>,
    /// Certificates that were asked for and granted.
    pub renewals: u64,
    /// Certificates that were asked for in vain.
    pub failures: u64,
}

/// The node's identity.
#[derive(Debug)]
pub(crate) struct Identity {
    credentials: Credentials,
    node: String,
    files: Files,
    look: Look,
    switch: Switch,
}

impl IdentityState {
    /// How it stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Identity {
    /// The identity that the kubeconfig has, or that the bootstrap kubeconfig leads to, and the client
    /// for it.
    ///
    /// # Errors
    /// There is none, or the API server cannot be asked for one.
    pub(crate) async fn open(
        credentials: &Credentials,
        node: &NodeFacts,
        now: WallTime,
    ) -> Result<(Self, Client), KubeNodeError> {
        let files = Files {
            kubeconfig: credentials.kubeconfig.clone(),
        };
        let user = user(&node.name);
        let look = files.look(&user)?;
        let held = look.as_ref().map(|look| &look.held);
        let bootstrap = credentials.bootstrap_kubeconfig.as_deref();
        match (entry(held, bootstrap.is_some(), now), bootstrap) {
            (Entry::Join, Some(bootstrap)) => {
                let by = client(bootstrap).await?;
                let pem = ask(&files, by, &node.name, now).await?;
                put(&files, &pem, Some(bootstrap))?;
            }
            (Entry::Missing | Entry::Join, _) => {
                return Err(KubeNodeError::NoCredentials(files.kubeconfig));
            }
            (Entry::Expired(until), _) => {
                let path = files.kubeconfig;
                return Err(KubeNodeError::Expired { path, until });
            }
            (Entry::Use, _) => {}
        }
        let look = files.look(&user)?;
        let look = look.ok_or_else(|| KubeNodeError::NoCredentials(files.kubeconfig.clone()))?;
        let (switch, client) = Switch::new(client(&files.kubeconfig).await?);
        credentials.state.change(|s| s.expires = expiry(&look.held));
        let identity = Self {
            credentials: credentials.clone(),
            node: node.name.clone(),
            files,
            look,
            switch,
        };
        Ok((identity, client))
    }

    /// Tells of each exchange.
    pub(crate) fn exchanges(&self) -> Exchanges {
        self.switch.exchanges()
    }

    /// Keeps the identity good until the shutdown.
    pub(crate) async fn keep<H: Host>(mut self, shared: &Shared<H>) {
        let has_bootstrap = self.credentials.bootstrap_kubeconfig.is_some();
        let (mut pause, mut ask_again) = (RETRY_MIN, Instant::now());
        loop {
            self.follow().await;
            let due = renewal(&self.look.held, has_bootstrap, shared.now());
            let mut wait = LOOK_PERIOD;
            if let Some(by) = due.filter(|_| ask_again <= Instant::now()) {
                match self.renew(by, shared).await {
                    Ok(()) => {
                        pause = RETRY_MIN;
                        self.follow().await;
                    }
                    Err(error) => {
                        self.complain(&error, pause);
                        ask_again = Instant::now() + pause;
                        wait = pause.min(LOOK_PERIOD);
                        pause = (pause * 2).min(RETRY_MAX);
                    }
                }
            }
            tokio::select! {
                () = shared.shutdown.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// Goes by the files as they are, if they are others. Files that are half written, or gone, change
    /// nothing until they can be used.
    async fn follow(&mut self) {
        let look = match self.files.look(&user(&self.node)) {
            Ok(Some(look)) if look.is_same(&self.look) => return,
            Ok(Some(look)) => look,
            Ok(None) => return,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the kubeconfig has changed and cannot be read");
                return;
            }
        };
        match client(&self.files.kubeconfig).await {
            Ok(client) => {
                let expires = expiry(&look.held);
                self.switch.exchange(client);
                self.look = look;
                self.credentials.state.change(|s| s.expires = expires);
                tracing::info!(
                    expires = expires.map(crate::time::seconds),
                    "the node goes by another identity than before"
                );
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the node's credentials have changed and are no use");
            }
        }
    }

    /// Asks for a new certificate and puts it in its place.
    async fn renew<H: Host>(&self, by: By, shared: &Shared<H>) -> Result<(), KubeNodeError> {
        let bootstrap = self.credentials.bootstrap_kubeconfig.as_deref();
        let (by, source) = match (by, bootstrap) {
            (By::Bootstrap, Some(bootstrap)) => (client(bootstrap).await?, Some(bootstrap)),
            _ => (shared.client.clone(), self.files.to_rewrite(&self.look)),
        };
        let asked = ask(&self.files, by, &self.node, shared.now());
        let granted = timeout(GRANT_MAX, asked).await;
        let pem = granted.map_err(|_| KubeNodeError::NotGranted)??;
        put(&self.files, &pem, source)?;
        self.credentials.state.change(|s| s.renewals += 1);
        Ok(())
    }

    fn complain(&self, error: &KubeNodeError, pause: Duration) {
        self.credentials.state.change(|s| s.failures += 1);
        let expires = expiry(&self.look.held).map(crate::time::seconds);
        let error = error as &dyn std::error::Error;
        let again_s = pause.as_secs();
        tracing::warn!(
            error,
            expires,
            again_s,
            "the node's certificate was not renewed"
        );
    }
}

/// Asks for a certificate for a new key, and waits until it is granted: both, as PEM.
async fn ask(
    files: &Files,
    by: Client,
    node: &str,
    now: WallTime,
) -> Result<String, KubeNodeError> {
    let key_file = files.request_key();
    let key = csr::kept_key(&key_file)?;
    let wish = Wish {
        node,
        signer: SIGNER,
        usage: "client auth",
        names: &[],
    };
    let granted = csr::obtain(by, &wish, &key).await;
    if let Err(KubeNodeError::Denied { .. }) = &granted {
        // The next request is to be another.
        let _ = fs::remove_file(&key_file);
    }
    let pem = format!("{}{}", granted?, key.serialize_pem());
    let certificate = read_pair(pem.as_bytes()).map(|(_, certificate)| certificate);
    match certificate.filter(|granted| !granted.life.is_over(now)) {
        Some(_) => Ok(pem),
        None => {
            // A request of long ago, or no answer to it.
            let _ = fs::remove_file(&key_file);
            Err(KubeNodeError::Granted)
        }
    }
}

fn put(files: &Files, pem: &str, source: Option<&Path>) -> Result<(), KubeNodeError> {
    files.put(pem, source)?;
    let _ = fs::remove_file(files.request_key());
    tracing::info!(path = %files.kubeconfig.display(), "the node has a new certificate");
    Ok(())
}

fn expiry(held: &Held) -> Option<WallTime> {
    held.certificate.as_ref().map(|own| own.life.until)
}

/// What the node is called as a user of the cluster.
fn user(node: &str) -> String {
    format!("system:node:{node}")
}
