//! The registry client against Debian's `docker-registry`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::SystemTime;

use burstlet_image::content::ContentStore;
use burstlet_image::registry::{
    BlobTarget, Credentials, Problem, RegistriesSettings, RegistryClient, RegistryCredentials,
    RegistryError, RegistrySettings, Repository, Resolved,
};
use burstlet_image::{DocumentError, ImageConfig, Platform};
use burstlet_model::{ErrorKind, ImageRef, Secret};
use burstlet_testkit::image::{BuiltImage, Entry, ImageBuilder, index_of};
use burstlet_testkit::registry::{Auth, Options, PASSWORD, Registry, USERNAME};

fn image(architecture: &str) -> BuiltImage {
    let content = vec![7; 3 << 20];
    let builder = ImageBuilder::default().layer(vec![Entry::file("data", content)]);
    builder
        .architecture(architecture)
        .cmd(&["/data"])
        .build()
        .unwrap()
}

fn host_image() -> BuiltImage {
    image(&Platform::host().architecture)
}

fn plain() -> RegistrySettings {
    RegistrySettings {
        plain_http: true,
        ..RegistrySettings::default()
    }
}

fn client(registry: &Registry, settings: RegistrySettings) -> RegistryClient {
    let registries = [(registry.host().parse().unwrap(), settings)].into();
    RegistryClient::new(RegistriesSettings {
        registries,
        docker_config: None,
    })
    .unwrap()
}

fn account(registry: &Registry, username: &str, password: &str) -> Vec<RegistryCredentials> {
    let password = Secret::new(password.to_owned());
    let credentials = Credentials::Basic {
        username: username.to_owned(),
        password,
    };
    vec![RegistryCredentials {
        registry: registry.host().parse().unwrap(),
        credentials,
    }]
}

fn repository(
    client: &RegistryClient,
    reference: &str,
    credentials: Vec<RegistryCredentials>,
) -> Repository {
    let reference: ImageRef = reference.parse().unwrap();
    client.repository(&reference, credentials)
}

async fn resolve(repository: &Repository, tag: &str) -> Result<Resolved, RegistryError> {
    repository.resolve(tag, &Platform::host()).await
}

/// Pulls all of `built` through `repository` and compares every byte.
async fn check_pull(repository: &Repository, tag: &str, built: &BuiltImage) {
    let resolved = resolve(repository, tag).await.unwrap();
    assert_eq!(resolved.digest.as_str(), built.manifest.digest);
    let config = repository
        .small_blob(&resolved.manifest.config)
        .await
        .unwrap();
    assert_eq!(config, built.config.bytes);
    let config = ImageConfig::parse(&config, resolved.manifest.layers.len()).unwrap();
    assert_eq!(config.cmd, ["/data"]);
    let dir = tempfile::tempdir().unwrap();
    let store = ContentStore::open(dir.path(), SystemTime::UNIX_EPOCH).unwrap();
    for (layer, expected) in resolved.manifest.layers.iter().zip(&built.layers) {
        let target = BlobTarget {
            store: &store,
            report: &|_| {},
        };
        let received = repository.blob(&layer.blob, target).await.unwrap();
        let mut bytes = Vec::new();
        std::io::copy(&mut received.file().unwrap(), &mut bytes).unwrap();
        assert_eq!(bytes, expected.bytes);
    }
}

#[tokio::test]
async fn a_plain_registry() {
    let registry = Registry::plain().unwrap();
    let built = host_image();
    let reference = registry.push("team/app", "v1", &built).unwrap();
    let repository = repository(&client(&registry, plain()), &reference, Vec::new());
    check_pull(&repository, "v1", &built).await;
    check_pull(&repository, &built.manifest.digest, &built).await;
    assert!(!repository.used_request_credentials());
    let missing = resolve(&repository, "v2").await.unwrap_err();
    assert!(matches!(missing.problem, Problem::NotFound), "{missing}");
    assert!(
        repository
            .may_see(&built.manifest.digest.parse().unwrap())
            .await
            .unwrap()
    );
    assert!(
        !repository
            .may_see(&burstlet_image::digest_of(b"none"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_registry_that_is_not_listed_is_not_spoken_to_plainly() {
    let registry = Registry::plain().unwrap();
    let reference = registry.push("app", "v1", &host_image()).unwrap();
    let repository = repository(
        &client(&registry, RegistrySettings::default()),
        &reference,
        Vec::new(),
    );
    let error = resolve(&repository, "v1").await.unwrap_err();
    assert!(matches!(error.problem, Problem::Tls(_)), "{error:?}");
    assert!(error.to_string().contains("plain_http"), "{error}");
}

#[tokio::test]
async fn an_index_is_resolved_to_this_machine() {
    let registry = Registry::plain().unwrap();
    let (ours, theirs) = (host_image(), image("s390x"));
    for built in [&theirs, &ours] {
        registry.push("app", &built.architecture, built).unwrap();
    }
    let index = index_of(&[&theirs, &ours]);
    registry.put_manifest("app", "all", &index).unwrap();
    registry
        .put_manifest("app", "other", &index_of(&[&theirs]))
        .unwrap();
    let client = client(&registry, plain());
    let repository = repository(&client, &registry.reference("app", "all"), Vec::new());
    check_pull(&repository, "all", &ours).await;
    let resolved = resolve(&repository, "all").await.unwrap();
    let chain: Vec<_> = resolved.chain.iter().map(ToString::to_string).collect();
    assert_eq!(chain, [index.digest, ours.manifest.digest.clone()]);
    let error = resolve(&repository, "other").await.unwrap_err();
    let expected = matches!(
        error.problem,
        Problem::Document(DocumentError::NoPlatform { .. })
    );
    assert!(
        expected && error.kind() == ErrorKind::Unsupported,
        "{error}"
    );
}

/// Pulls with and without the right word, from a registry with `auth`.
async fn check_auth(auth: Auth) {
    let registry = Registry::start(Options { auth, tls: false }).unwrap();
    let built = host_image();
    let reference = registry.push("team/private", "v1", &built).unwrap();
    let client = client(&registry, plain());
    let good = repository(&client, &reference, account(&registry, USERNAME, PASSWORD));
    check_pull(&good, "v1", &built).await;
    assert!(good.used_request_credentials());
    for credentials in [Vec::new(), account(&registry, USERNAME, "wrong")] {
        let sent = !credentials.is_empty();
        let bad = repository(&client, &reference, credentials);
        let error = resolve(&bad, "v1").await.unwrap_err();
        assert!(
            matches!(error.problem, Problem::Unauthorized(shown) if shown == sent),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
        assert!(
            !bad.may_see(&built.manifest.digest.parse().unwrap())
                .await
                .unwrap()
        );
    }
    let elsewhere = RegistryCredentials {
        registry: "other.example".parse().unwrap(),
        ..account(&registry, USERNAME, PASSWORD).remove(0)
    };
    let bad = repository(&client, &reference, vec![elsewhere]);
    assert!(
        resolve(&bad, "v1").await.is_err(),
        "credentials are for their registry only"
    );
}

#[tokio::test]
async fn basic_authentication() {
    check_auth(Auth::Basic).await;
}

#[tokio::test]
async fn token_authentication() {
    check_auth(Auth::Token).await;
}

#[tokio::test]
async fn one_token_serves_many_pulls_of_one_client() {
    let registry = Registry::start(Options {
        auth: Auth::Token,
        tls: false,
    })
    .unwrap();
    let built = host_image();
    let reference = registry.push("app", "v1", &built).unwrap();
    let client = client(&registry, plain());
    let repository = repository(&client, &reference, account(&registry, USERNAME, PASSWORD));
    check_pull(&repository, "v1", &built).await;
    assert_eq!(registry.tokens_given(), 1);
    let again = self::repository(&client, &reference, account(&registry, USERNAME, PASSWORD));
    check_pull(&again, "v1", &built).await;
    assert_eq!(registry.tokens_given(), 1);
    assert!(again.used_request_credentials(), "as much as the first did");
    let stranger = self::repository(&client, &reference, account(&registry, USERNAME, "wrong"));
    let refused = stranger.resolve("v1", &Platform::host()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn the_nodes_own_credentials() {
    let registry = Registry::start(Options {
        auth: Auth::Basic,
        tls: false,
    })
    .unwrap();
    let built = host_image();
    let reference = registry.push("app", "v1", &built).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    std::fs::write(&password_file, format!("{PASSWORD}\n")).unwrap();
    let settings = RegistrySettings {
        username: Some(USERNAME.to_owned()),
        password_file: Some(password_file),
        ..plain()
    };
    let of_node = repository(&client(&registry, settings), &reference, Vec::new());
    check_pull(&of_node, "v1", &built).await;
    assert!(
        !of_node.used_request_credentials(),
        "what the operator gave is for every tenant"
    );

    let docker_config = dir.path().join("config.json");
    let auth = serde_json::json!({"username": USERNAME, "password": PASSWORD});
    let text = serde_json::json!({"auths": {registry.host(): auth}}).to_string();
    std::fs::write(&docker_config, text).unwrap();
    let registries = [(registry.host().parse().unwrap(), plain())].into();
    let settings = RegistriesSettings {
        registries,
        docker_config: Some(docker_config),
    };
    let client = RegistryClient::new(settings).unwrap();
    check_pull(&repository(&client, &reference, Vec::new()), "v1", &built).await;
}

#[tokio::test]
async fn tls_under_an_own_authority() {
    let registry = Registry::start(Options {
        auth: Auth::Basic,
        tls: true,
    })
    .unwrap();
    let built = host_image();
    let reference = registry.push("app", "v1", &built).unwrap();
    let credentials = account(&registry, USERNAME, PASSWORD);
    let settings = RegistrySettings {
        ca_file: Some(registry.ca_file()),
        ..RegistrySettings::default()
    };
    let trusting = repository(
        &client(&registry, settings),
        &reference,
        credentials.clone(),
    );
    check_pull(&trusting, "v1", &built).await;

    let stranger = client(&registry, RegistrySettings::default());
    let error = resolve(&repository(&stranger, &reference, credentials), "v1")
        .await
        .unwrap_err();
    assert!(matches!(error.problem, Problem::Tls(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn mirrors_are_asked_first_and_may_fail() {
    let (origin, mirror) = (Registry::plain().unwrap(), Registry::plain().unwrap());
    let (old, new) = (
        host_image(),
        ImageBuilder::default().cmd(&["/data"]).build().unwrap(),
    );
    let reference = origin.push("app", "v1", &new).unwrap();
    mirror.push("app", "v1", &old).unwrap();
    let mirror_host = mirror.host().parse().unwrap();
    let dead = "127.0.0.1:1".parse().unwrap();
    let settings = RegistrySettings {
        mirrors: vec![dead, mirror_host],
        ..plain()
    };
    let registries = [
        (origin.host().parse().unwrap(), settings),
        (mirror.host().parse().unwrap(), plain()),
        ("127.0.0.1:1".parse().unwrap(), plain()),
    ];
    let settings = RegistriesSettings {
        registries: registries.into(),
        docker_config: None,
    };
    let client = RegistryClient::new(settings).unwrap();
    let repository = repository(&client, &reference, Vec::new());
    check_pull(&repository, "v1", &old).await;
    drop(mirror);
    check_pull(&repository, "v1", &new).await;
}
