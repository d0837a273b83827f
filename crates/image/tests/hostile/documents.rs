//! What a registry says about itself.

use super::*;

#[tokio::test]
async fn a_lying_digest_header_does_not_matter() {
    let image = image();
    let reply = manifest_reply(&image).header("Docker-Content-Digest", digest_of(b"").to_string());
    let registry = Fake::start(move |_| reply.clone()).await;
    assert_eq!(
        resolve(&registry).await.unwrap().digest.as_str(),
        image.manifest.digest
    );
}

#[tokio::test]
async fn a_manifest_asked_for_by_digest_is_that_manifest() {
    let image = image();
    let reply = manifest_reply(&image);
    let registry = Fake::start(move |_| reply.clone()).await;
    let repository = repository(&client(&[&registry]), &registry);
    let wanted = digest_of(b"another");
    let error = repository
        .resolve(wanted.as_str(), &Platform::host())
        .await
        .unwrap_err();
    let told = matches!(error.problem, Problem::Content(ContentError::Digest { .. }));
    assert!(told, "{error}");
}

#[tokio::test]
async fn documents_of_two_minds_are_refused() {
    let image = image();
    for media_type in [INDEX_TYPE, "text/html", "application/json", ""] {
        let reply = Reply::new(200)
            .header("Content-Type", media_type)
            .body(image.manifest.bytes.clone());
        let registry = Fake::start(move |_| reply.clone()).await;
        let error = resolve(&registry).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{media_type}: {error}");
    }
}

#[tokio::test]
async fn indexes_do_not_nest_without_end() {
    // Every level is an index of the next, by digest.
    let mut documents = vec![image().manifest];
    for _ in 0..INDEX_DEPTH_MAX + 1 {
        let mut entry = documents.last().unwrap().descriptor();
        entry["platform"] = json!({"os": "linux", "architecture": Platform::host().architecture});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]});
        documents.push(Blob::new(INDEX_TYPE, index.to_string().into_bytes()));
    }
    for (depth, fits) in [(INDEX_DEPTH_MAX, true), (INDEX_DEPTH_MAX + 1, false)] {
        let served = documents[..=depth].to_vec();
        let registry = Fake::start(move |request| {
            let named = served
                .iter()
                .find(|blob| request.path.ends_with(&blob.digest));
            let blob = named.unwrap_or(served.last().unwrap());
            Reply::new(200)
                .header("Content-Type", blob.media_type.clone())
                .body(blob.bytes.clone())
        });
        let resolved = resolve(&registry.await).await;
        assert_eq!(resolved.is_ok(), fits, "{depth}: {resolved:?}");
        if let Err(error) = resolved {
            let told = matches!(
                error.problem,
                Problem::Document(DocumentError::TooLarge { .. })
            );
            assert!(told, "{error}");
        }
    }
}
