//! Who a token belongs to and what somebody may do to this node, as the cluster says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::Secret;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::{KubeNodeError, api, is_code};

/// How long the API server may take to answer: who asked waits.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Where a cluster says whose certificates name clients.
const AUTHENTICATION: (&str, &str, &str) = (
    "kube-system",
    "extension-apiserver-authentication",
    "client-ca-file",
);

/// The cluster's word on users and their rights. It has none before the node has joined.
#[derive(Clone)]
pub struct Access {
    node: Arc<str>,
    client: Arc<watch::Sender<Option<Client>>>,
}

/// Somebody, as the cluster knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The name of the user.
    pub user: String,
    /// What tells users of one name apart, if known.
    pub uid: Option<String>,
    /// The groups they are of.
    pub groups: Vec<String>,
    /// What else the cluster knows, and wants to be told with each question.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Access {
    pub(crate) fn new(node: &str) -> Self {
        Self {
            node: node.into(),
            client: Arc::new(watch::Sender::new(None)),
        }
    }

    /// From now on there is somebody to ask.
    pub(crate) fn connect(&self, client: Client) {
        self.client.send_replace(Some(client));
    }

    /// Returns when there is somebody to ask. Cancel-safe.
    pub async fn joined(&self) {
        let mut client = self.client.subscribe();
        // The sender lives in `self`, so that this cannot fail while we are here.
        let _ = client.wait_for(Option::is_some).await;
    }

    /// Whose token it is; `None` for nobody's.
    ///
    /// # Errors
    /// The API server does not say.
    pub async fn whose(&self, token: &Secret<String>) -> Result<Option<Account>, KubeNodeError> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.expose().clone(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client()?);
        let asked = async { reviews.create(&PostParams::default(), &review).await };
        let status = answer("review a token", asked).await?.status;
        let status = status.unwrap_or_default();
        let user = status
            .user
            .filter(|_| status.authenticated == Some(true))
            .filter(|user| {
                user.username
                    .as_deref()
                    .is_some_and(|name| !name.is_empty())
            });
        Ok(user.map(|user| Account {
            user: user.username.unwrap_or_default(),
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        }))
    }

    /// Whether somebody may do this to a part of this node.
    ///
    /// # Errors
    /// The API server does not say.
    pub async fn may(
        &self,
        who: &Account,
        verb: &str,
        subresource: &str,
    ) -> Result<bool, KubeNodeError> {
        let reviews: Api<SubjectAccessReview> = Api::all(self.client()?);
        let review = question(&self.node, who, verb, subresource);
        let asked = async { reviews.create(&PostParams::default(), &review).await };
        let status = answer("review what somebody may do", asked).await?.status;
        Ok(status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }

    /// The certificates of the authority of clients, as PEM, if this node may read them.
    ///
    /// # Errors
    /// The API server does not say.
    pub async fn client_authorities(&self) -> Result<Option<String>, KubeNodeError> {
        let (namespace, name, key) = AUTHENTICATION;
        let maps: Api<ConfigMap> = Api::namespaced(self.client()?, namespace);
        let asked = async {
            match maps.get_opt(name).await {
                Err(error) if is_code(&error, 403) => Ok(None),
                told => told,
            }
        };
        let map = answer("read the authority of clients", asked).await?;
        Ok(map
            .and_then(|map| map.data)
            .and_then(|mut data| data.remove(key)))
    }

    fn client(&self) -> Result<Client, KubeNodeError> {
        let client = self.client.borrow().clone();
        client.ok_or(KubeNodeError::NotJoined)
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

async fn answer<T>(
    doing: &str,
    asked: impl Future<Output = kube::Result<T>>,
) -> Result<T, KubeNodeError> {
    match timeout(ANSWER_MAX, asked).await {
        Ok(answered) => answered.map_err(api(doing)),
        Err(_) => Err(KubeNodeError::NoAnswer(doing.to_owned())),
    }
}

fn question(node: &str, who: &Account, verb: &str, subresource: &str) -> SubjectAccessReview {
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(who.user.clone()),
            uid: who.uid.clone(),
            groups: Some(who.groups.clone()),
            extra: Some(who.extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                version: Some("v1".to_owned()),
                resource: Some("nodes".to_owned()),
                subresource: Some(subresource.to_owned()),
                name: Some(node.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}
