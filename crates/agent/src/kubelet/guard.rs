//! Who may ask: the cluster's word, as the port wants it.

use burstlet_kube_node::{Access, Account, KubeNodeError};
use burstlet_kubelet_api::{Asked, Guard, Identity, Refused};
use burstlet_model::{ErrorKind, Secret};

/// Asks the cluster each time.
#[derive(Debug)]
pub(super) struct Cluster(pub(super) Access);

impl Guard for Cluster {
    async fn authenticate(&self, token: &Secret<String>) -> Result<Option<Identity>, Refused> {
        let account = self.0.whose(token).await.map_err(|error| unsaid(&error))?;
        Ok(account.map(|account| Identity {
            user: account.user,
            uid: account.uid,
            groups: account.groups,
            extra: account.extra,
        }))
    }

    async fn authorize(&self, who: &Identity, asked: Asked) -> Result<bool, Refused> {
        let account = Account {
            user: who.user.clone(),
            uid: who.uid.clone(),
            groups: who.groups.clone(),
            extra: who.extra.clone(),
        };
        let said = self.0.may(&account, asked.verb, asked.subresource).await;
        said.map_err(|error| unsaid(&error))
    }
}

/// Why is the operator's business, and not the client's.
fn unsaid(error: &KubeNodeError) -> Refused {
    let problem = error as &dyn std::error::Error;
    tracing::warn!(
        error = problem,
        "the cluster does not say who may use the kubelet's port"
    );
    let message = "the cluster cannot be asked who may do this";
    Refused::new(ErrorKind::Unavailable, message)
}
