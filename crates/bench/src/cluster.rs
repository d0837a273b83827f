//! A node of a cluster, asked as the cluster's clients do. `tests/kube` sets the stage: a real
//! control plane, the node, and pods to ask for.

pub(crate) mod pods;
mod relay;
pub(crate) mod streams;

use std::path::Path;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// A client with a kubeconfig's identity; of its server, or of another with the same authority.
async fn client(kubeconfig: &Path, server: Option<&str>) -> Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("read {}", kubeconfig.display()))?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(read, &options)
        .await
        .with_context(|| format!("use {}", kubeconfig.display()))?;
    if let Some(server) = server {
        config.cluster_url = server
            .parse()
            .with_context(|| format!("{server} is no address of a server"))?;
    }
    Client::try_from(config).context("make a client")
}
