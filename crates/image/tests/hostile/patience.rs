//! When a registry is asked again.

use super::*;

#[tokio::test(start_paused = true)]
async fn passing_failures_are_asked_again_as_the_registry_wishes() {
    let image = image();
    for (status, wait) in [(429, Some(7)), (503, None), (500, None), (502, None)] {
        let (reply, tries) = (manifest_reply(&image), AtomicUsize::new(0));
        let registry = Fake::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => match wait {
                Some(wait) => Reply::new(status).header("Retry-After", wait.to_string()),
                None => Reply::new(status),
            },
            _ => reply.clone(),
        });
        let registry = registry.await;
        let begun = Instant::now();
        resolve(&registry).await.unwrap();
        assert_eq!(registry.seen().len(), 3, "{status}");
        let least = Duration::from_secs(wait.map_or(0, |wait| 2 * wait));
        assert!(begun.elapsed() >= least && begun.elapsed() < least * 2 + Duration::from_secs(9));
    }
}

#[tokio::test(start_paused = true)]
async fn patience_has_an_end() {
    let registry = Fake::start(|_| Reply::new(429).header("Retry-After", "999999999")).await;
    let begun = Instant::now();
    let error = resolve(&registry).await.unwrap_err();
    assert!(
        matches!(error.problem, Problem::RateLimited(Some(_))),
        "{error}"
    );
    assert!(registry.seen().len() <= 5);
    assert!(begun.elapsed() < Duration::from_secs(4 * 400));
}

#[tokio::test]
async fn final_answers_are_not_asked_again() {
    for (status, kind) in [
        (404, ErrorKind::NotFound),
        (403, ErrorKind::PermissionDenied),
        (400, ErrorKind::Unavailable),
        (418, ErrorKind::Unavailable),
    ] {
        let registry = Fake::start(move |_| {
            Reply::new(status).body(r#"{"errors":[{"message":"no \u001b[31mway"}]}"#)
        });
        let registry = registry.await;
        let error = resolve(&registry).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert_eq!(registry.seen().len(), 1, "{status}");
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    }
}
