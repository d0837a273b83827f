//! Pulls: whole, shared, told, following their registry.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_image_is_whole_and_survives_a_restart() {
    let fixture = Fixture::new(Auth::None);
    let image = built(&["a", "b"]);
    fixture.registry.push("app", "v1", &image).unwrap();
    let store = fixture.store().await;
    let Pulled {
        image: pulled,
        stats,
    } = store.pull(fixture.request("app", "ns")).await.unwrap();
    assert_eq!(pulled.id.as_str(), image.config.digest);
    check_layers(&pulled, &image);
    let file = pulled.layers[1].path.join("etc/a");
    assert_eq!(fs::read(&file).unwrap(), b"a");
    let meta = fs::metadata(&file).unwrap();
    assert_eq!(
        (meta.mode() & 0o7777, meta.uid(), meta.gid()),
        (0o640, 33, 65_000)
    );
    assert_eq!((stats.layers, stats.layers_present), (3, 0));
    assert!(stats.received_bytes > 0);
    assert!(
        fixture.names("content/partial").is_empty(),
        "packed layers pass through"
    );
    drop(store);
    let store = fixture.store().await;
    for name in [
        "v1".to_owned(),
        pulled.id.to_string(),
        pulled.id.hex()[..10].to_owned(),
    ] {
        let name = if name == "v1" {
            fixture.registry.reference("app", "v1")
        } else {
            name
        };
        assert_eq!(store.get(&name).unwrap().id, pulled.id, "{name}");
    }
    let again = store.pull(fixture.request("app", "ns")).await.unwrap();
    assert_eq!(
        (again.stats.layers_present, again.stats.received_bytes),
        (3, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_share_one_pull() {
    let fixture = Fixture::new(Auth::Token);
    let image = built(&["a"]);
    fixture.registry.push("app", "v1", &image).unwrap();
    let store = fixture.store().await;
    let pulls = (0..20).map(|n| {
        let mut request = fixture.request("app", "ns");
        request.credentials = fixture.credentials();
        request.lease = Some(group(&format!("g{n}")));
        let store = store.clone();
        let pull = tokio::spawn(async move { store.pull(request).await });
        // Some lose patience; the others are not the worse for it.
        if n % 3 == 0 {
            pull.abort();
        }
        pull
    });
    let pulls: Vec<_> = pulls.collect();
    let mut done = 0;
    for pull in pulls {
        if let Ok(pulled) = pull.await {
            check_layers(&pulled.unwrap().image, &image);
            done += 1;
        }
    }
    assert!(done >= 13, "{done}");
    assert_eq!(fixture.registry.tokens_given(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_ends_with_all_that_there_is() {
    let fixture = Fixture::new(Auth::None);
    let image = built(&["a"]);
    fixture.registry.push("app", "v1", &image).unwrap();
    let store = fixture.store().await;
    let (sender, progress) = watch::channel(PullProgress::default());
    let mut request = fixture.request("app", "ns");
    request.progress = Some(sender);
    store.pull(request).await.unwrap();
    let last = progress.borrow().clone();
    let total: usize = image.layers.iter().map(|layer| layer.bytes.len()).sum();
    assert_eq!(last.bytes(), (total as u64, total as u64));
    assert!(
        last.layers
            .iter()
            .all(|layer| layer.step == LayerStep::Done),
        "{last:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_follows_its_registry() {
    let fixture = Fixture::new(Auth::None);
    let (old, new) = (built(&["old"]), built(&["new"]));
    fixture.registry.push("app", "v1", &old).unwrap();
    let store = fixture.store().await;
    let first = store
        .pull(fixture.request("app", "ns"))
        .await
        .unwrap()
        .image;
    fixture.registry.push("app", "v1", &new).unwrap();
    let same = store
        .pull(fixture.request("app", "ns"))
        .await
        .unwrap()
        .image;
    assert_eq!(same.id, first.id);
    let always = PullRequest {
        policy: PullPolicy::Always,
        ..fixture.request("app", "ns")
    };
    let second = store.pull(always).await.unwrap().image;
    assert_eq!(second.id.as_str(), new.config.digest);
    let reference = fixture.registry.reference("app", "v1");
    for _ in 0..2 {
        let store = fixture.store().await;
        assert_eq!(store.get(&reference).unwrap().id, second.id);
        assert!(store.get(first.id.as_str()).unwrap().references.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_packings_give_the_same_layer() {
    let fixture = Fixture::new(Auth::None);
    let store = fixture.store().await;
    let mut layers = BTreeSet::new();
    for (name, packing) in [
        ("n", Packing::None),
        ("g", Packing::Gzip),
        ("z", Packing::Zstd),
    ] {
        let entry = Entry::file("file", vec![b'x'; 100_000]);
        let image = ImageBuilder::default()
            .layer(vec![entry])
            .packing(packing)
            .build()
            .unwrap();
        fixture.registry.push(name, "v1", &image).unwrap();
        let pulled = store.pull(fixture.request(name, "ns")).await.unwrap().image;
        layers.insert(pulled.layers[0].path.clone());
    }
    assert_eq!(layers.len(), 1);
    assert_eq!(store.list().len(), 1, "one configuration is one image");
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_leave_nothing_behind() {
    let fixture = Fixture::new(Auth::None);
    let (mut image, other) = (built(&["a"]), built(&["b"]));
    // The manifest names a layer that is not the one that the configuration names.
    let text = String::from_utf8(image.manifest.bytes.clone()).unwrap();
    let (right, wrong) = (&image.layers[1], &other.layers[1]);
    let text = text.replace(&right.digest, &wrong.digest).replace(
        &format!("\"size\":{}", right.bytes.len()),
        &format!("\"size\":{}", wrong.bytes.len()),
    );
    image.manifest = burstlet_testkit::image::Blob::new(&image.manifest.media_type, text.into());
    fixture.registry.push("app", "v1", &image).unwrap();
    fixture.registry.put_blob("app", wrong).unwrap();
    let store = fixture.store().await;
    let refused = store.pull(fixture.request("app", "ns")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unpack { .. }), "{refused:?}");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(store.list().is_empty());
    store
        .prune(PrunePolicy::default(), WallTime(0))
        .await
        .unwrap();
    wait_until_empty(&fixture, "layers").await;
    assert!(fixture.names("images").is_empty());
}
