//! Images that are brought along.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn archives_and_layouts_are_imported() {
    let fixture = Fixture::new(Auth::None);
    let store = fixture.store().await;
    let image = ImageBuilder::default().packing(Packing::None);
    let image = image
        .layer(vec![Entry::file("file", "x")])
        .cmd(&["/file"])
        .build()
        .unwrap();
    let dir = fixture.dir.path();
    image
        .write_oci_layout(&dir.join("layout"), "brought.example/app:oci")
        .unwrap();
    let archive = |name: &str, bytes: Vec<u8>| {
        fs::write(dir.join(name), bytes).unwrap();
        Import::archive(fs::File::open(dir.join(name)).unwrap()).unwrap()
    };
    let imports = [
        Import::layout(&dir.join("layout")).unwrap(),
        archive(
            "oci.tar",
            image.oci_archive("brought.example/app:oci").unwrap(),
        ),
        archive(
            "docker.tar",
            image.docker_archive("brought.example/app:docker").unwrap(),
        ),
    ];
    for import in imports {
        let imported = import_as(&store, import, &[]).await.unwrap();
        check_layers(&imported[0].image, &image);
        assert_eq!(imported[0].image.id.as_str(), image.config.digest);
    }
    for name in ["brought.example/app:oci", "brought.example/app:docker"] {
        let mut request = fixture.request("app", "anyone");
        request.reference = name.parse().unwrap();
        request.policy = PullPolicy::Never;
        store.pull(request).await.unwrap();
    }
    let import = Import::layout(&dir.join("layout")).unwrap();
    import_as(&store, import, &["other.example/name:1"])
        .await
        .unwrap();
    assert_eq!(
        store.get("other.example/name:1").unwrap().references.len(),
        3
    );
}

async fn import_as(
    store: &ImageStore,
    import: Import,
    names: &[&str],
) -> Result<Vec<Pulled>, StoreError> {
    let references = names.iter().map(|name| name.parse().unwrap()).collect();
    let now = WallTime(SECOND_NS);
    store
        .import(ImportRequest {
            import,
            references,
            progress: None,
            now,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_that_lies_is_refused() {
    let fixture = Fixture::new(Auth::None);
    let store = fixture.store().await;
    let image = built(&["a"]);
    let layout = fixture.dir.path().join("layout");
    for blob in [&image.layers[1], &image.config, &image.manifest] {
        image
            .write_oci_layout(&layout, "lie.example/app:1")
            .unwrap();
        let path = layout.join("blobs/sha256").join(blob.hex());
        let mut bytes = blob.bytes.clone();
        bytes[10] ^= 1;
        for lie in [bytes, blob.bytes[1..].to_vec(), Vec::new()] {
            fs::write(&path, lie).unwrap();
            let refused = import_as(&store, Import::layout(&layout).unwrap(), &[]).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
        }
        fs::remove_file(&path).unwrap();
        let refused = import_as(&store, Import::layout(&layout).unwrap(), &[]).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
        assert!(store.list().is_empty());
    }
    image
        .write_oci_layout(&layout, "lie.example/app:1")
        .unwrap();
    import_as(&store, Import::layout(&layout).unwrap(), &[])
        .await
        .unwrap();
}
