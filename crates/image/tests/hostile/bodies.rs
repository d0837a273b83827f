//! How much a registry sends, and for how long.

use super::*;

#[tokio::test]
async fn endless_bodies_end() {
    let realm = Arc::new(std::sync::OnceLock::<String>::new());
    let own = realm.clone();
    let registry = Fake::start(move |request| match request.path.as_str() {
        path if path.starts_with("/token") => Reply::new(200).then(Then::Endless),
        path if path.ends_with("v1") => Reply::new(200)
            .header("Content-Type", MANIFEST_TYPE)
            .then(Then::Endless),
        path if path.ends_with("error") => Reply::new(400).then(Then::Endless),
        path if path.ends_with("long") => Reply::new(200)
            .header("Content-Type", MANIFEST_TYPE)
            .length(usize::MAX >> 1),
        _ => challenge(format!("Bearer realm=\"{}\"", own.get().unwrap())),
    });
    let registry = registry.await;
    realm
        .set(format!("http://{}/token", registry.host()))
        .unwrap();
    let repository = repository(&client(&[&registry]), &registry);
    for (tag, what) in [
        ("v1", Some("manifest")),
        ("token", Some("token")),
        ("long", Some("manifest")),
        ("error", None),
    ] {
        let error = repository
            .resolve(tag, &Platform::host())
            .await
            .unwrap_err();
        match (error.problem, what) {
            (Problem::TooLarge { what, .. }, Some(expected)) => assert_eq!(what, expected),
            (Problem::Status { status: 400, .. }, None) => {}
            (problem, _) => panic!("{tag}: {problem}"),
        }
    }
}

#[tokio::test]
async fn a_blob_of_another_length_is_refused() {
    let image = image();
    let layer = image.layers[0].clone();
    let size = layer.bytes.len();
    type Lie = fn(Reply, usize) -> Reply;
    let lies: [(&str, Lie); 3] = [
        ("claims more", |reply, size| reply.length(size + 1)),
        ("never ends", |reply, _| reply.then(Then::Endless)),
        ("claims far more", |reply, _| reply.length(1 << 60)),
    ];
    for (name, lie) in lies {
        let reply = lie(Reply::new(200).body(layer.bytes.clone()), size);
        let registry = Fake::start(move |_| reply.clone()).await;
        let repository = repository(&client(&[&registry]), &registry);
        let error = receive(&repository, &descriptor(&layer)).await.unwrap_err();
        let told = matches!(error.problem, Problem::Content(ContentError::Size { .. }));
        assert!(told, "{name}: {error}");
    }
}

#[tokio::test]
async fn one_wrong_byte_is_noticed() {
    let layer = image().layers[0].clone();
    let mut wrong = layer.bytes.clone();
    wrong[1_000_000] ^= 1;
    let registry = Fake::start(move |_| Reply::new(200).body(wrong.clone())).await;
    let repository = repository(&client(&[&registry]), &registry);
    let error = receive(&repository, &descriptor(&layer)).await.unwrap_err();
    let told = matches!(error.problem, Problem::Content(ContentError::Digest { .. }));
    assert!(told, "{error}");
}

#[tokio::test]
async fn content_encoding_is_not_undone() {
    let layer = image().layers[0].clone();
    let bytes = layer.bytes.clone();
    let registry = Fake::start(move |_| {
        Reply::new(200)
            .header("Content-Encoding", "gzip")
            .body(bytes.clone())
    });
    let registry = registry.await;
    let repository = repository(&client(&[&registry]), &registry);
    assert_eq!(
        receive(&repository, &descriptor(&layer)).await.unwrap(),
        layer.bytes
    );
    assert!(
        registry
            .seen()
            .iter()
            .all(|request| request.header("accept-encoding").is_none())
    );
}

#[tokio::test]
async fn a_cut_connection_is_continued() {
    let layer = image().layers[0].clone();
    let (bytes, piece) = (layer.bytes.clone(), layer.bytes.len() / 3 + 1);
    let registry = Fake::start(move |request| piecewise(&bytes, piece, request)).await;
    let repository = repository(&client(&[&registry]), &registry);
    assert_eq!(
        receive(&repository, &descriptor(&layer)).await.unwrap(),
        layer.bytes
    );
    let starts: Vec<_> = registry.seen().iter().map(Request::from).collect();
    assert_eq!(starts, [0, piece, 2 * piece]);
}

#[tokio::test]
async fn a_registry_without_ranges_starts_over() {
    let layer = image().layers[0].clone();
    let (bytes, tries) = (layer.bytes.clone(), AtomicUsize::new(0));
    let registry = Fake::start(move |_| {
        let reply = Reply::new(200).length(bytes.len());
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => reply.body(bytes[..100_000].to_vec()),
            _ => reply.body(bytes.clone()),
        }
    });
    let registry = registry.await;
    let repository = repository(&client(&[&registry]), &registry);
    assert_eq!(
        receive(&repository, &descriptor(&layer)).await.unwrap(),
        layer.bytes
    );
    assert_eq!(registry.seen().len(), 2);
}

#[tokio::test]
async fn another_range_than_asked_for_is_refused() {
    let layer = image().layers[0].clone();
    let bytes = layer.bytes.clone();
    let registry = Fake::start(move |request| match request.from() {
        0 => Reply::new(200)
            .length(bytes.len())
            .body(bytes[..100_000].to_vec()),
        from => Reply::new(206)
            .header("Content-Range", format!("bytes {}-9/10", from + 7))
            .body(bytes[from..].to_vec()),
    });
    let registry = registry.await;
    let repository = repository(&client(&[&registry]), &registry);
    let error = receive(&repository, &descriptor(&layer)).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Protocol(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_drip_is_given_up() {
    for then in [Then::Drip, Then::Hang] {
        let reply = Reply::new(200)
            .header("Content-Type", MANIFEST_TYPE)
            .body("{")
            .then(then);
        let registry = Fake::start(move |_| reply.clone()).await;
        let error = resolve(&registry).await.unwrap_err();
        assert!(
            matches!(error.problem, Problem::Timeout(_)),
            "{then:?}: {error}"
        );
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    }
}
