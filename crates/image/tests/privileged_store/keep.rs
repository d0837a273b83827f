//! What is kept, what goes, and what a crash leaves.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_shared_and_removed_with_their_last_image() {
    let fixture = Fixture::new(Auth::None);
    fixture.registry.push("one", "v1", &built(&["a"])).unwrap();
    fixture.registry.push("two", "v1", &built(&["b"])).unwrap();
    let store = fixture.store().await;
    let one = store
        .pull(fixture.request("one", "ns"))
        .await
        .unwrap()
        .image;
    let two = store.pull(fixture.request("two", "ns")).await.unwrap();
    assert_eq!((two.stats.layers, two.stats.layers_present), (2, 1));
    assert_eq!(one.layers[0], two.image.layers[0]);
    let both = store.disk_bytes();
    let removed = store.remove(one.id.as_str()).await.unwrap();
    assert_eq!(removed.deleted.as_ref(), Some(&one.id));
    assert_eq!(store.disk_bytes() + removed.disk_bytes, both);
    assert!(!one.layers[1].path.exists());
    assert!(two.image.layers[0].path.exists());
    assert!(matches!(
        store.get(one.id.as_str()),
        Err(StoreError::NotFound(_))
    ));
    store.remove(two.image.id.as_str()).await.unwrap();
    assert_eq!(store.disk_bytes(), 0);
    assert!(fixture.names("images").is_empty());
    assert!(fixture.names("content/blobs").is_empty());
    wait_until_empty(&fixture, "layers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_leases_stays_over_a_restart() {
    let fixture = Fixture::new(Auth::None);
    fixture.registry.push("app", "v1", &built(&["a"])).unwrap();
    let store = fixture.store().await;
    let mut request = fixture.request("app", "ns");
    request.lease = Some(group("g1"));
    let image = store.pull(request).await.unwrap().image;
    drop(store);
    let store = fixture.store().await;
    let everything = PrunePolicy {
        unused_for: Some(Duration::ZERO),
        disk_bytes_max: Some(0),
    };
    let now = WallTime(1_000 * SECOND_NS);
    assert_eq!(store.prune(everything, now).await.unwrap().images, []);
    let refused = store.remove(image.id.as_str()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    assert!(refused.to_string().contains("group g1"), "{refused}");
    store.release(&group("g1"), now).await.unwrap();
    store.release(&group("g1"), now).await.unwrap();
    let recently = PrunePolicy {
        unused_for: Some(Duration::from_secs(60)),
        disk_bytes_max: None,
    };
    assert_eq!(
        store.prune(recently, now).await.unwrap().images,
        [],
        "it was used until now"
    );
    let pruned = store.prune(everything, now).await.unwrap();
    assert_eq!(pruned.images, std::slice::from_ref(&image.id));
    assert!(pruned.disk_bytes > 0);
    let gone = store
        .lease(&group("g2"), std::slice::from_ref(&image.id), now)
        .await;
    assert!(matches!(gone, Err(StoreError::NotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_told_and_never_frees_what_is_needed() {
    let fixture = Fixture::new(Auth::None);
    fixture.registry.push("app", "v1", &built(&["a"])).unwrap();
    let store = fixture.store().await;
    let mut request = fixture.request("app", "ns");
    request.lease = Some(group("g1"));
    let image = store.pull(request).await.unwrap().image;
    drop(store);
    fs::write(fixture.dir.path().join("state/leases/g1.json"), "{").unwrap();
    let (store, report) = fixture.open().await;
    assert_eq!(report.events.len(), 1);
    assert_eq!(store.unknown_leases(), [group("g1")]);
    let refused = store.remove(image.id.as_str()).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseUnknown(_)), "{refused}");
    store.lease(&group("g1"), &[], WallTime(0)).await.unwrap();
    assert_eq!(store.unknown_leases(), []);
    drop(store);
    let record = fixture
        .dir
        .path()
        .join(format!("state/images/{}.json", image.id.hex()));
    fs::write(record, "nonsense").unwrap();
    let (store, report) = fixture.open().await;
    assert_eq!(report.events.len(), 1);
    assert!(store.list().is_empty());
    assert_eq!(
        fixture.names("corrupt").len(),
        2,
        "both are kept to be looked at"
    );
    store.pull(fixture.request("app", "ns")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_point_leaves_nothing_or_what_open_cleans() {
    let fixture = Fixture::new(Auth::None);
    let image = built(&["a"]);
    fixture.registry.push("app", "v1", &image).unwrap();
    let whole = fixture.store().await;
    let pulled = whole
        .pull(fixture.request("app", "ns"))
        .await
        .unwrap()
        .image;
    whole.sync().await.unwrap();
    drop(whole);
    let state = fixture.dir.path().join("state");
    let hex = pulled.layers[1].diff_id.hex();
    let record = |dir: &str, hex: &str| state.join(dir).join(format!("{hex}.json"));
    // Each leaves what a crash at some point of a pull or a removal leaves.
    let crashes: [&dyn Fn(); 4] = [
        &|| remove(&record("images", pulled.id.hex())),
        &|| remove(&record("layers", hex)),
        &|| fs::remove_dir_all(state.join("layers").join(hex)).unwrap(),
        &|| remove(&state.join("content/blobs").join(pulled.id.hex())),
    ];
    for (n, crash) in crashes.into_iter().enumerate() {
        crash();
        fs::create_dir(state.join("layers/.stage-left")).unwrap();
        let (store, _) = fixture.open().await;
        assert!(store.list().is_empty(), "crash {n}");
        wait_until_empty(&fixture, "layers").await;
        let again = store
            .pull(fixture.request("app", "ns"))
            .await
            .unwrap()
            .image;
        check_layers(&again, &image);
        assert_eq!(fs::read(again.layers[1].path.join("etc/a")).unwrap(), b"a");
        store.sync().await.unwrap();
    }
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}
