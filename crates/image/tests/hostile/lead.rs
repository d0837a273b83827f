//! Where a registry leads us, and who is told our credentials.

use super::*;

#[tokio::test]
async fn a_realm_elsewhere_is_never_asked() {
    let witness = Fake::witness().await;
    for realm in [
        format!(
            "http://{}/token",
            witness.host().replace("127.0.0.1", "localhost")
        ),
        format!(
            "https://{}/token",
            witness.host().replace("127.0.0.1", "127.0.0.2")
        ),
        format!("http://127.0.0.1@{}/token", witness.host()),
        "https://169.254.169.254/token".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/token".to_owned(),
    ] {
        let text = format!("Bearer realm=\"{realm}\",service=\"s\"");
        let registry = Fake::start(move |_| challenge(text.clone())).await;
        let error = resolve(&registry).await.unwrap_err();
        let refused = matches!(
            error.problem,
            Problem::Redirect { .. } | Problem::Protocol(_)
        );
        assert!(refused, "{realm}: {error}");
        assert!(!format!("{error} {error:?}").contains(PASSWORD));
    }
    assert!(witness.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_elsewhere_gets_no_credentials() {
    let image = image();
    let layer = image.layers[0].clone();
    let bytes = layer.bytes.clone();
    let elsewhere = Fake::start(move |_| Reply::new(200).body(bytes.clone())).await;
    let target = format!("http://{}/data?signature=s", elsewhere.host());
    let registry = Fake::start(move |request| match request.header("authorization") {
        None => challenge("Basic realm=\"r\"".to_owned()),
        Some(_) => Reply::new(307).header("Location", target.clone()),
    });
    let registry = registry.await;
    let listed = client(&[&registry, &elsewhere]);
    let repository = repository(&listed, &registry);
    assert_eq!(
        receive(&repository, &descriptor(&layer)).await.unwrap(),
        layer.bytes
    );
    assert_eq!(elsewhere.seen().len(), 1);
    assert!(!saw_credentials(&elsewhere));
    assert!(saw_credentials(&registry));
}

#[tokio::test]
async fn redirects_to_where_only_this_machine_goes_are_refused() {
    let witness = Fake::witness().await;
    let port = witness.host().split(':').nth(1).unwrap().to_owned();
    for target in [
        format!("http://{}/x", witness.host()),
        format!("https://{}/x", witness.host()),
        format!("https://localhost:{port}/x"),
        format!("https://2130706433:{port}/x"),
        format!("https://0x7f.1:{port}/x"),
        format!("https://[::ffff:127.0.0.1]:{port}/x"),
        format!("https://0:{port}/x"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://10.0.0.1/x".to_owned(),
        "https://[fd00::1]/x".to_owned(),
        "ftp://127.0.0.1/x".to_owned(),
        "file:///etc/shadow".to_owned(),
    ] {
        let to = target.clone();
        let registry = Fake::start(move |_| Reply::new(302).header("Location", to.clone())).await;
        let error = resolve(&registry).await.unwrap_err();
        let refused = matches!(
            error.problem,
            Problem::Redirect { .. } | Problem::Address(_)
        );
        assert!(
            refused && error.kind() == ErrorKind::PermissionDenied,
            "{target}: {error}"
        );
    }
    assert!(witness.seen().is_empty());
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let registry = Fake::start(|request| Reply::new(302).header("Location", request.path.clone()));
    let registry = registry.await;
    let error = resolve(&registry).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Redirect { .. }), "{error}");
    assert!(registry.seen().len() <= 6);
}
