//! The life of groups over the wire.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use burstlet_proto::v1;
use burstlet_proto::v1::wait_request::Condition;
use common::{Edge, create, fields, group, manifest, plain, reason};
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test]
async fn lives() {
    let mut edge = Edge::start().await;
    let running = edge.run("web").await;
    let metadata = running.metadata.unwrap();
    assert_eq!(
        (metadata.namespace.as_str(), metadata.name.as_str()),
        ("default", "web")
    );
    assert_eq!(running.spec.unwrap().containers[0].image, "busybox:1");
    assert_eq!(running.status.unwrap().phase, "Running");

    let stop = v1::StopRequest {
        group: group("web"),
        grace_period_seconds: Some(1),
    };
    edge.groups.stop(stop).await.unwrap();
    let stopped = edge.wait("web", Condition::Stopped).await.status.unwrap();
    assert_eq!(
        (stopped.phase.as_str(), stopped.desired.as_str()),
        ("Stopped", "Stopped")
    );
    assert_eq!(stopped.sessions.len(), 1);

    let start = v1::StartRequest {
        group: group("web"),
    };
    edge.groups.start(start).await.unwrap();
    edge.wait("web", Condition::Running).await;
    let restart = v1::RestartRequest {
        group: group("web"),
        container: "main".to_owned(),
    };
    edge.groups.restart(restart).await.unwrap();

    let by_uid = Some(v1::GroupRef {
        uid: metadata.uid.clone(),
        ..v1::GroupRef::default()
    });
    let delete = v1::DeleteRequest {
        group: by_uid.clone(),
        grace_period_seconds: Some(0),
    };
    let deleting = edge.groups.delete(delete).await.unwrap().into_inner();
    assert_eq!(deleting.status.unwrap().desired, "Deleted");
    let wait = v1::WaitRequest {
        group: by_uid.clone(),
        condition: Condition::Deleted.into(),
        timeout: None,
    };
    // It may be gone already.
    if let Err(status) = edge.groups.wait(wait).await {
        assert_eq!(status.code(), Code::NotFound);
    }
    let error = edge
        .groups
        .get(v1::GetRequest { group: by_uid })
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::NotFound, "GroupNotFound")
    );
    let details = error.get_error_details();
    assert_eq!(details.resource_info().unwrap().resource_name, metadata.uid);
    assert!(edge.host.is_clean());
}

#[tokio::test]
async fn creates_once() {
    let mut edge = Edge::start().await;
    let mut text = plain("web");
    let first = edge
        .groups
        .create(create(&text, "r1"))
        .await
        .unwrap()
        .into_inner();
    assert!(!first.already_existed);
    let again = edge
        .groups
        .create(create(&text, "r1"))
        .await
        .unwrap()
        .into_inner();
    assert!(again.already_existed);
    assert_eq!(
        again.group.unwrap().metadata.unwrap().uid,
        first.group.unwrap().metadata.unwrap().uid
    );
    let error = edge.groups.create(create(&text, "r2")).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::AlreadyExists, "NameTaken")
    );
    text = text.replace("busybox:1", "busybox:2");
    let error = edge.groups.create(create(&text, "r1")).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::AlreadyExists, "RequestIdReused")
    );

    let generated = plain("g").replace("\"name\": \"g\"", "\"generateName\": \"job-\"");
    let name = |response: v1::CreateResponse| response.group.unwrap().metadata.unwrap().name;
    let one = edge
        .groups
        .create(create(&generated, "r3"))
        .await
        .unwrap()
        .into_inner();
    let same = edge
        .groups
        .create(create(&generated, "r3"))
        .await
        .unwrap()
        .into_inner();
    let other = edge
        .groups
        .create(create(&generated, ""))
        .await
        .unwrap()
        .into_inner();
    let (one, same, other) = (name(one), name(same), name(other));
    assert!(one.starts_with("job-") && one.len() == 9, "{one}");
    assert_eq!(one, same);
    assert_ne!(one, other);
}

#[tokio::test]
async fn refuses_with_every_field() {
    let mut edge = Edge::start().await;
    let bad = r#"{"apiVersion": "burstlet.dev/v1", "kind": "ContainerGroup",
        "metadata": {"name": "web"},
        "spec": {"hostPID": true, "containers": [{"name": "c", "imgae": "i"}]}}"#;
    let error = edge.groups.create(create(bad, "")).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::InvalidArgument, "DefinitionRefused")
    );
    let expected = [
        "spec.containers[0].imgae",
        "spec.hostPID",
        "spec.containers[0].image",
    ];
    assert_eq!(fields(&error), expected);

    let validate = v1::ValidateRequest {
        definition: Some(manifest(bad)),
    };
    let verdict = edge.groups.validate(validate).await.unwrap().into_inner();
    assert!(!verdict.valid);
    let paths: Vec<_> = verdict.findings.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, expected);
    assert_eq!(verdict.findings[0].way_out, "did you mean image?");

    for (request, field) in [
        (v1::CreateRequest::default(), "definition"),
        (create(&plain("x"), "a b"), "request_id"),
    ] {
        let error = edge.groups.create(request).await.unwrap_err();
        assert_eq!(fields(&error), [field]);
    }
    let error = edge.groups.create(create("{", "")).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let error = edge
        .groups
        .create(create(&"x".repeat(5 << 20), ""))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_message_is_as_good_as_a_manifest() {
    let mut edge = Edge::start().await;
    let message: v1::ContainerGroup = serde_json::from_str(
        r#"{"metadata": {"name": "web"}, "spec": {
            "containers": [{"name": "main", "image": "busybox:1",
                "ports": [{"name": "http", "containerPort": 80}],
                "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 7},
                "env": [{"name": "KEY", "secretValue": "s3cret"}]}],
            "volumes": [{"name": "v", "secret": {"data": {"k": "czNjcmV0"}}}]}}"#,
    )
    .unwrap();
    let request = v1::CreateRequest {
        definition: Some(v1::Definition {
            form: Some(v1::definition::Form::Group(message)),
        }),
        request_id: String::new(),
    };
    let created = edge.groups.create(request).await.unwrap().into_inner();
    let shown = serde_json::to_string(&created).unwrap();
    assert!(
        !shown.contains("s3cret") && !shown.contains("czNjcmV0"),
        "{shown}"
    );
    let container = &created.group.unwrap().spec.unwrap().containers[0];
    assert_eq!(
        container.liveness_probe.as_ref().unwrap().period_seconds,
        Some(7)
    );

    let export = |format: v1::export_request::Format| v1::ExportRequest {
        group: group("web"),
        format: format.into(),
    };
    let as_group = export(v1::export_request::Format::Group);
    let exported = edge.groups.export(as_group).await.unwrap().into_inner();
    assert!(exported.manifest.contains("\"kind\":\"ContainerGroup\""));
    assert!(!exported.manifest.contains("s3cret"));
    assert_eq!(exported.notes.len(), 1);
    let as_pod = export(v1::export_request::Format::Pod);
    let pod = edge.groups.export(as_pod).await.unwrap().into_inner();
    assert!(pod.manifest.contains("\"kind\":\"Pod\""));
    assert_eq!(pod.notes.len(), 2);
}

#[tokio::test]
async fn updates_tags_and_annotations() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let mut request = v1::UpdateRequest {
        group: group("web"),
        tags: [("team".to_owned(), "blue".to_owned())].into(),
        annotations: [("note".to_owned(), "x".to_owned())].into(),
        ..v1::UpdateRequest::default()
    };
    let metadata = edge
        .groups
        .update(request.clone())
        .await
        .unwrap()
        .into_inner()
        .metadata;
    assert_eq!(metadata.unwrap().tags["team"], "blue");
    request.tags.clear();
    request.remove_tags = vec!["team".to_owned()];
    let metadata = edge
        .groups
        .update(request.clone())
        .await
        .unwrap()
        .into_inner()
        .metadata;
    let metadata = metadata.unwrap();
    assert!(metadata.tags.is_empty());
    assert_eq!(metadata.annotations["note"], "x");
    request.tags = [("a".to_owned(), "b\nc".to_owned())].into();
    let error = edge.groups.update(request).await.unwrap_err();
    assert_eq!(fields(&error), ["metadata.tags[\"a\"]"]);
    // What is written down is what is shown.
    let records = edge.host.records();
    assert!(records[0].definition.source.contains("\"note\":\"x\""));
}

#[tokio::test]
async fn updates_of_a_version_are_of_no_other() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let read = edge.wait("web", Condition::Ready).await.metadata.unwrap();
    let mut request = v1::UpdateRequest {
        group: group("web"),
        labels: [("tier".to_owned(), "front".to_owned())].into(),
        resource_version: read.resource_version,
        ..v1::UpdateRequest::default()
    };
    let updated = edge.groups.update(request.clone()).await.unwrap();
    let written = updated.into_inner().metadata.unwrap();
    assert_eq!(written.labels["tier"], "front");
    request.labels = [("tier".to_owned(), "back".to_owned())].into();
    let error = edge.groups.update(request.clone()).await.unwrap_err();
    let code = (error.code(), reason(&error));
    assert_eq!(code, (Code::Aborted, "Changed".to_owned()));
    request.resource_version = written.resource_version;
    edge.groups.update(request.clone()).await.unwrap();
    request.resource_version = "odd".to_owned();
    let error = edge.groups.update(request).await.unwrap_err();
    assert_eq!(fields(&error), ["resource_version"]);
}

#[tokio::test]
async fn says_why_not() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let stop = v1::StopRequest {
        group: group("web"),
        grace_period_seconds: Some(0),
    };
    edge.groups.stop(stop).await.unwrap();
    edge.wait("web", Condition::Stopped).await;
    let restart = v1::RestartRequest {
        group: group("web"),
        container: "main".to_owned(),
    };
    let error = edge.groups.restart(restart).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "WrongPhase")
    );
    for (reference, code) in [
        (None, Code::InvalidArgument),
        (Some(v1::GroupRef::default()), Code::InvalidArgument),
        (group("nobody"), Code::NotFound),
        (group("../etc"), Code::NotFound),
        (
            Some(v1::GroupRef {
                uid: "A".to_owned(),
                ..v1::GroupRef::default()
            }),
            Code::NotFound,
        ),
    ] {
        let error = edge
            .groups
            .get(v1::GetRequest { group: reference })
            .await
            .unwrap_err();
        assert_eq!(error.code(), code);
    }
}
