//! Each call is told of once, when it is over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use burstlet_api_server::UNKNOWN_METHOD;
use burstlet_proto::v1;
use common::{Edge, group};
use tonic::Code;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

/// Waits for the next call to be over.
async fn next(edge: &Edge) -> (String, Code) {
    for _ in 0..1000 {
        let ended = edge.ended.lock().unwrap().pop();
        if let Some(ended) = ended {
            return ended;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody told of the call");
}

#[tokio::test]
async fn calls_are_told_with_their_codes() {
    let mut edge = Edge::start().await;
    let groups = |method: &str| format!("burstlet.v1.ContainerGroups/{method}");
    edge.groups.list(v1::ListRequest::default()).await.unwrap();
    assert_eq!(next(&edge).await, (groups("List"), Code::Ok));
    let get = v1::GetRequest {
        group: group("absent"),
    };
    edge.groups.get(get).await.unwrap_err();
    assert_eq!(next(&edge).await, (groups("Get"), Code::NotFound));

    let watch = edge.groups.watch(v1::WatchRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    watch.message().await.unwrap();
    assert!(edge.ended.lock().unwrap().is_empty(), "it is not over");
    drop(watch);
    assert_eq!(next(&edge).await, (groups("Watch"), Code::Cancelled));

    let mut grpc = Grpc::new(edge.channel.clone());
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let path = "/burstlet.v1.ContainerGroups/Invented".parse().unwrap();
    let refused = grpc.unary(tonic::Request::new(()), path, codec).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
    let expected = (UNKNOWN_METHOD.to_owned(), Code::Unimplemented);
    assert_eq!(next(&edge).await, expected);
    assert!(edge.ended.lock().unwrap().is_empty(), "told twice");
}
