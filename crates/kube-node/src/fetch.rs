//! Fetches what a pod refers to, one object at a time: a node may not list them.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;
use tokio::time::Instant;

use crate::pod::needs::{Fetched, Needs, TokenNeed};
use crate::pod::seen::Pod;
use crate::pod::tokens::used_for;

/// A token that was issued, and how long it is used.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) used_until: Instant,
}

/// Tokens by what they are for.
pub(crate) type Tokens = BTreeMap<TokenNeed, Issued>;

/// Everything that `needs` names and that exists. Of `tokens`, those that are still used are; the
/// others are replaced.
pub(crate) async fn fetch(
    client: &Client,
    pod: &Pod,
    needs: &Needs,
    tokens: &mut Tokens,
) -> kube::Result<Fetched> {
    let mut fetched = Fetched::default();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &pod.namespace);
    for name in &needs.config_maps {
        if let Some(map) = maps.get_opt(name).await? {
            fetched.config_maps.insert(name.clone(), value(map)?);
        }
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &pod.namespace);
    for name in &needs.secrets {
        if let Some(secret) = secrets.get_opt(name).await? {
            fetched.secrets.insert(name.clone(), value(secret)?);
        }
    }
    for need in &needs.tokens {
        let now = Instant::now();
        let issued = match tokens.get(need).filter(|issued| issued.used_until > now) {
            Some(issued) => issued.clone(),
            None => issue(client, pod, need).await?,
        };
        fetched.tokens.insert(need.clone(), issued.token.clone());
        tokens.insert(need.clone(), issued);
    }
    Ok(fetched)
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
        token: token.unwrap_or_default(),
        used_until: asked + used_for,
    })
}

fn value(object: impl serde::Serialize) -> kube::Result<Value> {
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}
