//! Fetches what a pod refers to, one object at a time: a node may not list them.

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;

use crate::pod::needs::{Fetched, Needs, TokenNeed};
use crate::pod::seen::Pod;

/// Everything that `needs` names and that exists.
pub(crate) async fn fetch(client: &Client, pod: &Pod, needs: &Needs) -> kube::Result<Fetched> {
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
        fetched
            .tokens
            .insert(need.clone(), token(client, pod, need).await?);
    }
    Ok(fetched)
}

/// A token that is good for as long as the pod is there.
async fn token(client: &Client, pod: &Pod, need: &TokenNeed) -> kube::Result<String> {
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
    let token = issued.status.and_then(|status| status.token);
    Ok(token.unwrap_or_default())
}

fn value(object: impl serde::Serialize) -> kube::Result<Value> {
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}
