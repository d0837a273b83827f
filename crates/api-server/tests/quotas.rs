//! What one namespace may take, and that it is that and no more.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use burstlet_api_server::{Rates, RatesByNamespace};
use burstlet_model::{Bytes, MilliCpu, Namespace};
use burstlet_proto::v1;
use burstlet_proto::v1::images_client::ImagesClient;
use burstlet_supervisor::{Quota, Quotas};
use common::reason;
use common::tls::{TlsEdge, definition};
use tonic::{Code, Status};

fn shop() -> Namespace {
    Namespace::new("shop").unwrap()
}

async fn edge(quota: Quota, rates: Rates) -> TlsEdge {
    let quotas = Quotas {
        named: BTreeMap::from([(shop(), quota)]),
        others: Quota::default(),
    };
    let rates = RatesByNamespace {
        named: BTreeMap::from([(shop(), rates)]),
        others: Rates::default(),
    };
    TlsEdge::start(quotas, rates).await
}

fn check(status: &Status, words: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason(status), "QuotaExceeded");
    assert!(status.message().contains(words), "{}", status.message());
}

#[tokio::test]
async fn of_many_at_once_only_those_get_in_for_whom_there_is_room() {
    let quota = Quota {
        groups: Some(3),
        ..Quota::default()
    };
    let edge = edge(quota, Rates::default()).await;
    edge.create("shop", "first").await;
    edge.create("shop", "second").await;
    let groups = edge.groups("tenant/shop/role/operator").await;
    let attempts = (0..64).map(|number| {
        let mut groups = groups.clone();
        tokio::spawn(async move {
            let create = common::create(&definition("shop", &format!("g{number}")), "");
            groups.create(create).await
        })
    });
    let mut made = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(_) => made += 1,
            Err(status) => check(&status, "the quota of namespace shop is 3 groups"),
        }
    }
    assert_eq!(made, 1);
    // Others are not touched, and neither is who deletes first.
    edge.create("other", "free").await;
}

#[tokio::test]
async fn requests_count_and_come_back() {
    let quota = Quota {
        cpu: Some(MilliCpu(25)),
        memory: Some(Bytes(100 << 20)),
        ..Quota::default()
    };
    let edge = edge(quota, Rates::default()).await;
    edge.create("shop", "one").await;
    edge.create("shop", "two").await;
    let mut groups = edge.groups("role/admin").await;
    let third = || common::create(&definition("shop", "three"), "");
    let refused = groups.create(third()).await.unwrap_err();
    check(
        &refused,
        "the quota of namespace shop is 25m cpu: it has 20m, and 10m more",
    );
    let two = v1::GroupRef {
        namespace: "shop".to_owned(),
        name: "two".to_owned(),
        uid: String::new(),
    };
    let wait = v1::WaitRequest {
        group: Some(two.clone()),
        condition: v1::wait_request::Condition::Deleted.into(),
        timeout: None,
    };
    let delete = v1::DeleteRequest {
        group: Some(two),
        grace_period_seconds: Some(0),
    };
    groups.delete(delete).await.unwrap();
    // It may be gone before somebody waits for it.
    match groups.wait(wait).await {
        Ok(_) => {}
        Err(status) => assert_eq!(status.code(), Code::NotFound),
    }
    groups.create(third()).await.unwrap();

    let silent = r#"{"apiVersion": "burstlet.dev/v1", "kind": "ContainerGroup",
        "metadata": {"name": "silent", "namespace": "shop"},
        "spec": {"containers": [{"name": "main", "image": "busybox:1"}]}}"#;
    let refused = groups.create(common::create(silent, "")).await.unwrap_err();
    assert_eq!(reason(&refused), "QuotaNeedsRequests");
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_repeated_request_takes_no_second_place() {
    let quota = Quota {
        groups: Some(1),
        ..Quota::default()
    };
    let edge = edge(quota, Rates::default()).await;
    let mut groups = edge.groups("tenant/shop/role/operator").await;
    for _ in 0..3 {
        let create = common::create(&definition("shop", "web"), "same");
        groups.create(create).await.unwrap();
    }
}

#[tokio::test]
async fn streams_of_one_namespace_leave_room_for_others() {
    let rates = Rates {
        streams: Some(2),
        ..Rates::default()
    };
    let edge = edge(Quota::default(), rates).await;
    let mut own = edge.groups("tenant/shop/role/viewer").await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(own.watch(v1::WatchRequest::default()).await.unwrap());
    }
    let refused = own.watch(v1::WatchRequest::default()).await.unwrap_err();
    check(&refused, "the quota of namespace shop is 2 open streams");
    let mut other = edge.groups("tenant/other/role/viewer").await;
    other.watch(v1::WatchRequest::default()).await.unwrap();
}

#[tokio::test]
async fn pulls_are_counted_by_namespace() {
    let rates = Rates {
        pulls_per_minute: Some(1),
        ..Rates::default()
    };
    let edge = edge(Quota::default(), rates).await;
    let channel = edge
        .channel("spiffe://burstlet/tenant/shop/role/operator")
        .await;
    let mut images = ImagesClient::new(channel);
    let pull = || v1::PullImageRequest {
        image: "busybox".to_owned(),
        ..v1::PullImageRequest::default()
    };
    images.pull(pull()).await.unwrap();
    let refused = images.pull(pull()).await.unwrap_err();
    let words = "the quota of namespace shop is 1 pulls a minute; try again in";
    check(&refused, words);
    // A group's image counts as well, whoever creates the group.
    let create = common::create(&definition("shop", "web"), "");
    let mut groups = edge.groups("role/admin").await;
    let refused = groups.create(create).await.unwrap_err();
    check(&refused, words);
    edge.create("other", "web").await;
}
