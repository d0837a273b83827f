//! Fetches what a pod refers to, each object by its name: a node may not list them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Secret, ServiceAccount,
};
use kube::api::{ApiResource, PostParams};
use kube::core::{DynamicObject, NamespaceResourceScope};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::pod::claims::{Claim, bound_to};
use crate::pod::needs::{Fetched, Needs, TokenNeed};
use crate::pod::seen::Pod;
use crate::pod::tokens::used_for;

/// Objects of one kind that are asked for at once, for one pod.
const AT_ONCE_MAX: usize = 4;

/// A token that was issued, and how long it is used.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) need: TokenNeed,
    /// Until the pod's group has it, where it is found when it is needed again.
    pub(crate) token: Option<String>,
    pub(crate) used_until: Instant,
}

/// One for each need.
pub(crate) type Tokens = Vec<Issued>;

/// Who asks: the client, and the node that it asks for.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) client: &'a Client,
    pub(crate) node: &'a str,
}

/// Everything that `needs` names and that exists. Of `tokens`, those that are still used are; the
/// others are replaced. All is asked for at once: a start waits for the slowest, not for the sum.
pub(crate) async fn fetch(
    asker: Asker<'_>,
    pod: &Pod,
    needs: &Needs,
    tokens: &mut Tokens,
) -> kube::Result<Fetched> {
    let Asker { client, node } = asker;
    let namespace = &*pod.namespace;
    let (config_maps, secrets, tokens, claims) = tokio::try_join!(
        all(&needs.config_maps, |name| object::<ConfigMap>(
            client, namespace, name
        )),
        all(&needs.secrets, |name| object::<Secret>(
            client, namespace, name
        )),
        issued(client, pod, &needs.tokens, tokens),
        all(&needs.claims, |name| claim(client, namespace, name)),
    )?;
    let asks_for_nodes = |claim: &Claim| {
        let volume = claim.volume.as_ref();
        volume.is_some_and(|volume| volume["spec"]["nodeAffinity"].is_object())
    };
    let node = match claims.values().any(asks_for_nodes) {
        true => {
            let nodes: Api<Node> = Api::all(client.clone());
            value(nodes.get(node).await?.metadata)?
        }
        false => Value::Null,
    };
    Ok(Fetched {
        config_maps,
        secrets,
        tokens,
        claims,
        node,
        ..Fetched::default()
    })
}

/// Those of these names that there are.
async fn all<T, F: Future<Output = kube::Result<Option<T>>>>(
    names: &BTreeSet<String>,
    get: impl Fn(String) -> F,
) -> kube::Result<BTreeMap<String, T>> {
    let gets = names.iter().cloned().map(|name| {
        let got = get(name.clone());
        async move { Ok::<_, kube::Error>(got.await?.map(|got| (name, got))) }
    });
    let got = stream::iter(gets).buffered(AT_ONCE_MAX);
    let got: Vec<Option<(String, T)>> = got.try_collect().await?;
    Ok(got.into_iter().flatten().collect())
}

async fn object<K>(client: &Client, namespace: &str, name: String) -> kube::Result<Option<Value>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let objects: Api<K> = Api::namespaced(client.clone(), namespace);
    objects.get_opt(&name).await?.map(value).transpose()
}

/// Tokens that are still used, and new ones.
async fn issued(
    client: &Client,
    pod: &Pod,
    needs: &BTreeSet<TokenNeed>,
    tokens: &mut Tokens,
) -> kube::Result<BTreeMap<TokenNeed, String>> {
    let mut all = BTreeMap::new();
    for need in needs {
        let now = Instant::now();
        let is_used = |known: &&Issued| known.need == *need && known.used_until > now;
        let known = tokens.iter().find(is_used);
        let mut token = known.and_then(|known| known.token.clone());
        if token.is_none() {
            let issued = issue(client, pod, need).await?;
            token.clone_from(&issued.token);
            tokens.retain(|known| known.need != *need);
            tokens.reserve_exact(1);
            tokens.push(issued);
        }
        all.insert(need.clone(), token.unwrap_or_default());
    }
    Ok(all)
}

/// A claim with what it is bound to. Untyped: a volume may be of a kind that is newer than this.
async fn claim(client: &Client, namespace: &str, name: String) -> kube::Result<Option<Claim>> {
    let resource = ApiResource::erase::<PersistentVolumeClaim>(&());
    let claims: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let Some(claim) = claims.get_opt(&name).await? else {
        return Ok(None);
    };
    let claim = value(claim)?;
    let resource = ApiResource::erase::<PersistentVolume>(&());
    let volumes: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let volume = match bound_to(&claim) {
        Some(name) => volumes.get_opt(name).await?.map(value).transpose()?,
        None => None,
    };
    Ok(Some(Claim { claim, volume }))
}

/// A token that is good for as long as it says, and not longer than the pod is there.
async fn issue(client: &Client, pod: &Pod, need: &TokenNeed) -> kube::Result<Issued> {
    let asked = Instant::now();
    let spec = pod.spec();
    let account = spec
        .get("serviceAccountName")
        .and_then(Value::as_str)
        .unwrap_or("default");
    let audience = Some(&need.audience).filter(|audience| !audience.is_empty());
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(audience.into_iter().cloned().collect()),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name.clone()),
                uid: Some(pod.uid.to_string()),
            }),
            expiration_seconds: Some(need.expiration_s),
        }),
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &pod.namespace);
    let issued = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await?;
    // What the API server grants may be less than what was asked for.
    let life_s = issued.spec.and_then(|spec| spec.expiration_seconds);
    let life_s = u64::try_from(life_s.unwrap_or(need.expiration_s)).unwrap_or_default();
    let used_for = used_for(Duration::from_secs(life_s), pod.uid.as_str(), need);
    let token = issued.status.and_then(|status| status.token);
    Ok(Issued {
        need: need.clone(),
        token,
        used_until: asked + used_for,
    })
}

fn value(object: impl Serialize) -> kube::Result<Value> {
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}
