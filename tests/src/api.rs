//! The gRPC API of an agent under test, for what `burstctl` does not show.

use std::future::Future;

use burstlet_proto::v1::container_groups_client::ContainerGroupsClient;
use burstlet_proto::v1::images_client::ImagesClient;
use burstlet_proto::v1::{Definition, GroupRef, definition};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};

use crate::{Agent, PATIENCE};

/// A connection to an agent, and what drives it.
pub struct Api {
    runtime: Runtime,
    channel: Channel,
}

impl Agent {
    /// Connects to the agent's API.
    #[must_use]
    pub fn api(&self) -> Api {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let endpoint = Endpoint::from_shared(self.address()).unwrap();
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Api { runtime, channel }
    }
}

impl Api {
    /// `ContainerGroups`.
    #[must_use]
    pub fn groups(&self) -> ContainerGroupsClient<Channel> {
        ContainerGroupsClient::new(self.channel.clone())
    }

    /// `Images`.
    #[must_use]
    pub fn images(&self) -> ImagesClient<Channel> {
        ImagesClient::new(self.channel.clone())
    }

    /// Does what has to be done, which must not take long.
    pub fn run<F: Future>(&self, work: F) -> F::Output {
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, work).await })
            .expect("the API answers in time")
    }
}

/// A group of the default namespace, as requests name it.
#[must_use]
pub fn group_ref(name: &str) -> Option<GroupRef> {
    Some(GroupRef {
        name: name.to_owned(),
        ..GroupRef::default()
    })
}

/// A group's definition from its JSON.
#[must_use]
pub fn manifest(json: &serde_json::Value) -> Option<Definition> {
    let text = json.to_string();
    Some(Definition {
        form: Some(definition::Form::Manifest(text)),
    })
}
