//! Mirrors that fail, lie or are far.

use super::*;

#[tokio::test]
async fn a_blob_is_continued_at_the_next_host() {
    let layer = image().layers[0].clone();
    let bytes = layer.bytes.clone();
    let half = bytes.len() / 2;
    let (of_mirror, of_origin) = (bytes.clone(), bytes);
    let mirror = Fake::start(move |request| match request.from() {
        0 => piecewise(&of_mirror, half, request),
        _ => Reply::new(404),
    });
    let origin = Fake::start(move |request| piecewise(&of_origin, usize::MAX >> 1, request));
    let (mirror, origin) = (mirror.await, origin.await);
    let client = mirrored(&origin, &[&mirror], MirrorOrder::Listed);
    let repository = repository(&client, &origin);
    assert_eq!(
        receive(&repository, &descriptor(&layer)).await.unwrap(),
        layer.bytes
    );
    assert_eq!(
        origin.seen().iter().map(Request::from).collect::<Vec<_>>(),
        [half]
    );
    assert!(!saw_credentials(&mirror));
}

#[tokio::test]
async fn a_mirrors_lie_is_made_good_by_the_registry() {
    let layer = image().layers[0].clone();
    let bytes = layer.bytes.clone();
    let mut wrong = bytes.clone();
    wrong[0] ^= 1;
    let half = bytes.len() / 2;
    let mirror = Fake::start(move |request| match request.from() {
        0 => piecewise(&wrong, half, request),
        _ => Reply::new(404),
    });
    let origin = Fake::start(move |request| piecewise(&bytes, usize::MAX >> 1, request));
    let (mirror, origin) = (mirror.await, origin.await);
    let client = mirrored(&origin, &[&mirror], MirrorOrder::Listed);
    let repository = repository(&client, &origin);
    assert_eq!(
        receive(&repository, &descriptor(&layer)).await.unwrap(),
        layer.bytes
    );
}

#[tokio::test]
async fn the_nearest_mirror_is_asked_first() {
    let image = image();
    let serving = |delay: Duration| {
        let reply = manifest_reply(&image);
        Fake::start(move |_| {
            std::thread::sleep(delay);
            reply.clone()
        })
    };
    let far = serving(Duration::from_millis(300)).await;
    let near = serving(Duration::ZERO).await;
    let origin = Fake::witness().await;
    let client = mirrored(&origin, &[&far, &near], MirrorOrder::Nearest);
    let repository = repository(&client, &origin);
    repository.resolve("v1", &Platform::host()).await.unwrap();
    let asked = |fake: &Fake| {
        fake.seen()
            .iter()
            .filter(|request| request.path.ends_with("v1"))
            .count()
    };
    assert_eq!((asked(&near), asked(&far), asked(&origin)), (1, 0, 0));
}

#[tokio::test]
async fn a_mirror_that_is_down_is_left_alone() {
    let image = image();
    let reply = manifest_reply(&image);
    let origin = Fake::start(move |_| reply.clone()).await;
    let mirror = Fake::start(|_| Reply::new(429)).await;
    let client = mirrored(&origin, &[&mirror], MirrorOrder::Listed);
    for _ in 0..3 {
        repository(&client, &origin)
            .resolve("v1", &Platform::host())
            .await
            .unwrap();
    }
    assert_eq!(origin.seen().len(), 3);
    assert_eq!(mirror.seen().len(), 2, "asked again once, then left alone");
}

#[tokio::test]
async fn a_registry_is_reached_if_it_or_a_mirror_answers() {
    let unauthorised = Fake::start(|_| Reply::new(401)).await;
    let broken = Fake::start(|_| Reply::new(503)).await;
    let reached = async |origin: &Fake, mirrors: &[&Fake]| {
        let client = mirrored(origin, mirrors, MirrorOrder::Listed);
        client.reach(&origin.host().parse().unwrap()).await
    };
    assert!(reached(&unauthorised, &[]).await.is_ok());
    assert!(reached(&broken, &[&unauthorised]).await.is_ok());
    let error = reached(&broken, &[]).await.unwrap_err();
    assert_eq!(error.host, broken.host());
    assert!(
        matches!(error.problem, Problem::Status { status: 503, .. }),
        "{error}"
    );
    // What is asked for is the registry alone, and nobody's name is told.
    assert!(
        unauthorised
            .seen()
            .iter()
            .all(|request| request.path == "/v2/")
    );
    assert!(!saw_credentials(&unauthorised));
}
