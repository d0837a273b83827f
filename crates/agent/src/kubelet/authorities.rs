//! Whose certificates name clients of the port: a file that the operator names, or what the cluster
//! says where the node may read it. Either may change while the port is served.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use burstlet_kube_node::Access;
use burstlet_kubelet_api::ClientCa;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::Kubernetes;
use crate::host::failure::chain;

/// How often the file is looked at.
const FILE_PERIOD: Duration = Duration::from_secs(60);
/// How often the cluster is asked, once it has told.
const CLUSTER_PERIOD: Duration = Duration::from_secs(600);
/// The pause until it is asked again if it has not; doubled up to the period.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// Where they are found.
pub(super) struct Source {
    place: Place,
    /// What is in use.
    pem: String,
}

enum Place {
    File(PathBuf),
    Cluster(Access),
}

impl Source {
    /// Reads the file, if one is named; the cluster is asked later.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificate that can be used.
    pub(super) fn open(
        given: &Kubernetes,
        client_ca: &ClientCa,
        access: Access,
    ) -> anyhow::Result<Self> {
        let Some(path) = given.client_ca_file.0.clone() else {
            return Ok(Self {
                place: Place::Cluster(access),
                pem: String::new(),
            });
        };
        let place = || format!("{} ([kubernetes] client_ca_file)", path.display());
        let pem = std::fs::read_to_string(&path).with_context(place)?;
        put(&pem, client_ca).with_context(place)?;
        Ok(Self {
            place: Place::File(path),
            pem,
        })
    }

    /// Keeps them true until the shutdown.
    pub(super) async fn follow(mut self, client_ca: &ClientCa, shutdown: CancellationToken) {
        if let Place::Cluster(access) = &self.place {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = access.joined() => {}
            }
        }
        let mut pause = RETRY_MIN;
        let mut told = false;
        loop {
            let wait = match self.look(client_ca).await {
                Ok(true) => self.period(),
                Ok(false) => {
                    if !told {
                        tracing::warn!(
                            "nobody is known by a certificate at the kubelet's port: name the \
                             authority of clients as [kubernetes] client_ca_file, or let the node \
                             read the config map kube-system/extension-apiserver-authentication"
                        );
                        told = true;
                    }
                    self.period()
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the authority of clients is as it was");
                    let wait = pause;
                    pause = (pause * 2).min(self.period());
                    wait
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// Whether there are any.
    async fn look(&mut self, client_ca: &ClientCa) -> anyhow::Result<bool> {
        let pem = match &self.place {
            Place::File(path) => Some(std::fs::read_to_string(path)?),
            Place::Cluster(access) => {
                let asked = access.client_authorities().await;
                asked.map_err(|error| anyhow::Error::msg(chain(&error)))?
            }
        };
        let Some(pem) = pem else {
            return Ok(!self.pem.is_empty());
        };
        if pem != self.pem {
            put(&pem, client_ca)?;
            self.pem = pem;
        }
        Ok(true)
    }

    const fn period(&self) -> Duration {
        match self.place {
            Place::File(_) => FILE_PERIOD,
            Place::Cluster(_) => CLUSTER_PERIOD,
        }
    }
}

fn put(pem: &str, client_ca: &ClientCa) -> anyhow::Result<()> {
    let all: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all = all.context("read certificates")?;
    anyhow::ensure!(!all.is_empty(), "it has no certificate");
    client_ca.replace(&all)?;
    Ok(())
}
