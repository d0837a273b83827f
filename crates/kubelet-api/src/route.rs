//! Paths, read once: the same reading says which right is needed and what is done.

use burstlet_model::ContainerName;
use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::backend::{ContainerPath, Document, PodPath};

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Health,
    Document(Document),
    Logs(ContainerPath),
    Exec(ContainerPath),
    Attach(ContainerPath),
    PortForward(PodPath),
    /// There is nothing here.
    Nothing,
    /// There is, for other methods.
    OtherMethod,
}

/// The right that a request needs: the verb on any one of the subresources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) verb: &'static str,
    pub(crate) subresources: &'static [&'static str],
}

/// The route of a request, and what it needs. What cannot be a path needs what all else needs.
pub(crate) fn route(method: &Method, path: &str) -> (Route, Needed) {
    let segments = segments(path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let route = find(method, &segments);
    let subresources = subresources(segments.first().copied().unwrap_or_default());
    let verb = verb(method, &route);
    (route, Needed { verb, subresources })
}

/// The parts of a path without empty ones; nothing for a path that steps up or cannot be read.
fn segments(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let decoded = parts.map(|part| percent_decode_str(part).decode_utf8().ok());
    let good = |part: &str| part != "." && part != ".." && !part.contains('/');
    let all: Option<Vec<String>> = decoded
        .map(|part| part.filter(|part| good(part)).map(Into::into))
        .collect();
    all.unwrap_or_default()
}

fn find(method: &Method, segments: &[&str]) -> Route {
    let is_get = method == Method::GET;
    let (route, allowed) = match segments {
        ["healthz"] | ["healthz", "ping" | "log" | "syncloop"] => (Some(Route::Health), is_get),
        ["containerLogs", rest @ ..] => (container(rest).map(Route::Logs), is_get),
        ["exec", rest @ ..] => (container(rest).map(Route::Exec), streams(method)),
        ["attach", rest @ ..] => (container(rest).map(Route::Attach), streams(method)),
        ["portForward", rest @ ..] => (pod(rest).map(Route::PortForward), streams(method)),
        ["stats", "summary"] => {
            let only_cpu_and_memory = false;
            let document = Document::StatsSummary {
                only_cpu_and_memory,
            };
            (Some(Route::Document(document)), streams(method))
        }
        other => (document(other).map(Route::Document), is_get),
    };
    match route {
        None => Route::Nothing,
        Some(_) if !allowed => Route::OtherMethod,
        Some(route) => route,
    }
}

fn document(segments: &[&str]) -> Option<Document> {
    Some(match segments {
        ["pods"] => Document::Pods,
        ["runningpods"] => Document::RunningPods,
        ["metrics"] => Document::Metrics,
        ["metrics", "resource"] => Document::MetricsResource,
        ["metrics", "cadvisor"] => Document::MetricsCadvisor,
        ["metrics", "probes"] => Document::MetricsProbes,
        ["metrics", "billing"] => Document::MetricsBilling,
        ["configz"] => Document::Configuration,
        _ => return None,
    })
}

fn streams(method: &Method) -> bool {
    method == Method::GET || method == Method::POST
}

fn pod(segments: &[&str]) -> Option<PodPath> {
    let (namespace, name, uid) = match segments {
        [namespace, name] => (namespace, name, None),
        [namespace, name, uid] => (namespace, name, Some((*uid).to_owned())),
        _ => return None,
    };
    Some(PodPath {
        namespace: namespace.parse().ok()?,
        name: name.parse().ok()?,
        uid,
    })
}

fn container(segments: &[&str]) -> Option<ContainerPath> {
    let (container, rest) = segments.split_last()?;
    Some(ContainerPath {
        pod: pod(rest)?,
        container: ContainerName::new(container).ok()?,
    })
}

/// As the cluster's roles name the parts of a node.
fn subresources(first: &str) -> &'static [&'static str] {
    match first {
        "stats" => &["stats"],
        "metrics" => &["metrics"],
        "logs" => &["log"],
        "checkpoint" => &["checkpoint"],
        "statusz" => &["statusz"],
        "flagz" => &["configz"],
        "pods" | "runningpods" => &["pods", "proxy"],
        "healthz" => &["healthz", "proxy"],
        "configz" => &["configz", "proxy"],
        _ => &["proxy"],
    }
}

fn verb(method: &Method, route: &Route) -> &'static str {
    match route {
        // A WebSocket has to ask by GET, and does no less than a POST.
        Route::Exec(_) | Route::Attach(_) | Route::PortForward(_) => "create",
        _ => match *method {
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            // No role has it.
            _ => "",
        },
    }
}

#[cfg(test)]
mod tests;
