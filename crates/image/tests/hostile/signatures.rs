//! What a registry has of signatures, where images have to be signed.
//!
//! The image has no layers, so that all of a pull is here but the unpacking.

mod scene;

use burstlet_image::import::Import;
use burstlet_image::store::{ImageStore, ImportRequest, PullPolicy, StoreError};
use burstlet_image::{Rejection, SignatureError};
use burstlet_model::WallTime;
use burstlet_testkit::image::index_of;
use burstlet_testkit::signature::{manifest, tag};
use serde_json::Value;

use super::*;
use scene::{OWNER, STRANGER, Scene, built};

const SIGNATURES_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

#[tokio::test]
async fn an_image_is_had_with_a_signature_that_counts_and_not_without() {
    let (scene, image) = (Scene::new().await, built("/one"));
    scene.push(&image);
    let refused = scene.refusal().await;
    assert!(
        matches!(refused, SignatureError::Unsigned { .. }),
        "{refused}"
    );
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    let signature = |by| scene.signature(by, &image.manifest, &scene.name());
    scene.sign(&image.manifest, &[signature(STRANGER)]);
    assert_eq!(scene.why().await, Rejection::Key);
    scene.sign(&image.manifest, &[signature(STRANGER), signature(OWNER)]);
    let store = scene.store(OWNER).await;
    scene.pull(&store, PullPolicy::Always).await.unwrap();
}

#[tokio::test]
async fn what_refers_to_an_image_can_be_its_signature() {
    let (scene, image) = (Scene::new().await, built("/one"));
    scene.push(&image);
    let manifest = manifest(&[scene.signature(OWNER, &image.manifest, &scene.name())]);
    let index = scene.refer(&image.manifest, SIGNATURES_TYPE, &manifest);
    let gone = scene.why().await;
    assert!(matches!(gone, Rejection::Payload(_)), "{gone}");
    scene.serve_manifest("of-no-name", &manifest);
    let store = scene.store(OWNER).await;
    scene.pull(&store, PullPolicy::Always).await.unwrap();

    // A registry that does not know the question has the answer at a tag.
    let other = scene.forgotten();
    let api = format!("referrers/{}", image.manifest.digest);
    other.serve(api, Reply::new(405));
    other.serve_manifest(&tag(&image.manifest).replace(".sig", ""), &index);
    let store = other.store(OWNER).await;
    other.pull(&store, PullPolicy::Always).await.unwrap();
}

#[tokio::test]
async fn a_bundle_counts_only_where_no_name_is_asked_for() {
    let (scene, image) = (Scene::new().await, built("/one"));
    scene.push(&image);
    let refer = |by| {
        let manifest = scene.bundle(by, &image.manifest);
        scene.refer(&image.manifest, BUNDLE_TYPE, &manifest);
        scene.serve_manifest("of-no-name", &manifest);
    };
    refer(OWNER);
    assert_eq!(scene.why().await, Rejection::Nameless);
    refer(STRANGER);
    assert_eq!(scene.why().await, Rejection::Key);
    refer(OWNER);
    let store = scene.store_of_nameless(OWNER).await;
    scene.pull(&store, PullPolicy::Always).await.unwrap();
    drop(store);
    let asked = scene.asked();
    let store = scene.store_of_nameless(OWNER).await;
    scene.pull(&store, PullPolicy::Always).await.unwrap();
    assert_eq!(scene.asked(), asked, "what was found is kept");
    drop(store);
    // Until names are asked for again.
    let store = scene.store(OWNER).await;
    let refused = scene.pull(&store, PullPolicy::Never).await.unwrap_err();
    assert!(matches!(refused, StoreError::Signature(_)), "{refused}");
}

#[tokio::test]
async fn who_signs_an_index_signs_what_it_names_and_nothing_else() {
    let (scene, image) = (Scene::new().await, built("/one"));
    scene.push(&image);
    let index = index_of(&[&image]);
    scene.serve_manifest("v1", &index);
    let signature = scene.signature(OWNER, &index, &scene.name());
    scene.sign(&index, std::slice::from_ref(&signature));
    let store = scene.store(OWNER).await;
    scene.pull(&store, PullPolicy::Always).await.unwrap();
    // The signature of the index beside a manifest that it does not name.
    let (scene, other) = (Scene::new().await, built("/two"));
    scene.push(&other);
    let signature = scene.signature(OWNER, &index, &scene.name());
    scene.sign(&other.manifest, &[signature]);
    let why = scene.why().await;
    assert!(matches!(why, Rejection::Digest(..)), "{why}");
}

#[tokio::test]
async fn a_signature_is_for_one_digest_under_one_name() {
    let (scene, image, other) = (Scene::new().await, built("/one"), built("/two"));
    scene.push(&image);
    let name = scene.name();
    let elsewhere = format!("{}/team/other", scene.registry.host());
    for (signed, name, expected) in [
        (&image, &elsewhere, Rejection::Name(elsewhere.clone())),
        (
            &image,
            &format!("{name}:v2"),
            Rejection::Name(format!("{name}:v2")),
        ),
        (
            &other,
            &name,
            Rejection::Digest(
                other.manifest.digest.clone(),
                image.manifest.digest.parse().unwrap(),
            ),
        ),
    ] {
        let signature = scene.signature(OWNER, &signed.manifest, name);
        scene.sign(&image.manifest, &[signature]);
        assert_eq!(scene.why().await, expected);
    }
}

#[tokio::test]
async fn a_tag_that_moves_needs_a_signature_of_where_it_is() {
    let (scene, image, other) = (Scene::new().await, built("/one"), built("/two"));
    scene.push(&image);
    let signature = scene.signature(OWNER, &image.manifest, &scene.name());
    scene.sign(&image.manifest, &[signature]);
    let store = scene.store(OWNER).await;
    let first = scene.pull(&store, PullPolicy::Always).await.unwrap();
    scene.push(&other);
    let moved = scene.pull(&store, PullPolicy::Always).await.unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::PermissionDenied, "{moved}");
    // What was had before stays what the name is.
    let again = scene.pull(&store, PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!(again.image.id, first.image.id);
    assert_eq!(store.list().len(), 1);
}

#[tokio::test]
async fn what_was_found_is_kept_until_its_key_does_not_count() {
    let (scene, image) = (Scene::new().await, built("/one"));
    scene.push(&image);
    let signature = |by| scene.signature(by, &image.manifest, &scene.name());
    scene.sign(&image.manifest, &[signature(OWNER)]);
    let store = scene.store(OWNER).await;
    scene.pull(&store, PullPolicy::Always).await.unwrap();
    let asked = scene.asked();
    assert_eq!(asked, 1);
    for policy in [
        PullPolicy::Always,
        PullPolicy::IfNotPresent,
        PullPolicy::Never,
    ] {
        scene.pull(&store, policy).await.unwrap();
    }
    drop(store);
    let store = scene.store(OWNER).await;
    scene.pull(&store, PullPolicy::Never).await.unwrap();
    assert_eq!(scene.asked(), asked, "nobody has to answer for it again");
    drop(store);
    // An operator who does not trust that key any more is told so, of what is here, too.
    let store = scene.store(STRANGER).await;
    let pulled = store.list().remove(0);
    let name = format!("{}:v1", scene.name()).parse().unwrap();
    assert!(!store.is_signed(&name, &pulled));
    assert!(store.is_signed(&"other.example/app".parse().unwrap(), &pulled));
    for policy in [
        PullPolicy::Never,
        PullPolicy::IfNotPresent,
        PullPolicy::Always,
    ] {
        let refused = scene.pull(&store, policy).await.unwrap_err();
        assert!(matches!(refused, StoreError::Signature(_)), "{refused}");
    }
    assert!(scene.asked() > asked);
    scene.sign(&image.manifest, &[signature(STRANGER)]);
    let pulled = scene.pull(&store, PullPolicy::Never).await.unwrap();
    assert!(store.is_signed(&name, &pulled.image));
}

#[tokio::test]
async fn what_was_imported_is_looked_at_when_it_is_used() {
    let (scene, image) = (Scene::new().await, built("/one"));
    let store = scene.store(OWNER).await;
    let file = scene.dir.path().join("archive");
    let archive = image.oci_archive(&format!("{}:v1", scene.name())).unwrap();
    std::fs::write(&file, archive).unwrap();
    let request = ImportRequest {
        import: Import::archive(std::fs::File::open(&file).unwrap()).unwrap(),
        references: Vec::new(),
        progress: None,
        now: WallTime(1),
    };
    store.import(request).await.unwrap();
    let refused = scene.pull(&store, PullPolicy::Never).await.unwrap_err();
    assert!(matches!(refused, StoreError::Signature(_)), "{refused}");
    let signature = scene.signature(OWNER, &image.manifest, &scene.name());
    scene.sign(&image.manifest, &[signature]);
    scene.pull(&store, PullPolicy::Never).await.unwrap();
}

#[tokio::test]
async fn hostile_signatures_are_bounded_and_say_what_is_wrong() {
    let (scene, image) = (Scene::new().await, built("/one"));
    scene.push(&image);
    let sound = scene.signature(OWNER, &image.manifest, &scene.name());
    let with = |change: fn(&mut Value)| {
        let mut layer = sound.clone();
        change(&mut layer);
        scene.sign(&image.manifest, &[layer]);
    };
    with(|layer| layer["size"] = json!(1_u64 << 40));
    let why = scene.why().await;
    assert!(matches!(why, Rejection::TooLarge { .. }), "{why}");
    with(|layer| layer["size"] = json!(3));
    let why = scene.why().await;
    assert!(matches!(why, Rejection::Payload(_)), "{why}");
    with(|layer| layer["digest"] = json!(digest_of(b"not there").to_string()));
    let why = scene.why().await;
    assert!(matches!(why, Rejection::Payload(_)), "{why}");
    with(|layer| layer["mediaType"] = json!("application/octet-stream"));
    let refused = scene.refusal().await;
    assert!(
        matches!(refused, SignatureError::Unsigned { .. }),
        "{refused}"
    );
    let strangers = vec![scene.signature(STRANGER, &image.manifest, &scene.name()); 1000];
    scene.sign(&image.manifest, &strangers);
    let before = scene.registry.seen().len();
    assert_eq!(scene.why().await, Rejection::TooMany);
    assert!(scene.registry.seen().len() - before < 100);
}

#[tokio::test]
async fn hostile_lists_of_signatures_are_refused() {
    let (scene, image) = (Scene::new().await, built("/one"));
    scene.push(&image);
    let place = format!("manifests/{}", tag(&image.manifest));
    for (body, expected) in [
        ("<html>", "well-formed"),
        ("{}", "no sound layers"),
        (r#"{"layers": [], "layers": []}"#, "well-formed"),
        (
            r#"{"mediaType": "text/html", "layers": []}"#,
            "no sound mediaType",
        ),
    ] {
        scene.serve(place.clone(), Reply::new(200).body(body));
        let refused = scene.refusal().await.to_string();
        assert!(refused.contains(expected), "{body}: {refused}");
    }
    let store = scene.store(OWNER).await;
    scene.serve(place.clone(), Reply::new(200).body("{").then(Then::Endless));
    let endless = scene.pull(&store, PullPolicy::Always).await.unwrap_err();
    assert_eq!(endless.kind(), ErrorKind::Invalid, "{endless}");
    assert!(endless.to_string().contains("larger than"), "{endless}");
    scene.serve(place, Reply::new(403));
    let denied = scene.pull(&store, PullPolicy::Always).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{denied}");
    assert_eq!(store.list().len(), 0);
}
