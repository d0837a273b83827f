//! The store, from a registry to unpacked layers. Needs root: layers are unpacked with their
//! real owners.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use burstlet_image::Platform;
use burstlet_image::import::Import;
use burstlet_image::registry::{
    Credentials, RegistriesSettings, RegistryClient, RegistryCredentials, RegistrySettings,
};
use burstlet_image::store::{
    Image, ImageStore, ImportRequest, LayerStep, OpenReport, PrunePolicy, PullPolicy, PullProgress,
    PullRequest, Pulled, StoreConfig, StoreError,
};
use burstlet_image::unpack::{Unpacker, UnpackerConfig};
use burstlet_model::{ErrorKind, GroupUid, Namespace, Secret, WallTime};
use burstlet_testkit::image::{BuiltImage, Entry, ImageBuilder, Packing};
use burstlet_testkit::registry::{Auth, Options, PASSWORD, Registry, USERNAME};
use tempfile::TempDir;
use tokio::sync::watch;

const SECOND_NS: i64 = 1_000_000_000;

struct Fixture {
    registry: Registry,
    dir: TempDir,
}

impl Fixture {
    fn new(auth: Auth) -> Self {
        let registry = Registry::start(Options { auth, tls: false }).unwrap();
        Self {
            registry,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    async fn open(&self) -> (ImageStore, OpenReport) {
        let plain = RegistrySettings {
            plain_http: true,
            ..RegistrySettings::default()
        };
        let registries = [(self.registry.host().parse().unwrap(), plain)].into();
        let settings = RegistriesSettings {
            registries,
            docker_config: None,
        };
        let program = PathBuf::from(env!("CARGO_BIN_EXE_burstlet-unpack"));
        let config = StoreConfig {
            dir: self.dir.path().join("state"),
            registries: RegistryClient::new(settings).unwrap(),
            unpacker: Unpacker::new(UnpackerConfig::new(program)),
            platform: Platform::host(),
        };
        ImageStore::open(config, WallTime(SECOND_NS)).await.unwrap()
    }

    async fn store(&self) -> ImageStore {
        let (store, report) = self.open().await;
        assert_eq!(report.events, []);
        store
    }

    fn request(&self, repository: &str, namespace: &str) -> PullRequest {
        PullRequest {
            reference: self.registry.reference(repository, "v1").parse().unwrap(),
            policy: PullPolicy::IfNotPresent,
            credentials: Vec::new(),
            namespace: Namespace::new(namespace).unwrap(),
            lease: None,
            progress: None,
            now: WallTime(2 * SECOND_NS),
        }
    }

    fn credentials(&self) -> Vec<RegistryCredentials> {
        let password = Secret::new(PASSWORD.to_owned());
        let credentials = Credentials::Basic {
            username: USERNAME.to_owned(),
            password,
        };
        vec![RegistryCredentials {
            registry: self.registry.host().parse().unwrap(),
            credentials,
        }]
    }

    /// The names in a directory of the store.
    fn names(&self, dir: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.dir.path().join("state").join(dir)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn built(tops: &[&str]) -> BuiltImage {
    let base = vec![Entry::dir("etc"), Entry::file("etc/base", vec![1; 1 << 20])];
    let mut builder = ImageBuilder::default().layer(base).cmd(&["/run"]);
    for top in tops {
        let entry = Entry::file(&format!("etc/{top}"), *top)
            .mode(0o640)
            .owner(33, 65_000);
        builder = builder.layer(vec![entry]);
    }
    builder.build().unwrap()
}

fn group(uid: &str) -> GroupUid {
    GroupUid::new(uid).unwrap()
}

fn check_layers(image: &Image, built: &BuiltImage) {
    let diff_ids: Vec<_> = image
        .layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    assert_eq!(diff_ids, built.diff_ids);
    for layer in &image.layers {
        assert!(layer.path.is_dir(), "{}", layer.path.display());
    }
}

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

/// Trees are removed in the background.
async fn wait_until_empty(fixture: &Fixture, dir: &str) {
    for _ in 0..500 {
        if fixture.names(dir).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{dir} still has {:?}", fixture.names(dir));
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
async fn a_private_image_is_another_tenants_only_with_their_own_credentials() {
    let fixture = Fixture::new(Auth::Basic);
    fixture
        .registry
        .push("secret", "v1", &built(&["a"]))
        .unwrap();
    let store = fixture.store().await;
    let with_credentials = |namespace: &str| {
        let mut request = fixture.request("secret", namespace);
        request.credentials = fixture.credentials();
        request
    };
    store.pull(with_credentials("owner")).await.unwrap();
    store
        .pull(fixture.request("secret", "owner"))
        .await
        .unwrap();
    for policy in [
        PullPolicy::IfNotPresent,
        PullPolicy::Always,
        PullPolicy::Never,
    ] {
        let request = PullRequest {
            policy,
            ..fixture.request("secret", "stranger")
        };
        let refused = store.pull(request).await.unwrap_err();
        let expected = [ErrorKind::Unauthenticated, ErrorKind::PermissionDenied];
        assert!(expected.contains(&refused.kind()), "{policy:?}: {refused}");
    }
    let request = PullRequest {
        policy: PullPolicy::Never,
        ..with_credentials("partner")
    };
    let shown = store.pull(request).await.unwrap();
    assert_eq!(shown.stats.received_bytes, 0);
    store
        .pull(fixture.request("secret", "partner"))
        .await
        .unwrap();
    drop(store);
    let store = fixture.store().await;
    let refused = store.pull(fixture.request("secret", "stranger")).await;
    assert!(refused.is_err(), "remembered over a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn naming_anothers_layer_does_not_open_it() {
    let (theirs, mine) = (Fixture::new(Auth::Basic), Registry::plain().unwrap());
    let image = built(&["secret"]);
    theirs.registry.push("app", "v1", &image).unwrap();
    // The attacker's registry has the documents, but not the layer.
    mine.put_blob("app", &image.config).unwrap();
    mine.put_blob("app", &image.layers[0]).unwrap();
    mine.put_manifest("app", "v1", &image.manifest).unwrap();
    let plain = RegistrySettings {
        plain_http: true,
        ..RegistrySettings::default()
    };
    let hosts = [theirs.registry.host(), mine.host()];
    let registries = hosts
        .map(|host| (host.parse().unwrap(), plain.clone()))
        .into();
    let settings = RegistriesSettings {
        registries,
        docker_config: None,
    };
    let program = PathBuf::from(env!("CARGO_BIN_EXE_burstlet-unpack"));
    let config = StoreConfig {
        dir: theirs.dir.path().join("state"),
        registries: RegistryClient::new(settings).unwrap(),
        unpacker: Unpacker::new(UnpackerConfig::new(program)),
        platform: Platform::host(),
    };
    let (store, _) = ImageStore::open(config, WallTime(0)).await.unwrap();
    let mut request = theirs.request("app", "owner");
    request.credentials = theirs.credentials();
    store.pull(request).await.unwrap();
    let mut request = theirs.request("app", "attacker");
    request.reference = mine.reference("app", "v1").parse().unwrap();
    let refused = store.pull(request).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    mine.put_blob("app", &image.layers[1]).unwrap();
    let mut request = theirs.request("app", "attacker");
    request.reference = mine.reference("app", "v1").parse().unwrap();
    let shown = store.pull(request).await.unwrap();
    assert!(
        shown.stats.received_bytes > 0,
        "who has the bytes may have the layer"
    );
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

/// Compile-time: what is shared between tasks can be.
#[test]
fn the_store_is_shared_between_tasks() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<ImageStore>();
    shared::<Arc<Image>>();
}
