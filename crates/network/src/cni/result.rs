//! What a list's last plugin has answered.

use std::net::IpAddr;

use serde_json::Value;

use super::CniError;
use crate::files::NodeDns;
use crate::network::Attached;

/// The addresses and name servers of a result; at least one address is needed.
pub(super) fn attached(plugin: &str, result: &Value) -> Result<Attached, CniError> {
    let bad = |problem: &str| CniError::BadAnswer {
        plugin: plugin.to_owned(),
        problem: problem.to_owned(),
    };
    let ips = result
        .get("ips")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let addresses: Vec<IpAddr> = ips
        .iter()
        .filter_map(|ip| ip.get("address")?.as_str()?.split('/').next()?.parse().ok())
        .collect();
    if addresses.is_empty() {
        return Err(bad("the result has no address"));
    }
    Ok(Attached {
        addresses,
        dns: result.get("dns").and_then(dns),
    })
}

fn dns(dns: &Value) -> Option<NodeDns> {
    let strings = |key: &str| -> Vec<String> {
        let list = dns
            .get(key)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let servers: Vec<IpAddr> = strings("nameservers")
        .iter()
        .filter_map(|server| server.parse().ok())
        .collect();
    if servers.is_empty() {
        return None;
    }
    Some(NodeDns {
        servers,
        searches: strings("search"),
        options: strings("options"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results() {
        let result = json!({
            "cniVersion": "1.0.0",
            "ips": [{ "address": "10.1.2.3/24", "gateway": "10.1.2.1" }, { "address": "fd00::3/64" }],
            "dns": { "nameservers": ["10.1.2.1", "bad"], "search": ["lan"], "options": ["ndots:2"] },
        });
        let attached = attached("p", &result).unwrap();
        assert_eq!(
            attached.addresses,
            ["10.1.2.3", "fd00::3"].map(|ip| ip.parse::<IpAddr>().unwrap())
        );
        let dns = attached.dns.unwrap();
        assert_eq!(dns.servers, ["10.1.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            (&dns.searches[..], &dns.options[..]),
            (&["lan".to_owned()][..], &["ndots:2".to_owned()][..])
        );
    }

    #[test]
    fn a_result_without_an_address_is_none() {
        for result in [
            json!({}),
            json!({ "ips": [{ "address": "x" }] }),
            Value::Null,
        ] {
            assert!(attached("p", &result).is_err(), "{result}");
        }
        let bare = json!({ "ips": [{ "address": "10.0.0.2/8" }], "dns": {} });
        assert_eq!(attached("p", &bare).unwrap().dns, None);
    }
}
