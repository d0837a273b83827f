//! Groups as a server answers them, for golden files.

use std::collections::BTreeMap;

use burstlet_proto::v1::container_status::State;
use burstlet_proto::v1::{
    Charge, CommitmentSum, Container, ContainerGroup, ContainerPort, ContainerRunning,
    ContainerStatus, ContainerTerminated, ContainerUser, ContainerWaiting, Device, DeviceLease,
    GroupCost, GroupSpec, GroupStatus, ImagePullTook, LaunchTimeline, LedgerHead, ObjectMeta,
    ResourceRequirements, SampledUse, Session, UsageResponse, UsageRow, VolumeMount,
};
use pbjson_types::{Duration, Timestamp};

/// The time at which everything is looked at.
pub(crate) const NOW: Timestamp = Timestamp {
    seconds: 1_900_000_000,
    nanos: 0,
};

/// A time relative to [`NOW`].
pub(crate) fn at(seconds: i64, millis: i32) -> Timestamp {
    Timestamp {
        seconds: NOW.seconds + seconds,
        nanos: millis * 1_000_000,
    }
}

/// A digest of one digit.
pub(crate) fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

/// One that runs, one that fails again and again, and one that waits for room.
pub(crate) fn groups() -> [ContainerGroup; 3] {
    [web(), crashing(), queued()]
}

/// What 300 core-seconds cost.
pub(crate) fn charge() -> Charge {
    Charge {
        sku: "cpu".to_owned(),
        book: "example-2026-01".to_owned(),
        book_version: digest('b')[7..].to_owned(),
        unit: "Core-Second".to_owned(),
        price: "0.00001125".to_owned(),
        quantity: "300.0000000005".to_owned(),
        cost: "0.003375000000005625".to_owned(),
    }
}

/// What two namespaces used.
pub(crate) fn usage() -> UsageResponse {
    let row = |namespace: &str, unrated: &str, devices: &str| UsageRow {
        keys: vec![namespace.to_owned()],
        sessions: 2,
        billed_seconds: "150.00000000025".to_owned(),
        pull_seconds: "1.5".to_owned(),
        backoff_seconds: "0".to_owned(),
        unrated_seconds: unrated.to_owned(),
        cpu_requested_core_seconds: "300.0000000005".to_owned(),
        memory_requested_byte_seconds: "644245094400.5".to_owned(),
        ephemeral_storage_requested_byte_seconds: "0".to_owned(),
        volume_claimed_byte_seconds: "0".to_owned(),
        device_requested_seconds: devices.to_owned(),
        cpu_used_core_seconds: "12.345678".to_owned(),
        memory_used_byte_seconds: "0".to_owned(),
        sent_bytes: "10".to_owned(),
        received_bytes: "20".to_owned(),
        cost: "0.003375000000005625".to_owned(),
        charges: vec![charge()],
        asked_seconds: "160".to_owned(),
        running_seconds: "148.5".to_owned(),
        cpu_requested_milli: 2000,
        memory_requested_bytes: 4 << 30,
        cpu_milli: Some(SampledUse {
            samples: 15,
            p50: 79,
            p95: 415,
            peak: 1087,
        }),
        memory_bytes: None,
    };
    UsageResponse {
        rows: vec![
            row("team-a", "0", "300.0000000005"),
            row("team, \"b\"", "0", "0"),
        ],
        total: Some(UsageRow {
            keys: Vec::new(),
            sessions: 4,
            cost: "0.00675000000001125".to_owned(),
            ..row("", "1.5", "300.0000000005")
        }),
        commitments: vec![CommitmentSum {
            name: "eight-cores".to_owned(),
            book: "example-2026-01".to_owned(),
            sku: "cpu".to_owned(),
            unit: "Core-Second".to_owned(),
            hours: 1,
            committed: "28800".to_owned(),
            covered: "300.0000000005".to_owned(),
            fee: "0.2016".to_owned(),
            credit: "0.003375000000005625".to_owned(),
        }],
        due: "0.204975000000005625".to_owned(),
        currency: "USD".to_owned(),
        ledger: Some(LedgerHead {
            ledger: "0a".repeat(16),
            sequence: 42,
            head: digest('c')[7..].to_owned(),
            epoch: 3,
            complete_since: None,
        }),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn metadata(name: &str, number: u32, age_seconds: i64) -> Option<ObjectMeta> {
    Some(ObjectMeta {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        uid: format!("01890a5d-ac96-774b-bcce-b3020000000{number}"),
        labels: pairs(&[("app", name), ("tier", "front")]),
        creation_timestamp: Some(at(-age_seconds, 0)),
        ..ObjectMeta::default()
    })
}

fn web() -> ContainerGroup {
    let server = Container {
        name: "server".to_owned(),
        image: "docker.io/library/nginx:1".to_owned(),
        command: vec!["nginx".to_owned()],
        args: vec!["-g".to_owned(), "daemon off;".to_owned()],
        ports: vec![ContainerPort {
            container_port: 80,
            host_port: Some(8080),
            ..ContainerPort::default()
        }],
        resources: Some(ResourceRequirements {
            requests: pairs(&[("cpu", "250m")]),
            limits: pairs(&[("cpu", "1"), ("example.com/gpu", "2"), ("memory", "256Mi")]),
        }),
        volume_mounts: vec![VolumeMount {
            name: "data".to_owned(),
            mount_path: "/srv".to_owned(),
            read_only: true,
            ..VolumeMount::default()
        }],
        ..Container::default()
    };
    let prepare = Container {
        name: "prepare".to_owned(),
        image: "busybox:1".to_owned(),
        ..Container::default()
    };
    ContainerGroup {
        metadata: metadata("web", 1, 205),
        spec: Some(GroupSpec {
            init_containers: vec![prepare],
            containers: vec![server],
            restart_policy: "Always".to_owned(),
            ..GroupSpec::default()
        }),
        status: Some(web_status()),
    }
}

fn web_status() -> GroupStatus {
    let prepared = ContainerTerminated {
        reason: "Completed".to_owned(),
        started_at: Some(at(-204, 0)),
        finished_at: Some(at(-204, 250)),
        ..ContainerTerminated::default()
    };
    let running = ContainerRunning {
        started_at: Some(at(-203, 0)),
        pid: 4242,
    };
    GroupStatus {
        desired: "Running".to_owned(),
        phase: "Running".to_owned(),
        pod_ip: "10.88.0.5".to_owned(),
        initialized: true,
        ready: true,
        init_container_statuses: vec![ContainerStatus {
            name: "prepare".to_owned(),
            state: Some(State::Terminated(prepared)),
            ..ContainerStatus::default()
        }],
        container_statuses: vec![ContainerStatus {
            name: "server".to_owned(),
            image: "docker.io/library/nginx:1".to_owned(),
            image_id: digest('a'),
            state: Some(State::Running(running)),
            ready: true,
            started: true,
            user: Some(ContainerUser {
                uid: 101,
                gid: 101,
                supplemental_groups: vec![2000],
            }),
            ..ContainerStatus::default()
        }],
        created_at: Some(at(-205, 0)),
        timeline: Some(timeline()),
        sessions: vec![Session {
            opened: Some(at(-205, 0)),
            ..Session::default()
        }],
        metered_seconds: 205,
        cost: Some(GroupCost {
            cost: "0.001425214138679375".to_owned(),
            hourly_cost: "0.0250281511168".to_owned(),
            currency: "USD".to_owned(),
            billed_seconds: "205".to_owned(),
        }),
        lease: Some(DeviceLease {
            resource: "example.com/gpu".to_owned(),
            devices: vec![
                device(&["/dev/gpu0", "/dev/gpu0-ctl"]),
                device(&["/dev/gpu1"]),
            ],
        }),
        ..GroupStatus::default()
    }
}

fn device(nodes: &[&str]) -> Device {
    Device {
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
    }
}

fn timeline() -> LaunchTimeline {
    LaunchTimeline {
        accepted: Some(at(-205, 0)),
        admitted: Some(at(-205, 1)),
        pulled: Some(at(-205, 351)),
        sandbox_created: Some(at(-205, 353)),
        network_ready: Some(at(-205, 354)),
        container_created: Some(at(-203, 0)),
        started: Some(at(-203, 2)),
        ready: Some(at(-80, 0)),
        begun_again: None,
        pulls: vec![
            ImagePullTook {
                image: "docker.io/library/nginx:1".to_owned(),
                bytes: 2_202_009,
                layers: 3,
                layers_cached: 1,
                duration: Some(Duration {
                    seconds: 0,
                    nanos: 350_000_000,
                }),
                unpack: Some(Duration {
                    seconds: 0,
                    nanos: 120_000_000,
                }),
            },
            ImagePullTook {
                image: "busybox:1".to_owned(),
                layers: 1,
                layers_cached: 1,
                duration: Some(Duration {
                    seconds: 0,
                    nanos: 180_000,
                }),
                ..ImagePullTook::default()
            },
        ],
    }
}

fn crashing() -> ContainerGroup {
    let ended = ContainerTerminated {
        exit_code: 137,
        signal: 9,
        reason: "OOMKilled".to_owned(),
        message: "out of memory\nat 64Mi".to_owned(),
        started_at: Some(at(-70, 0)),
        finished_at: Some(at(-12, 0)),
    };
    let waiting = ContainerWaiting {
        reason: "CrashLoopBackOff".to_owned(),
        message: "back-off 40s restarting failed container".to_owned(),
    };
    let container = |name: &str| Container {
        name: name.to_owned(),
        image: "localhost/job:2".to_owned(),
        ..Container::default()
    };
    ContainerGroup {
        metadata: metadata("job", 2, 7200),
        spec: Some(GroupSpec {
            containers: vec![container("worker"), container("helper")],
            ..GroupSpec::default()
        }),
        status: Some(GroupStatus {
            desired: "Running".to_owned(),
            phase: "Running".to_owned(),
            pod_ip: "10.88.0.6".to_owned(),
            users: "own".to_owned(),
            processors: "1,4-7".to_owned(),
            container_statuses: vec![
                ContainerStatus {
                    name: "worker".to_owned(),
                    state: Some(State::Waiting(waiting)),
                    last_termination: Some(ended.clone()),
                    restart_count: 4,
                    ..ContainerStatus::default()
                },
                ContainerStatus {
                    name: "helper".to_owned(),
                    state: Some(State::Terminated(ended)),
                    ..ContainerStatus::default()
                },
            ],
            ..GroupStatus::default()
        }),
    }
}

fn queued() -> ContainerGroup {
    let container = Container {
        name: "main".to_owned(),
        image: "localhost/big:1".to_owned(),
        ..Container::default()
    };
    ContainerGroup {
        metadata: metadata("big", 3, 5),
        spec: Some(GroupSpec {
            containers: vec![container],
            ..GroupSpec::default()
        }),
        status: Some(GroupStatus {
            desired: "Running".to_owned(),
            phase: "Queued".to_owned(),
            reason: "NoRoom".to_owned(),
            message: "asks for 16 cores, 1.9 are free".to_owned(),
            queue_position: 2,
            ..GroupStatus::default()
        }),
    }
}
