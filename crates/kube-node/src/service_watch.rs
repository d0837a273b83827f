//! The cluster's Services, which pods are told of by variables.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Service as ApiService;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::pod::services::{API_SERVICE, Service, variables};

type Key = (String, String);

/// All Services, as last seen.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    known: Arc<Mutex<HashMap<Key, Service>>>,
    listed: watch::Receiver<bool>,
}

impl Services {
    /// The variables for a pod of `namespace`; waits until the Services have been seen once.
    pub(crate) async fn variables(&self, namespace: &str, links: bool) -> Vec<(String, String)> {
        let mut listed = self.listed.clone();
        // The watch ends with the agent only.
        let _ = listed.wait_for(|listed| *listed).await;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        variables(known.values(), namespace, links)
    }

    /// Where the API server's Service is, once it has been seen.
    pub(crate) fn api(&self) -> Option<SocketAddr> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (API_SERVICE.0.to_owned(), API_SERVICE.1.to_owned());
        known.get(&key)?.socket()
    }
}

/// Starts the watch, which ends at the shutdown.
pub(crate) fn start(client: Client, shutdown: CancellationToken) -> Services {
    let (tell, listed) = watch::channel(false);
    let services = Services {
        known: Arc::default(),
        listed,
    };
    tokio::spawn(follow(client, services.clone(), tell, shutdown));
    services
}

async fn follow(
    client: Client,
    services: Services,
    listed: watch::Sender<bool>,
    shutdown: CancellationToken,
) {
    let api: Api<ApiService> = Api::all(client);
    let mut changes = pin!(watcher(api, watcher::Config::default()).default_backoff());
    // Gathered while the list is read, and put in place as a whole.
    let mut fresh = HashMap::new();
    loop {
        let change = tokio::select! {
            () = shutdown.cancelled() => return,
            change = changes.next() => change,
        };
        match change {
            Some(Ok(Event::Init)) => fresh.clear(),
            Some(Ok(Event::InitApply(service))) => {
                fresh.extend(read(service).map(|service| (key(&service), service)));
            }
            Some(Ok(Event::InitDone)) => {
                *services
                    .known
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut fresh);
                listed.send_replace(true);
            }
            Some(Ok(Event::Apply(service))) => {
                let gone = named(&service);
                let mut known = services
                    .known
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                match read(service) {
                    Some(service) => drop(known.insert(key(&service), service)),
                    None => drop(known.remove(&gone)),
                }
            }
            Some(Ok(Event::Delete(service))) => {
                let mut known = services
                    .known
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                known.remove(&named(&service));
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the Services cannot be watched; trying again");
            }
            None => return,
        }
    }
}

fn key(service: &Service) -> Key {
    (service.namespace.clone(), service.name.clone())
}

fn named(service: &ApiService) -> Key {
    let meta = &service.metadata;
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

fn read(service: ApiService) -> Option<Service> {
    let (namespace, name) = named(&service);
    let spec = serde_json::to_value(service.spec?).ok()?;
    Service::read(&namespace, &name, &spec)
}
