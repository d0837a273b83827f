//! Lists, waits and watches over the wire.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use burstlet_proto::v1;
use burstlet_proto::v1::wait_request::Condition;
use burstlet_proto::v1::watch_response::Type;
use common::{Edge, GPU, create, fields, group, plain, reason};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

/// How often a request is made whose answer a busy machine may delay.
const TRIES_MAX: usize = 100;

#[tokio::test]
async fn lists_pages() {
    let mut edge = Edge::start().await;
    for name in ["c", "a", "b"] {
        edge.run(name).await;
    }
    let mut request = v1::ListRequest {
        page_size: 2,
        ..v1::ListRequest::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = edge
            .groups
            .list(request.clone())
            .await
            .unwrap()
            .into_inner();
        let names = page.groups.into_iter().map(|g| g.metadata.unwrap().name);
        pages.push(names.collect::<Vec<_>>());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [vec!["a", "b"], vec!["c"]]);
}

/// A request that says one thing.
fn asking(change: impl FnOnce(&mut v1::ListRequest)) -> v1::ListRequest {
    let mut request = v1::ListRequest::default();
    change(&mut request);
    request
}

#[tokio::test]
async fn lists_what_is_asked_for() {
    let mut edge = Edge::start().await;
    for name in ["c", "a", "b"] {
        edge.run(name).await;
    }
    for (request, count) in [
        (asking(|r| r.label_selector = "app in (a,c)".to_owned()), 2),
        (asking(|r| r.namespace = "other".to_owned()), 0),
        (asking(|r| r.phases = vec!["Running".to_owned()]), 3),
        (asking(|r| r.phases = vec!["Failed".to_owned()]), 0),
    ] {
        let page = edge.groups.list(request).await.unwrap().into_inner();
        assert_eq!(page.groups.len(), count);
    }
    for (request, field) in [
        (
            asking(|r| r.label_selector = "a b".to_owned()),
            "label_selector",
        ),
        (asking(|r| r.namespace = "A".to_owned()), "namespace"),
        (asking(|r| r.phases = vec!["Odd".to_owned()]), "phases"),
        (asking(|r| r.page_token = "x".to_owned()), "page_token"),
    ] {
        let error = edge.groups.list(request).await.unwrap_err();
        assert_eq!(fields(&error), [field]);
    }
}

#[tokio::test]
async fn waits_no_longer_than_asked() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let wait = |condition: Condition, millis: i32| v1::WaitRequest {
        group: group("web"),
        condition: condition.into(),
        timeout: Some(burstlet_proto::Duration {
            seconds: 0,
            nanos: millis * 1_000_000,
        }),
    };
    let error = edge
        .groups
        .wait(wait(Condition::Finished, 50))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::DeadlineExceeded, "NotInTime")
    );
    // On a busy machine the client itself may be the first to say that it waited long enough.
    let mut told = false;
    for _ in 0..TRIES_MAX {
        let mut request = Request::new(wait(Condition::Stopped, 900));
        request.set_timeout(std::time::Duration::from_millis(300));
        let error = edge.groups.wait(request).await.unwrap_err();
        let details = error.get_error_details();
        told = details
            .error_info()
            .is_some_and(|info| info.reason == "NotInTime");
        if told {
            assert_eq!(error.code(), Code::DeadlineExceeded);
            break;
        }
    }
    assert!(told, "the server never answers before its client gives up");
    let error = edge
        .groups
        .wait(wait(Condition::Unspecified, 50))
        .await
        .unwrap_err();
    assert_eq!(fields(&error), ["condition"]);
}

#[tokio::test]
async fn watches() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let all = v1::WatchRequest {
        label_selector: "app=web".to_owned(),
        ..v1::WatchRequest::default()
    };
    let one = v1::WatchRequest {
        group: group("web"),
        ..v1::WatchRequest::default()
    };
    let mut all = edge.groups.watch(all).await.unwrap().into_inner();
    let mut one = edge.groups.watch(one).await.unwrap().into_inner();
    for watch in [&mut all, &mut one] {
        assert_eq!(
            watch.message().await.unwrap().unwrap().r#type(),
            Type::Added
        );
        assert_eq!(
            watch.message().await.unwrap().unwrap().r#type(),
            Type::Synced
        );
    }
    edge.run("other").await;
    let delete = v1::DeleteRequest {
        group: group("web"),
        grace_period_seconds: Some(0),
    };
    edge.groups.delete(delete).await.unwrap();
    for watch in [&mut all, &mut one] {
        loop {
            let change = watch.message().await.unwrap().unwrap();
            assert_eq!(
                change
                    .group
                    .as_ref()
                    .unwrap()
                    .metadata
                    .as_ref()
                    .unwrap()
                    .name,
                "web"
            );
            match change.r#type() {
                Type::Modified => {}
                Type::Deleted => break,
                other => panic!("{other:?}"),
            }
        }
    }
    // The watch of one group ends with it; the other ends with the agent.
    assert!(one.message().await.unwrap().is_none());
    edge.shutdown.cancel();
    let error = all.message().await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::Unavailable, "ShuttingDown")
    );
}

#[tokio::test]
async fn a_full_machine_queues() {
    let mut edge = Edge::start().await;
    let big = |name: &str| {
        plain(name).replace(
            "\"image\": \"busybox:1\"",
            "\"image\": \"busybox:1\", \"resources\": {\"requests\": {\"cpu\": \"3\"}}",
        )
    };
    edge.groups.create(create(&big("one"), "")).await.unwrap();
    edge.wait("one", Condition::Running).await;
    let two = edge
        .groups
        .create(create(&big("two"), ""))
        .await
        .unwrap()
        .into_inner();
    let status = two.group.unwrap().status.unwrap();
    assert_eq!(
        (status.phase.as_str(), status.queue_position),
        ("Queued", 1)
    );
    let capacity = edge
        .node
        .capacity(v1::CapacityRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!((capacity.groups_running, capacity.groups_queued), (1, 1));
    assert_eq!(capacity.requested.unwrap().cpu_milli, 3000);
    assert_eq!(capacity.total.unwrap().cpu_milli, 4000);
    let exec = v1::StatsRequest {
        group: group("two"),
        ..v1::StatsRequest::default()
    };
    let error = edge.groups.stats(exec).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "WrongPhase")
    );
}

/// A group that asks for so many devices.
fn with_gpus(name: &str, count: u32) -> v1::CreateRequest {
    let limits = format!(r#""resources": {{"limits": {{"{GPU}": "{count}"}}}}"#);
    let image = r#""image": "busybox:1""#;
    create(
        &plain(name).replace(image, &format!("{image}, {limits}")),
        "",
    )
}

#[tokio::test]
async fn devices_are_shown_with_the_group_that_has_them_and_with_the_node() {
    let mut edge = Edge::start().await;
    edge.run("without").await;
    edge.groups.create(with_gpus("has", 1)).await.unwrap();
    let has = edge.wait("has", Condition::Running).await;
    let status = edge.groups.create(with_gpus("waits", 2)).await.unwrap();
    let status = status.into_inner().group.unwrap().status.unwrap();
    assert_eq!(
        (status.phase.as_str(), status.reason.as_str()),
        ("Queued", "OutOfexample.com/gpu")
    );
    assert_eq!(status.lease, None);
    let lease = has.status.unwrap().lease.unwrap();
    assert_eq!(lease.resource, GPU);
    let nodes: Vec<_> = lease.devices.iter().map(|device| &*device.nodes).collect();
    assert_eq!(nodes, [["/dev/gpu0", "/dev/gpu0-ctl"]]);
    let capacity = edge.node.capacity(v1::CapacityRequest {}).await.unwrap();
    let capacity = capacity.into_inner();
    let count = |amounts: &Option<v1::Amounts>| {
        let amounts = amounts.as_ref().unwrap();
        amounts.devices.get(GPU).copied()
    };
    let (total, reserved) = (count(&capacity.total), count(&capacity.reserved));
    assert_eq!((total, reserved), (Some(2), None));
    let (all, asked) = (count(&capacity.allocatable), count(&capacity.requested));
    assert_eq!((all, asked), (Some(2), Some(1)));
}

/// A change's kind and the group's name.
fn told(change: &v1::WatchResponse) -> (Type, String) {
    let metadata = change
        .group
        .as_ref()
        .and_then(|group| group.metadata.as_ref());
    (change.r#type(), metadata.unwrap().name.clone())
}

#[tokio::test]
async fn a_watch_goes_on_from_a_version() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let list = edge.groups.list(v1::ListRequest::default()).await;
    let since = list.unwrap().into_inner().resource_version;
    let request = v1::WatchRequest {
        label_selector: "app in (web, late)".to_owned(),
        resource_version: since,
        ..v1::WatchRequest::default()
    };
    edge.run("other").await;
    edge.run("late").await;
    let mut watch = edge.groups.watch(request).await.unwrap().into_inner();
    loop {
        let change = watch.message().await.unwrap().unwrap();
        match told(&change) {
            // It may still have been on its way to be ready.
            (Type::Modified, name) if name == "web" => {}
            first => break assert_eq!(first, (Type::Added, "late".to_owned())),
        }
    }

    for (version, code) in [("1", Code::Aborted), ("x", Code::InvalidArgument)] {
        let request = v1::WatchRequest {
            resource_version: version.to_owned(),
            ..v1::WatchRequest::default()
        };
        let refused = match edge.groups.watch(request).await {
            Ok(watch) => watch.into_inner().message().await.unwrap_err(),
            Err(refused) => refused,
        };
        assert_eq!(refused.code(), code, "{refused}");
    }
}

#[tokio::test]
async fn labels_bring_groups_into_a_watch_and_out() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    edge.wait("web", Condition::Ready).await;
    let request = v1::WatchRequest {
        label_selector: "tier=front".to_owned(),
        ..v1::WatchRequest::default()
    };
    let mut watch = edge.groups.watch(request).await.unwrap().into_inner();
    assert_eq!(
        watch.message().await.unwrap().unwrap().r#type(),
        Type::Synced
    );
    let front = [("tier".to_owned(), "front".to_owned())].into();
    let mut update = v1::UpdateRequest {
        group: group("web"),
        labels: front,
        ..v1::UpdateRequest::default()
    };
    edge.groups.update(update.clone()).await.unwrap();
    update.labels.clear();
    update.remove_labels = vec!["tier".to_owned()];
    edge.groups.update(update).await.unwrap();
    for expected in [Type::Added, Type::Deleted] {
        let change = watch.message().await.unwrap().unwrap();
        assert_eq!(told(&change), (expected, "web".to_owned()));
    }
}
