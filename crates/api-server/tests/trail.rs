//! What is written of what callers do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use burstlet_api_server::RatesByNamespace;
use burstlet_proto::v1;
use burstlet_supervisor::Quotas;
use common::tls::{TlsEdge, definition};
use futures_util::stream;
use serde_json::{Value, json};

/// How long anything may take: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

fn group_ref(namespace: &str, name: &str) -> Option<v1::GroupRef> {
    Some(v1::GroupRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: String::new(),
    })
}

/// The entry that comes last has these fields.
fn last(edge: &TlsEdge, fields: &Value) {
    check(edge.trail().last().unwrap(), fields);
}

fn check(entry: &Value, fields: &Value) {
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&entry[name], value, "{name} of {entry}");
    }
}

#[tokio::test]
async fn changes_and_refusals_are_written_before_they_are_answered() {
    let edge = TlsEdge::start(Quotas::default(), RatesByNamespace::default()).await;
    let mut operator = edge.groups("tenant/shop/role/operator").await;
    let create = common::create(&definition("shop", "web"), "");
    let made = operator
        .create(create)
        .await
        .unwrap()
        .into_inner()
        .group
        .unwrap();
    last(
        &edge,
        &json!({
            "event": "call", "who": "spiffe://burstlet/tenant/shop/role/operator",
            "proof": "certificate", "role": "operator", "tenant": "shop",
            "call": "burstlet.v1.ContainerGroups/Create", "code": "OK",
            "group": "shop/web", "uid": made.metadata.unwrap().uid,
        }),
    );
    let peer = edge.trail().last().unwrap()["peer"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(peer.starts_with("127.0.0.1:"), "{peer}");
    // A change that fails is written, too.
    let again = common::create(&definition("shop", "web"), "");
    operator.create(again).await.unwrap_err();
    last(
        &edge,
        &json!({"code": "ALREADY_EXISTS", "group": "shop/web"}),
    );

    let mut viewer = edge.groups("tenant/shop/role/viewer").await;
    let delete = |namespace: &str| v1::DeleteRequest {
        group: group_ref(namespace, "web"),
        grace_period_seconds: None,
    };
    viewer.delete(delete("shop")).await.unwrap_err();
    last(
        &edge,
        &json!({"role": "viewer", "call": "burstlet.v1.ContainerGroups/Delete",
                "code": "PERMISSION_DENIED", "reason": "NotAllowed"}),
    );
    // He is told that there is none; the trail says what there was.
    edge.create("other", "web").await;
    operator.delete(delete("other")).await.unwrap_err();
    last(
        &edge,
        &json!({"code": "NOT_FOUND", "reason": "ForeignNamespace", "group": "other/web"}),
    );
    let get = v1::GetRequest {
        group: group_ref("other", "web"),
    };
    viewer.get(get).await.unwrap_err();
    last(
        &edge,
        &json!({"role": "viewer", "reason": "ForeignNamespace"}),
    );

    let before = edge.trail().len();
    viewer.list(v1::ListRequest::default()).await.unwrap();
    let get = v1::GetRequest {
        group: group_ref("shop", "web"),
    };
    viewer.get(get).await.unwrap();
    assert_eq!(edge.trail().len(), before, "a look leaves no trace");
}

#[tokio::test]
async fn strangers_are_written() {
    let edge = TlsEdge::start(Quotas::default(), RatesByNamespace::default()).await;
    let channel = edge.channel("").await;
    let mut groups = v1::container_groups_client::ContainerGroupsClient::new(channel);
    groups.list(v1::ListRequest::default()).await.unwrap_err();
    let begun = Instant::now();
    while edge.trail().is_empty() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    last(
        &edge,
        &json!({"code": "UNAUTHENTICATED", "call": "burstlet.v1.ContainerGroups/List"}),
    );
    assert!(edge.trail()[0].get("who").is_none());
}

#[tokio::test]
async fn a_session_is_written_when_it_begins_and_when_it_ends() {
    let edge = TlsEdge::start(Quotas::default(), RatesByNamespace::default()).await;
    edge.create("shop", "web").await;
    let mut operator = edge.groups("tenant/shop/role/operator").await;
    let wait = v1::WaitRequest {
        group: group_ref("shop", "web"),
        condition: v1::wait_request::Condition::Running.into(),
        timeout: None,
    };
    operator.wait(wait).await.unwrap();
    let start = v1::ExecStart {
        group: group_ref("shop", "web"),
        command: vec!["sh".to_owned(), "-c".to_owned(), "echo secret".to_owned()],
        ..v1::ExecStart::default()
    };
    let start = v1::ExecRequest {
        request: Some(v1::exec_request::Request::Start(start)),
    };
    let session = operator.exec(stream::iter([start])).await.unwrap();
    let argv =
        burstlet_access::argv_sha256(&["sh".to_owned(), "-c".to_owned(), "echo secret".to_owned()]);
    let about = json!({
        "event": "begin", "call": "burstlet.v1.ContainerGroups/Exec", "code": "OK",
        "group": "shop/web", "container": "main", "argv_sha256": argv,
    });
    let begins = edge.trail();
    let begins = begins.iter().find(|entry| entry["event"] == "begin");
    check(begins.unwrap(), &about);
    drop(session);
    let begun = Instant::now();
    while edge.trail().last().unwrap()["event"] != "end" {
        assert!(begun.elapsed() < PATIENCE, "{:?}", edge.trail());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    last(&edge, &json!({"group": "shop/web", "argv_sha256": argv}));
    assert!(!format!("{:?}", edge.trail()).contains("secret"));
}
