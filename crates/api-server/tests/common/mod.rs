//! An agent's edge on a unix socket, over a scripted host and a machine of two images.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use burstlet_access::{Trail, TrailConfig};
use burstlet_api_server::{
    Api, Door, Gate, Machine, OnCall, Progress, PullImage, RatesByNamespace, Settings, bind_unix,
    serve,
};
use burstlet_manifest::{Policy, Standard, Standards};
use burstlet_metering::Meter;
use burstlet_metering::focus::Invoice;
use burstlet_metering::ledger::Inspected;
use burstlet_model::spec::ResourceList;
use burstlet_model::{Bytes, Device, ErrorKind, ImageRef, MilliCpu};
use burstlet_proto::v1;
use burstlet_proto::v1::container_groups_client::ContainerGroupsClient;
use burstlet_proto::v1::images_client::ImagesClient;
use burstlet_proto::v1::metering_client::MeteringClient;
use burstlet_proto::v1::node_client::NodeClient;
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::stream::Reader;
use burstlet_supervisor::{Capacity, Config, Groups, Quotas};
use burstlet_testkit::host::ScriptedHost;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub struct Edge {
    pub host: ScriptedHost,
    pub groups: ContainerGroupsClient<Channel>,
    pub images: ImagesClient<Channel>,
    pub node: NodeClient<Channel>,
    pub metering: MeteringClient<Channel>,
    pub meter: Meter,
    pub channel: Channel,
    pub dir: tempfile::TempDir,
    pub shutdown: CancellationToken,
    pub ended: Ended,
}

/// The calls that are over, in that order: method and code.
pub type Ended = Arc<Mutex<Vec<(String, Code)>>>;

/// An observer that cares for nothing.
pub fn nobody() -> OnCall {
    OnCall::new(|_, _| {})
}

pub const MACHINE: ResourceList = ResourceList {
    cpu: Some(MilliCpu(4000)),
    memory: Some(Bytes(8 << 30)),
    ephemeral_storage: None,
    pids: None,
};

/// What the machine has two devices of, the first with two nodes.
pub const GPU: &str = "example.com/gpu";

fn gpus() -> Vec<Device> {
    let nodes: [&[&str]; 2] = [&["/dev/gpu0", "/dev/gpu0-ctl"], &["/dev/gpu1"]];
    let device = |nodes: &[&str]| Device {
        nodes: nodes.iter().map(Into::into).collect(),
    };
    nodes.map(device).into()
}

pub fn api(
    host: &ScriptedHost,
    meter: &Meter,
    shutdown: &CancellationToken,
) -> Api<ScriptedHost, Store> {
    let (quotas, rates) = (Quotas::default(), RatesByNamespace::default());
    api_with(host, meter, shutdown, quotas, rates)
}

pub fn api_with(
    host: &ScriptedHost,
    meter: &Meter,
    shutdown: &CancellationToken,
    quotas: Quotas,
    rates: RatesByNamespace,
) -> Api<ScriptedHost, Store> {
    let config = Config {
        capacity: Capacity {
            machine: MACHINE,
            reserved: ResourceList::default(),
            overcommit_percent: 100,
            default_request: ResourceList::default(),
            devices: BTreeMap::from([(GPU.parse().unwrap(), gpus())]),
            waiting_max: 10,
        },
        groups_max: 100,
        quotas,
        history_max: 1000,
        adoptions_in_flight_max: 4,
        launches_in_flight_max: 4,
        probes_in_flight_max: 4,
    };
    let groups = Groups::start(Arc::new(host.clone()), config, Vec::new(), shutdown.clone());
    let settings = Settings {
        policy: Policy {
            devices: [GPU.to_owned()].into(),
            ..Policy::default()
        },
        pods: Policy {
            standards: Standards::enforcing(
                burstlet_manifest::Door::Kubernetes,
                Standard::Baseline,
            ),
            cluster_network: true,
            ..Policy::default()
        },
        allocatable: MACHINE,
        domain: "burstlet.local".to_owned(),
        total: MACHINE,
        reserved: ResourceList::default(),
        queue_max: 10,
        meter: meter.clone(),
        ledger: Inspected::new(Path::new("/nonexistent")),
        invoice: Invoice {
            account: "account".to_owned(),
            provider: "provider".to_owned(),
            region: "region".to_owned(),
        },
        rates,
    };
    Api::new(groups, Store, settings)
}

/// A gate whose trail is in a directory.
pub fn gate(dir: &Path) -> Gate {
    let trail = TrailConfig {
        dir: dir.join("audit"),
        bytes_max: 1 << 20,
        files_max: 2,
    };
    Gate {
        trust_domain: "burstlet".parse().unwrap(),
        revocations: None,
        tokens: None,
        trail: Trail::open(trail).unwrap(),
    }
}

impl Edge {
    pub async fn start() -> Self {
        Self::with_meter(Meter::default()).await
    }

    pub async fn with_meter(meter: Meter) -> Self {
        let host = ScriptedHost::new();
        let shutdown = CancellationToken::new();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let door = Door::Unix(bind_unix(&path).unwrap());
        let ended = Ended::default();
        let told = Arc::clone(&ended);
        let on_call = OnCall::new(move |method, code| {
            told.lock().unwrap().push((method.to_owned(), code));
        });
        let api = api(&host, &meter, &shutdown);
        let gate = gate(dir.path());
        tokio::spawn(serve(api, vec![door], gate, on_call, shutdown.clone()));
        let channel = Endpoint::from_shared(format!("unix://{}", path.display()))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            host,
            groups: ContainerGroupsClient::new(channel.clone()),
            images: ImagesClient::new(channel.clone()),
            node: NodeClient::new(channel.clone()),
            metering: MeteringClient::new(channel.clone()),
            meter,
            channel,
            dir,
            shutdown,
            ended,
        }
    }

    /// Creates a group and waits until it runs.
    pub async fn run(&mut self, name: &str) -> v1::ContainerGroup {
        let create = v1::CreateRequest {
            definition: Some(manifest(&plain(name))),
            request_id: String::new(),
        };
        self.groups.create(create).await.unwrap();
        self.wait(name, v1::wait_request::Condition::Running).await
    }

    pub async fn wait(
        &mut self,
        name: &str,
        condition: v1::wait_request::Condition,
    ) -> v1::ContainerGroup {
        let wait = v1::WaitRequest {
            group: group(name),
            condition: condition.into(),
            timeout: Some(burstlet_proto::Duration {
                seconds: 20,
                nanos: 0,
            }),
        };
        self.groups.wait(wait).await.unwrap().into_inner()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A group `default/NAME` of one container `main`.
pub fn plain(name: &str) -> String {
    format!(
        r#"{{"apiVersion": "burstlet.dev/v1", "kind": "ContainerGroup",
            "metadata": {{"name": "{name}", "labels": {{"app": "{name}"}}}},
            "spec": {{"containers": [{{"name": "main", "image": "busybox:1"}}]}}}}"#
    )
}

pub fn manifest(text: &str) -> v1::Definition {
    v1::Definition {
        form: Some(v1::definition::Form::Manifest(text.to_owned())),
    }
}

pub fn group(name: &str) -> Option<v1::GroupRef> {
    Some(v1::GroupRef {
        name: name.to_owned(),
        ..v1::GroupRef::default()
    })
}

/// A request to create a group.
pub fn create(text: &str, request_id: &str) -> v1::CreateRequest {
    v1::CreateRequest {
        definition: Some(manifest(text)),
        request_id: request_id.to_owned(),
    }
}

/// The stable reason of a failure.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.domain, burstlet_api_server::ERROR_DOMAIN);
    info.reason.clone()
}

/// The fields that a failure is about.
pub fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    violations.iter().map(|v| v.field.clone()).collect()
}

/// A machine with the images `a` and `b`.
#[derive(Debug)]
pub struct Store;

fn image(name: &str) -> v1::Image {
    v1::Image {
        names: vec![format!("docker.io/library/{name}:latest")],
        ..v1::Image::default()
    }
}

fn missing(name: &str) -> HostError {
    HostError::new(
        ErrorKind::NotFound,
        "ImageNotFound",
        format!("no image {name}"),
    )
}

impl Machine for Store {
    async fn info(&self) -> v1::NodeInfo {
        v1::NodeInfo {
            name: "node".to_owned(),
            ..v1::NodeInfo::default()
        }
    }

    async fn doctor(&self) -> Vec<v1::HostFinding> {
        vec![v1::HostFinding {
            what: "kernel".to_owned(),
            ..v1::HostFinding::default()
        }]
    }

    async fn pull(&self, request: PullImage, progress: Progress) -> Result<v1::Image, HostError> {
        if request.image.repository().ends_with("missing") {
            return Err(missing("missing"));
        }
        progress.send_replace(v1::PullProgress {
            layers: vec![v1::LayerProgress::default()],
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Ok(image("pulled"))
    }

    async fn import(
        &self,
        name: Option<ImageRef>,
        mut archive: Reader,
    ) -> Result<Vec<v1::Image>, HostError> {
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).await.map_err(|error| {
            HostError::new(ErrorKind::Invalid, "ImportFailed", error.to_string())
        })?;
        Ok(vec![v1::Image {
            names: name.iter().map(ToString::to_string).collect(),
            size_bytes: bytes.len() as u64,
            ..v1::Image::default()
        }])
    }

    async fn images(&self) -> Result<Vec<v1::Image>, HostError> {
        Ok(vec![image("b"), image("a")])
    }

    async fn image(&self, name: &str) -> Result<v1::Image, HostError> {
        match name {
            "a" | "b" => Ok(image(name)),
            _ => Err(missing(name)),
        }
    }

    async fn remove_image(&self, name: &str) -> Result<v1::RemoveImageResponse, HostError> {
        match name {
            "a" => Err(HostError::new(
                ErrorKind::FailedPrecondition,
                "ImageInUse",
                "image a is in use",
            )),
            name => Ok(v1::RemoveImageResponse {
                removed_names: vec![name.to_owned()],
                removed_digests: Vec::new(),
            }),
        }
    }

    async fn prune_images(&self, all: bool) -> Result<v1::PruneImagesResponse, HostError> {
        Ok(v1::PruneImagesResponse {
            removed_digests: Vec::new(),
            freed_bytes: u64::from(all),
        })
    }
}
