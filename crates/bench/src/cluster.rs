//! A node of a cluster, asked as the cluster's clients do. `tests/kube` sets the stage: a real
//! control plane, the node, and pods to ask for.

pub(crate) mod crowd;
pub(crate) mod pods;
mod relay;
pub(crate) mod streams;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::Runtime;
use tower::{BoxError, ServiceBuilder};

use crate::machine;
use crate::report::Report;

/// Whose pods are created where, and of what.
#[derive(clap::Args)]
pub(crate) struct Of {
    /// Who asks, and the API server
    #[arg(long)]
    kubeconfig: PathBuf,
    /// The node
    #[arg(long)]
    node: String,
    /// An image that is there and has `sh`
    #[arg(long)]
    image: String,
}

/// Measures with a kubeconfig's identity, and prints tables of it.
fn measured(
    kubeconfig: &Path,
    measure: impl AsyncFnOnce(&Client, &mut Report) -> Result<()>,
) -> Result<()> {
    let runtime = Runtime::new().context("start the runtime")?;
    let mut report = Report::new(vec![machine::describe()]);
    let measured = runtime.block_on(async {
        let client = client(kubeconfig, None).await?;
        measure(&client, &mut report).await
    });
    print!("{}", report.markdown());
    measured
}

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
    connect(config).context("make a client")
}

/// A client that sends at once what it has to say: with Nagle's algorithm, which kube's own connector
/// leaves on, a request may wait 40 ms for an acknowledgement that the server delays.
fn connect(config: Config) -> kube::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let tls = config.rustls_https_connector_with_connector(tcp)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(tls));
    Ok(Client::new(service, config.default_namespace))
}
