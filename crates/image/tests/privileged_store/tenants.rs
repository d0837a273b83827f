//! What one tenant has is not another's for the asking.

use super::*;

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
        signatures: SignaturePolicy::default(),
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
async fn one_registrys_private_layers_are_open_by_repository() {
    let fixture = Fixture::new(Auth::Basic);
    let image = built(&["secret"]);
    fixture.registry.push("app", "v1", &image).unwrap();
    // The attacker's repository has the documents, but not the layer.
    let registry = &fixture.registry;
    registry.put_blob("mine", &image.config).unwrap();
    registry.put_blob("mine", &image.layers[0]).unwrap();
    registry
        .put_manifest("mine", "v1", &image.manifest)
        .unwrap();
    let store = fixture.store().await;
    let pull = async |repository: &str, namespace: &str| {
        let mut request = fixture.request(repository, namespace);
        request.credentials = fixture.credentials();
        store.pull(request).await
    };
    pull("app", "owner").await.unwrap();
    let refused = pull("mine", "attacker").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    // A repository that has it need not send it again.
    registry.put_blob("mine", &image.layers[1]).unwrap();
    let shared = pull("mine", "partner").await.unwrap();
    assert_eq!(shared.stats.received_bytes, 0);
}
