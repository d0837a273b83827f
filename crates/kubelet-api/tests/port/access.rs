//! Who is let in, and to what.

use crate::peer::{connect, get, head, send};
use crate::port::{Authority, Port};

async fn check(port: &Port, token: &str, request: (&str, &str), status: u16, text: &str) {
    let (got, body) = get(port, token, request.0, request.1).await;
    assert_eq!((got, body.as_str()), (status, text), "{token} {request:?}");
}

#[tokio::test]
async fn nobody_is_let_in_without_being_known() {
    let port = Port::new().await;
    for path in ["/healthz", "/pods", "/metrics", "/exec/n/p/c", "/nothing"] {
        for token in ["", "nobody", "broken"] {
            check(&port, token, ("GET", path), 401, "Unauthorized").await;
        }
    }
}

#[tokio::test]
async fn everybody_has_only_their_rights() {
    let port = Port::new().await;
    check(&port, "viewer", ("GET", "/healthz"), 200, "ok").await;
    check(
        &port,
        "viewer",
        ("GET", "/metrics/resource"),
        200,
        "MetricsResource",
    )
    .await;
    let forbidden = "Forbidden (user=viewer, verb=get, resource=nodes, subresource(s)=[stats])";
    check(&port, "viewer", ("GET", "/stats/summary"), 403, forbidden).await;
    let forbidden = "Forbidden (user=viewer, verb=create, resource=nodes, subresource(s)=[proxy])";
    for stream in ["/exec/n/p/c", "/attach/n/p/c", "/portForward/n/p"] {
        // To look at a node is not to run commands on it, by whatever method.
        check(&port, "viewer", ("GET", stream), 403, forbidden).await;
        check(&port, "viewer", ("POST", stream), 403, forbidden).await;
    }
    let error =
        "Authorization error (user=unjudged, verb=get, resource=nodes, subresource(s)=[metrics])";
    check(&port, "unjudged", ("GET", "/metrics"), 500, error).await;
}

#[tokio::test]
async fn a_certificate_names_a_client_if_its_authority_is_the_clients() {
    let port = Port::new().await;
    let stranger = Authority::new().certify(None, "by-certificate");
    let known = port.authority.certify(None, "by-certificate");
    for (certified, status) in [(stranger, 401), (known, 200)] {
        let mut stream = connect(&port, Some(certified)).await;
        send(&mut stream, "GET", "/pods", &[]).await;
        assert_eq!(head(&mut stream).await.status, status);
    }
    // A certificate of another authority does not take away what a token gives.
    let stranger = Authority::new().certify(None, "by-certificate");
    let mut stream = connect(&port, Some(stranger)).await;
    send(
        &mut stream,
        "GET",
        "/pods",
        &["authorization: bearer admin"],
    )
    .await;
    assert_eq!(head(&mut stream).await.status, 200);
}

#[tokio::test]
async fn what_is_not_here_is_not_found_and_other_methods_are_refused() {
    let port = Port::new().await;
    for path in [
        "/run/n/p/c?cmd=ls",
        "/debug/pprof",
        "/logs/",
        "/checkpoint/n/p/c",
        "/",
    ] {
        check(&port, "admin", ("POST", path), 404, "404 page not found").await;
    }
    check(
        &port,
        "admin",
        ("PUT", "/pods"),
        405,
        "405: Method Not Allowed",
    )
    .await;
}
