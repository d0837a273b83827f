//! Name resolution as the cluster has it.

use serde_json::{Map, Value, json};

use super::needs::items;
use crate::config::ClusterFacts;

/// What the C library reads of each.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;

/// Writes out what the cluster's name servers and search domains are, where the pod asks for them.
/// In a cluster without name servers, the node's own resolver stays what `ClusterFirst` means.
pub(crate) fn resolve(spec: &mut Map<String, Value>, namespace: &str, cluster: &ClusterFacts) {
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    let policy = spec.get("dnsPolicy").and_then(Value::as_str);
    let of_cluster = match policy.unwrap_or("ClusterFirst") {
        "ClusterFirst" => !host_network,
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    if !of_cluster || cluster.dns.is_empty() {
        return;
    }
    let given = spec.get("dnsConfig").cloned().unwrap_or_default();
    let texts = |name: &str| -> Vec<String> {
        items(given.get(name))
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let domain = &cluster.domain;
    let searches = [
        format!("{namespace}.svc.{domain}"),
        format!("svc.{domain}"),
        domain.clone(),
    ];
    let config = json!({
        "nameservers": together(
            cluster.dns.iter().map(ToString::to_string), texts("nameservers"), NAMESERVERS_MAX),
        "searches": together(
            searches.into_iter().chain(cluster.host_searches.iter().cloned()),
            texts("searches"),
            SEARCHES_MAX,
        ),
        "options": options(&given),
    });
    spec.insert("dnsPolicy".to_owned(), "None".into());
    spec.insert("dnsConfig".to_owned(), config);
}

/// The first of each, at most so many.
fn together(first: impl Iterator<Item = String>, then: Vec<String>, max: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for text in first.chain(then) {
        if all.len() < max && !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

/// The pod's options decide over the cluster's.
fn options(given: &Value) -> Vec<Value> {
    let own: Vec<Value> = items(given.get("options")).cloned().collect();
    let mut options = Vec::new();
    if !own.iter().any(|option| option["name"] == "ndots") {
        options.push(json!({"name": "ndots", "value": "5"}));
    }
    options.extend(own);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UserNamespaces;

    fn cluster() -> ClusterFacts {
        ClusterFacts {
            dns: vec![std::net::Ipv4Addr::new(10, 96, 0, 10).into()],
            domain: "cluster.local".to_owned(),
            host_searches: vec!["example.com".to_owned()],
            selinux: false,
            user_namespaces: UserNamespaces::Prefer,
        }
    }

    fn resolved(spec: &Value, cluster: &ClusterFacts) -> Value {
        let mut spec = spec.as_object().cloned().unwrap_or_default();
        resolve(&mut spec, "shop", cluster);
        Value::Object(spec)
    }

    #[test]
    fn the_clusters_name_servers_come_first() {
        let spec = resolved(
            &json!({"dnsConfig": {
                "nameservers": ["192.0.2.1", "10.96.0.10", "192.0.2.2", "192.0.2.3"],
                "searches": ["svc.cluster.local", "own.example"],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
            }}),
            &cluster(),
        );
        let expected = json!({"dnsPolicy": "None", "dnsConfig": {
            "nameservers": ["10.96.0.10", "192.0.2.1", "192.0.2.2"],
            "searches": ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com", "own.example"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
        }});
        assert_eq!(spec, expected);
    }

    #[test]
    fn others_stay_as_they_are() {
        for spec in [
            json!({"dnsPolicy": "Default"}),
            json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}),
            json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}}),
        ] {
            assert_eq!(resolved(&spec, &cluster()), spec);
        }
        let spec = json!({"dnsPolicy": "ClusterFirst"});
        assert_eq!(resolved(&spec, &ClusterFacts::default()), spec);
    }

    #[test]
    fn the_hosts_network_may_have_the_clusters_names() {
        let asked = json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true});
        assert_eq!(resolved(&asked, &cluster())["dnsPolicy"], "None");
    }
}
