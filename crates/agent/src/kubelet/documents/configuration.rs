//! `/configz`: what of the configuration has a name that a kubelet's has, too.

use serde_json::{Value, json};

use crate::config::Config;

/// In a kubelet's words; nothing is said of what it has and we do not.
pub(super) fn show(config: &Config) -> Value {
    let given = &config.kubernetes;
    let ca = given.client_ca_file.0.as_ref();
    let ca = ca.map(|path| path.display().to_string());
    let listen = given.listen.0;
    json!({"kubeletconfig": {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": listen.map(|listen| listen.ip().to_string()),
        "port": listen.map(|listen| listen.port()),
        "serverTLSBootstrap": true,
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true, "cacheTTL": "2m0s"},
            "x509": {"clientCAFile": ca.unwrap_or_default()},
        },
        "authorization": {
            "mode": "Webhook",
            "webhook": {"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s"},
        },
        "streamingConnectionIdleTimeout": format!("{}s", given.stream_idle_s),
        "clusterDNS": given.cluster_dns,
        "clusterDomain": given.cluster_domain,
        "enableDebuggingHandlers": true,
    }})
}
