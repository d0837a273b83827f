use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::BuildInfo;

struct Running {
    admin: Admin,
    guard: watch::Sender<Guard>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn running() -> Running {
    guarded_by(Guard::default()).await
}

async fn guarded_by(guard: Guard) -> Running {
    let (guard, shown) = watch::channel(guard);
    let admin = Admin {
        registry: Registry::new(BuildInfo {
            program: "test",
            version: "0",
        })
        .unwrap(),
        readiness: Readiness::new(),
        health: Health::default(),
        pages: vec![
            page("/metrics/made", |accept| {
                Some(Rendered {
                    content_type: "text/made",
                    body: accept.unwrap_or("anything").to_owned(),
                })
            }),
            page("/metrics/broken", |_| None),
        ],
        guard: shown,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shown = admin.clone();
    let server = tokio::spawn(async move {
        serve(shown, listener, async { drop(stopped.await) }).await;
    });
    Running {
        admin,
        guard,
        address,
        stop,
        server,
    }
}

fn page(path: &'static str, render: fn(Option<&str>) -> Option<Rendered>) -> Page {
    Page {
        path,
        render: Arc::new(render),
    }
}

/// The status code, the head in lower case, and the body.
async fn get(address: SocketAddr, path: &str) -> (u16, String, String) {
    let (path, more) = path.split_once(' ').unwrap_or((path, ""));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_ascii_lowercase(), body.to_owned())
}

async fn check(address: SocketAddr, path: &str, code: u16, body: &str) {
    let answer = get(address, path).await;
    assert_eq!((answer.0, answer.2.as_str()), (code, body), "{path}");
}

#[tokio::test]
async fn readiness_follows_the_latches_and_the_checks() {
    let running = running().await;
    let at = running.address;
    let latch = running.admin.readiness.latch("image store");
    running.admin.health.check("launcher", || Ok(()));
    check(
        at,
        "/readyz",
        503,
        "[-]image store failed: not yet\nreadyz check failed\n",
    )
    .await;
    check(at, "/healthz", 200, "ok\n").await;
    drop(latch);
    check(at, "/readyz", 200, "ok\n").await;
    let verbose = "[+]image store ok\n[+]launcher ok\nreadyz check passed\n";
    check(at, "/readyz?verbose", 200, verbose).await;

    running
        .admin
        .health
        .check("disk", || Err("full".to_owned()));
    check(
        at,
        "/readyz",
        503,
        "[-]disk failed: full\nreadyz check failed\n",
    )
    .await;
    check(at, "/livez", 200, "ok\n").await;
}

#[tokio::test]
async fn liveness_follows_the_loops() {
    let running = running().await;
    let beat = running
        .admin
        .health
        .heartbeat("reaper", Duration::from_secs(60));
    let passed = "[+]reaper ok\nlivez check passed\n";
    check(running.address, "/livez?verbose", 200, passed).await;
    drop(beat);
    let failed = "[-]reaper failed: ended\nlivez check failed\n";
    check(running.address, "/livez", 503, failed).await;
}

#[tokio::test]
async fn pages_of_others_have_routes_of_their_own() {
    let running = running().await;
    check(running.address, "/metrics/made", 200, "anything").await;
    let (code, head, body) = get(running.address, "/metrics/made accept: a/b\r\n").await;
    assert_eq!((code, &*body), (200, "a/b"));
    assert!(head.contains("content-type: text/made"), "{head}");
    check(running.address, "/metrics/broken", 500, "").await;
    check(running.address, "/metrics/none", 404, "").await;
}

#[tokio::test]
async fn metrics_have_the_content_type_that_prometheus_expects() {
    let running = running().await;
    let (code, head, body) = get(running.address, "/metrics").await;
    assert_eq!(code, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    assert!(body.contains("process_resident_memory_bytes"), "{body}");
    assert_eq!(get(running.address, "/other").await.0, 404);
}

#[tokio::test]
async fn metrics_are_for_who_has_the_token() {
    let guard = Guard::default().with_token("0123456789abcdef").unwrap();
    let running = guarded_by(guard).await;
    let at = running.address;
    for path in ["/metrics", "/metrics/made"] {
        let (code, head, _) = get(at, path).await;
        assert_eq!(code, 401, "{path}");
        assert!(head.contains("www-authenticate: bearer"), "{head}");
        for wrong in [
            "Bearer 0123456789abcdeF",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            let asked = format!("{path} authorization: {wrong}\r\n");
            assert_eq!(get(at, &asked).await.0, 401, "{asked}");
        }
        let asked = format!("{path} authorization: bearer 0123456789abcdef\r\n");
        assert_eq!(get(at, &asked).await.0, 200, "{asked}");
    }
    check(at, "/livez", 200, "ok\n").await;
    assert_eq!(get(at, "/other").await.0, 404);
}

#[test]
fn what_cannot_guard_is_refused() {
    for token in ["", "short", "0123456789abcde ", "0123456789\n0123456789"] {
        assert!(Guard::default().with_token(token).is_err(), "{token:?}");
    }
    let pair = rcgen::generate_simple_self_signed(["admin".to_owned()]).unwrap();
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let guard =
        |chain: &str, key: &str| Guard::default().with_tls(chain.as_bytes(), key.as_bytes());
    guard(&chain, &key).unwrap();
    assert!(matches!(guard("", &key), Err(GuardError::NoCertificate)));
    assert!(matches!(
        guard(&chain, "nothing"),
        Err(GuardError::Pem { .. })
    ));
    assert!(matches!(guard(&chain, &other), Err(GuardError::Tls(_))));
}

/// In the clear nothing is told; a client that begins no handshake holds up nobody.
#[tokio::test]
async fn with_a_certificate_nothing_is_told_in_the_clear() {
    let (certificate, guard) = with_certificate();
    let running = guarded_by(guard).await;
    let silent = TcpStream::connect(running.address).await.unwrap();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request = b"GET /livez HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // An alert, or an end.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    assert!(is_served(running.address, &certificate).await);
    drop(silent);
}

/// Whether the port serves whom it shows a certificate to that he trusts.
async fn is_served(address: SocketAddr, trusted: &rcgen::Certificate) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = TcpStream::connect(address).await.unwrap();
    let Ok(mut stream) = connector.connect("admin".try_into().unwrap(), stream).await else {
        return false;
    };
    let request = b"GET /livez HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.starts_with("HTTP/1.1 200")
}

/// A certificate of its own making, and the guard that shows it.
fn with_certificate() -> (rcgen::Certificate, Guard) {
    let pair = rcgen::generate_simple_self_signed(["admin".to_owned()]).unwrap();
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let guard = Guard::default().with_tls(chain.as_bytes(), key.as_bytes());
    (pair.cert, guard.unwrap())
}

/// A new certificate is shown to who comes next, a new token asked of the next request.
#[tokio::test]
async fn the_guard_is_replaced_while_it_stands() {
    let (old, guard) = with_certificate();
    let running = guarded_by(guard).await;
    assert!(is_served(running.address, &old).await);
    let (new, guard) = with_certificate();
    running.guard.send_replace(guard);
    assert!(is_served(running.address, &new).await);
    assert!(!is_served(running.address, &old).await);

    let with_token = |token| Guard::default().with_token(token).unwrap();
    running.guard.send_replace(with_token("0123456789abcdef"));
    let asked = "/metrics authorization: bearer 0123456789abcdef\r\n";
    assert_eq!(get(running.address, asked).await.0, 200);
    running.guard.send_replace(with_token("fedcba9876543210"));
    assert_eq!(get(running.address, asked).await.0, 401);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_silent_clients() {
    let running = running().await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    check(running.address, "/livez", 200, "ok\n").await;
    running.stop.send(()).unwrap();
    let limit = Duration::from_secs(SHUTDOWN_SECONDS_MAX + 5);
    tokio::time::timeout(limit, running.server)
        .await
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}
