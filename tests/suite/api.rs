//! What only the gRPC API offers: versions, watches, waits with deadlines, pages.

use std::time::{Duration, Instant};

use burstlet_proto::v1::wait_request::Condition;
use burstlet_proto::v1::watch_response::Type;
use burstlet_proto::v1::{
    CreateRequest, DeleteRequest, EventsRequest, ListRequest, ObjectMeta, UpdateRequest,
    WaitRequest, WatchRequest, WatchResponse,
};
use burstlet_tests::api::{Api, group_ref, manifest};
use serde_json::json;
use tonic::{Code, Request};

use super::{agent, shell_group};

async fn create(api: &Api, name: &str, tier: &str) {
    let mut group = shell_group(name, "sleep 1000");
    group["metadata"]["labels"] = json!({"tier": tier});
    let request = CreateRequest {
        definition: manifest(&group),
        request_id: String::new(),
    };
    api.groups().create(request).await.unwrap();
}

async fn wait(api: &Api, name: &str, condition: Condition) -> ObjectMeta {
    let request = WaitRequest {
        group: group_ref(name),
        condition: condition.into(),
        timeout: None,
    };
    let group = api.groups().wait(request).await.unwrap().into_inner();
    group.metadata.unwrap()
}

/// A change's kind and the group's name.
fn told(change: &WatchResponse) -> (Type, &str) {
    let metadata = change
        .group
        .as_ref()
        .and_then(|group| group.metadata.as_ref());
    (
        change.r#type(),
        metadata.map_or("", |metadata| &metadata.name),
    )
}

/// Every page of the groups that a selector takes, as names, and the first page's version.
async fn pages(api: &Api, selector: &str, page_size: u32) -> (Vec<Vec<String>>, String) {
    let mut request = ListRequest {
        label_selector: selector.to_owned(),
        page_size,
        ..ListRequest::default()
    };
    let (mut pages, mut version) = (Vec::new(), String::new());
    loop {
        let page = api
            .groups()
            .list(request.clone())
            .await
            .unwrap()
            .into_inner();
        let names = page
            .groups
            .into_iter()
            .map(|group| group.metadata.unwrap().name);
        pages.push(names.collect());
        if version.is_empty() {
            version = page.resource_version;
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return (pages, version);
        }
    }
}

#[test]
fn lists_have_pages_and_watches_go_on_from_them() {
    let agent = agent();
    let api = agent.api();
    api.run(async {
        for (name, tier) in [
            ("c", "front"),
            ("a", "front"),
            ("b", "back"),
            ("d", "front"),
        ] {
            create(&api, name, tier).await;
            wait(&api, name, Condition::Ready).await;
        }
        let (all, _) = pages(&api, "", 3).await;
        assert_eq!(all, [vec!["a", "b", "c"], vec!["d"]]);
        let (front, version) = pages(&api, "tier=front", 2).await;
        assert_eq!(front, [vec!["a", "c"], vec!["d"]]);

        let mut update = UpdateRequest {
            group: group_ref("b"),
            labels: [("tier".to_owned(), "front".to_owned())].into(),
            ..UpdateRequest::default()
        };
        api.groups().update(update.clone()).await.unwrap();
        update.labels = [("tier".to_owned(), "back".to_owned())].into();
        api.groups().update(update).await.unwrap();
        let delete = DeleteRequest {
            group: group_ref("a"),
            grace_period_seconds: Some(0),
        };
        api.groups().delete(delete).await.unwrap();
        let watch = WatchRequest {
            label_selector: "tier=front".to_owned(),
            resource_version: version,
            ..WatchRequest::default()
        };
        let mut watch = api.groups().watch(watch).await.unwrap().into_inner();
        let mut seen = Vec::new();
        while !seen.contains(&(Type::Deleted, "a".to_owned())) {
            let change = watch.message().await.unwrap().unwrap();
            let (kind, name) = told(&change);
            if kind != Type::Modified {
                seen.push((kind, name.to_owned()));
            }
        }
        let expected = [
            (Type::Added, "b"),
            (Type::Deleted, "b"),
            (Type::Deleted, "a"),
        ];
        assert_eq!(seen, expected.map(|(kind, name)| (kind, name.to_owned())));
    });
    agent.ok(&["rm", "-f", "b", "c", "d"]);
    agent.finish();
}

#[test]
fn changes_waits_and_events() {
    let agent = agent();
    let api = agent.api();
    api.run(async {
        create(&api, "web", "front").await;
        let read = wait(&api, "web", Condition::Ready).await;
        let mut update = UpdateRequest {
            group: group_ref("web"),
            tags: [("team".to_owned(), "shop".to_owned())].into(),
            annotations: [("note".to_owned(), "x".to_owned())].into(),
            labels: [("new".to_owned(), "yes".to_owned())].into(),
            remove_labels: vec!["tier".to_owned()],
            resource_version: read.resource_version,
            ..UpdateRequest::default()
        };
        let written = api.groups().update(update.clone()).await.unwrap();
        let written = written.into_inner().metadata.unwrap();
        assert_eq!(written.tags["team"], "shop");
        assert_eq!(written.annotations["note"], "x");
        assert_eq!(
            written.labels.into_iter().collect::<Vec<_>>(),
            [("new".to_owned(), "yes".to_owned())]
        );
        // Whoever has read an older version has to read again.
        let refused = api.groups().update(update.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted, "{refused}");
        update.resource_version = written.resource_version;
        api.groups().update(update).await.unwrap();

        let finished = WaitRequest {
            group: group_ref("web"),
            condition: Condition::Finished.into(),
            timeout: Some(burstlet_proto::Duration {
                seconds: 1,
                nanos: 0,
            }),
        };
        let begun = Instant::now();
        let late = api.groups().wait(finished.clone()).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
        let mut hurried = Request::new(WaitRequest {
            timeout: None,
            ..finished
        });
        hurried.set_timeout(Duration::from_secs(1));
        let late = api.groups().wait(hurried).await.unwrap_err();
        assert!(
            matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled),
            "{late}"
        );
        assert!(
            (1..20).contains(&begun.elapsed().as_secs()),
            "{:?}",
            begun.elapsed()
        );

        let follow = EventsRequest {
            group: group_ref("web"),
            follow: true,
            ..EventsRequest::default()
        };
        let mut events = api.groups().events(follow).await.unwrap().into_inner();
        let stop = burstlet_proto::v1::StopRequest {
            group: group_ref("web"),
            grace_period_seconds: Some(0),
        };
        api.groups().stop(stop).await.unwrap();
        let mut reasons = Vec::new();
        while reasons.last().is_none_or(|reason| reason != "Killing") {
            let event = events.message().await.unwrap().unwrap().event.unwrap();
            reasons.push(event.reason);
        }
        assert!(reasons.contains(&"Started".to_owned()), "{reasons:?}");
    });
    agent.ok(&["rm", "-f", "web"]);
    agent.finish();
}
