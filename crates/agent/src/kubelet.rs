//! The kubelet's port of this node: what the API server, and through it `kubectl`, reaches pods by.
//!
//! `burstlet-kubelet-api` serves it. What it shows and runs are the groups of pods ([`backend`],
//! [`documents`]), who may ask is the cluster's to say ([`guard`], [`authorities`]).

mod authorities;
mod backend;
mod documents;
mod guard;
mod place;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use burstlet_kube_node::PortLink;
use burstlet_kubelet_api::{Cached, ClientCa, Kubelet, Timeouts, serve, tls_config};
use burstlet_metering::Meter;
use burstlet_supervisor::Groups;
use burstlet_telemetry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Kubernetes};
use crate::host::RealHost;
use backend::Pods;
use documents::{Documents, Rates};
use guard::Cluster;

/// The port, bound and not served yet.
pub(crate) struct Port(TcpListener);

/// What is served there.
pub(crate) struct Of<'a> {
    pub(crate) config: &'a Arc<Config>,
    /// The node's name.
    pub(crate) node: String,
    pub(crate) groups: Groups<RealHost>,
    pub(crate) registry: Registry,
    pub(crate) meter: Meter,
    pub(crate) link: PortLink,
}

impl Port {
    /// Takes the address.
    ///
    /// # Errors
    /// It cannot be listened at.
    pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.with_context(|| format!("listen at {address} ([kubernetes] listen)"))?;
        Ok(Self(listener))
    }

    /// The port's number.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn number(&self) -> anyhow::Result<u16> {
        let address = self.0.local_addr();
        Ok(address.context("look up the kubelet's port")?.port())
    }

    /// Serves until the shutdown.
    ///
    /// # Errors
    /// TLS cannot be set up, or the file of the clients' authority cannot be used.
    pub(crate) async fn serve(self, of: Of<'_>, shutdown: CancellationToken) -> anyhow::Result<()> {
        let link = of.link;
        let given = &of.config.kubernetes;
        let client_ca = ClientCa::new();
        let authorities = authorities::Source::open(given, &client_ca, link.access.clone())?;
        let certificate = Arc::clone(&link.certificate);
        let kubelet = Kubelet {
            backend: Arc::new(Pods {
                groups: of.groups.clone(),
                heard: link.pods.clone(),
                documents: Documents {
                    groups: of.groups,
                    pods: link.pods.clone(),
                    config: Arc::clone(of.config),
                    node: of.node,
                    registry: of.registry,
                    meter: of.meter,
                    rates: Rates::default(),
                },
            }),
            guard: Cached::new(Cluster(link.access.clone())),
            tls: tls_config(certificate).context("set up TLS for the kubelet's port")?,
            client_ca: client_ca.clone(),
            timeouts: timeouts(given),
        };
        tracing::info!(address = ?self.0.local_addr().ok(), "serving the kubelet's port");
        let following = authorities.follow(&client_ca, shutdown.clone());
        tokio::join!(serve(kubelet, self.0, shutdown), following);
        Ok(())
    }
}

fn timeouts(given: &Kubernetes) -> Timeouts {
    Timeouts {
        idle: Duration::from_secs(given.stream_idle_s.into()),
        creation: Duration::from_secs(given.stream_creation_s.into()),
    }
}
