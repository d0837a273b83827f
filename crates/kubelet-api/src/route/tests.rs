use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn check(method: &Method, path: &str, expected: &str, verb: &str, subresources: &[&str]) {
    let (route, needed) = route(method, path);
    let shown = match route {
        Route::Logs(at) => format!("logs {}", container_text(&at)),
        Route::Exec(at) => format!("exec {}", container_text(&at)),
        Route::Attach(at) => format!("attach {}", container_text(&at)),
        Route::PortForward(at) => format!("forward {}", pod_text(&at)),
        Route::Document(document) => format!("{document:?}"),
        other => format!("{other:?}"),
    };
    assert_eq!(shown, expected, "{method} {path}");
    assert_eq!(
        (needed.verb, needed.subresources),
        (verb, subresources),
        "{method} {path}"
    );
}

fn pod_text(pod: &PodPath) -> String {
    let uid = pod.uid.as_deref().unwrap_or("-");
    format!("{}/{} {uid}", pod.namespace, pod.name)
}

fn container_text(at: &ContainerPath) -> String {
    format!("{} {}", pod_text(&at.pod), at.container)
}

#[test]
fn what_there_is_is_found_and_needs_its_right() {
    let (get, post) = (&Method::GET, &Method::POST);
    check(get, "/healthz", "Health", "get", &["healthz", "proxy"]);
    check(get, "/healthz/ping", "Health", "get", &["healthz", "proxy"]);
    check(get, "/pods", "Pods", "get", &["pods", "proxy"]);
    check(
        get,
        "/runningpods/",
        "RunningPods",
        "get",
        &["pods", "proxy"],
    );
    check(
        get,
        "/metrics/resource",
        "MetricsResource",
        "get",
        &["metrics"],
    );
    check(
        get,
        "/configz",
        "Configuration",
        "get",
        &["configz", "proxy"],
    );
    let summary = "StatsSummary { only_cpu_and_memory: false }";
    check(get, "/stats/summary", summary, "get", &["stats"]);
    check(post, "/stats/summary", summary, "create", &["stats"]);
    check(
        get,
        "/containerLogs/n/p/c",
        "logs n/p - c",
        "get",
        &["proxy"],
    );
    check(post, "/exec/n/p/c", "exec n/p - c", "create", &["proxy"]);
    check(
        post,
        "/exec/n/p/u-1/c",
        "exec n/p u-1 c",
        "create",
        &["proxy"],
    );
    check(
        post,
        "/attach/n/p/c",
        "attach n/p - c",
        "create",
        &["proxy"],
    );
    check(
        post,
        "/portForward/n/p/u",
        "forward n/p u",
        "create",
        &["proxy"],
    );
}

#[test]
fn a_stream_by_get_needs_to_create() {
    let get = &Method::GET;
    check(get, "/exec/n/p/c", "exec n/p - c", "create", &["proxy"]);
    check(get, "/attach/n/p/c", "attach n/p - c", "create", &["proxy"]);
    check(
        get,
        "/portForward/n/p",
        "forward n/p -",
        "create",
        &["proxy"],
    );
}

#[test]
fn ways_around_a_path_lead_nowhere() {
    let get = &Method::GET;
    for path in [
        "/metrics/../exec/n/p/c",
        "/metrics/%2e%2e/exec/n/p/c",
        "/./pods",
        "/metrics%2fresource",
        "/%ff",
    ] {
        check(get, path, "Nothing", "get", &["proxy"]);
    }
    check(get, "//exec//n/p/c", "exec n/p - c", "create", &["proxy"]);
    check(get, "/%65xec/n/p/c", "exec n/p - c", "create", &["proxy"]);
    check(get, "/statsx/summary", "Nothing", "get", &["proxy"]);
    check(get, "/exec/n/p/..", "Nothing", "get", &["proxy"]);
    check(get, "/exec/N_/p/c", "Nothing", "get", &["proxy"]);
}

#[test]
fn what_a_kubelet_has_beside_is_not_here() {
    let post = &Method::POST;
    check(post, "/run/n/p/c", "Nothing", "create", &["proxy"]);
    check(
        post,
        "/checkpoint/n/p/c",
        "Nothing",
        "create",
        &["checkpoint"],
    );
    check(&Method::GET, "/debug/pprof", "Nothing", "get", &["proxy"]);
    check(&Method::GET, "/logs/", "Nothing", "get", &["log"]);
    check(&Method::GET, "/", "Nothing", "get", &["proxy"]);
    check(
        &Method::PUT,
        "/exec/n/p/c",
        "OtherMethod",
        "update",
        &["proxy"],
    );
    check(post, "/pods", "OtherMethod", "create", &["pods", "proxy"]);
    check(
        &Method::HEAD,
        "/pods",
        "OtherMethod",
        "",
        &["pods", "proxy"],
    );
}

const PARTS: &[&str] = &[
    "exec",
    "attach",
    "portForward",
    "containerLogs",
    "metrics",
    "stats",
    "summary",
    "pods",
    "resource",
    "n",
    "p",
    "c",
    "",
    ".",
    "..",
    "%2e%2e",
    "%2f",
    "%65xec",
    "/",
    "EXEC",
    "%00",
    "%",
];

proptest! {
    #[test]
    fn no_path_to_a_stream_needs_less_than_to_create(
        parts in vec(select(PARTS), 0..7),
        method in select(vec![Method::GET, Method::POST, Method::PUT, Method::HEAD]),
    ) {
        let (route, needed) = route(&method, &format!("/{}", parts.join("/")));
        match route {
            Route::Exec(_) | Route::Attach(_) | Route::PortForward(_) => {
                prop_assert_eq!((needed.verb, needed.subresources), ("create", &["proxy"][..]));
            }
            Route::Logs(_) => prop_assert_eq!(needed.subresources, &["proxy"]),
            Route::Document(Document::StatsSummary { .. }) => {
                prop_assert_eq!(needed.subresources, &["stats"]);
            }
            Route::Document(Document::Pods | Document::RunningPods) => {
                prop_assert_eq!(needed.subresources, &["pods", "proxy"]);
            }
            Route::Document(_) => prop_assert_eq!(needed.subresources, &["metrics"]),
            Route::Health | Route::Nothing | Route::OtherMethod => {}
        }
    }
}
