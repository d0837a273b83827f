//! The variables that tell a pod's containers of the Services of their namespace.

use std::net::SocketAddr;

use serde_json::Value;

/// The namespace and name of the Service that leads to the API server.
pub(crate) const API_SERVICE: (&str, &str) = ("default", "kubernetes");

/// A Service that has an address of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    pub(crate) name: String,
    address: String,
    ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Port {
    name: String,
    number: u64,
    protocol: String,
}

impl Service {
    /// Reads a Service's `spec`; `None` for one without an address or ports.
    pub(crate) fn read(namespace: &str, name: &str, spec: &Value) -> Option<Self> {
        let address = spec["clusterIP"].as_str()?;
        let ports: Vec<Port> = spec["ports"]
            .as_array()?
            .iter()
            .filter_map(|port| {
                Some(Port {
                    name: port["name"].as_str().unwrap_or_default().to_owned(),
                    number: port["port"].as_u64()?,
                    protocol: port["protocol"].as_str().unwrap_or("TCP").to_owned(),
                })
            })
            .collect();
        let none = matches!(address, "" | "None") || ports.is_empty();
        (!none).then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            address: address.to_owned(),
            ports,
        })
    }

    /// Its address with its first port.
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        let port = u16::try_from(self.ports.first()?.number).ok()?;
        Some(SocketAddr::new(self.address.parse().ok()?, port))
    }

    /// Every pod is told of it, whether it wants to be or not.
    fn is_always_told(&self) -> bool {
        (self.namespace.as_str(), self.name.as_str()) == API_SERVICE
    }

    fn variables(&self) -> Vec<(String, String)> {
        let prefix = self.name.to_uppercase().replace('-', "_");
        let host = if self.address.contains(':') {
            format!("[{}]", self.address)
        } else {
            self.address.clone()
        };
        let mut variables = vec![(format!("{prefix}_SERVICE_HOST"), self.address.clone())];
        let mut set = |name: String, value: String| variables.push((name, value));
        for (index, port) in self.ports.iter().enumerate() {
            let number = port.number.to_string();
            let protocol = port.protocol.to_lowercase();
            let url = format!("{protocol}://{host}:{number}");
            if index == 0 {
                set(format!("{prefix}_SERVICE_PORT"), number.clone());
                set(format!("{prefix}_PORT"), url.clone());
            }
            if !port.name.is_empty() {
                let name = port.name.to_uppercase().replace('-', "_");
                set(format!("{prefix}_SERVICE_PORT_{name}"), number.clone());
            }
            let one = format!("{prefix}_PORT_{number}_{}", port.protocol.to_uppercase());
            set(one.clone(), url);
            set(format!("{one}_PROTO"), protocol);
            set(format!("{one}_PORT"), number);
            set(format!("{one}_ADDR"), self.address.clone());
        }
        variables
    }
}

/// The variables for a pod of `namespace`, in the order of the Services' names; with `links`, of
/// every Service of the namespace.
pub(crate) fn variables<'s>(
    services: impl Iterator<Item = &'s Service>,
    namespace: &str,
    links: bool,
) -> Vec<(String, String)> {
    let mut told: Vec<&Service> = services
        .filter(|s| s.is_always_told() || (links && s.namespace == namespace))
        .collect();
    // A Service of the namespace decides over the one that is always told.
    told.sort_by_key(|service| (service.namespace == namespace, service.name.clone()));
    told.into_iter().flat_map(Service::variables).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(namespace: &str, name: &str, spec: &Value) -> Option<Service> {
        Service::read(namespace, name, spec)
    }

    #[test]
    fn variables_are_those_of_a_kubelet() {
        let api = json!({"clusterIP": "10.0.0.1", "ports": [{"name": "https", "port": 443}]});
        let web = json!({"clusterIP": "10.0.0.7", "ports": [
            {"name": "http-alt", "port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]});
        let services = [
            service("default", "kubernetes", &api).unwrap(),
            service("shop", "web-front", &web).unwrap(),
            service("other", "hidden", &web).unwrap(),
        ];
        let text = |links| {
            let all = variables(services.iter(), "shop", links).into_iter();
            all.map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
        };
        let kubernetes = [
            "KUBERNETES_SERVICE_HOST=10.0.0.1",
            "KUBERNETES_SERVICE_PORT=443",
            "KUBERNETES_PORT=tcp://10.0.0.1:443",
            "KUBERNETES_SERVICE_PORT_HTTPS=443",
            "KUBERNETES_PORT_443_TCP=tcp://10.0.0.1:443",
            "KUBERNETES_PORT_443_TCP_PROTO=tcp",
            "KUBERNETES_PORT_443_TCP_PORT=443",
            "KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1",
        ];
        assert_eq!(text(false), kubernetes);
        let linked = text(true);
        assert_eq!(linked[..8], kubernetes);
        assert_eq!(linked[8], "WEB_FRONT_SERVICE_HOST=10.0.0.7");
        assert!(linked.contains(&"WEB_FRONT_SERVICE_PORT_HTTP_ALT=80".to_owned()));
        assert!(linked.contains(&"WEB_FRONT_PORT_53_UDP=udp://10.0.0.7:53".to_owned()));
        assert!(!linked.iter().any(|line| line.starts_with("HIDDEN")));
    }

    #[test]
    fn services_without_an_address_are_not_told() {
        for spec in [
            json!({"clusterIP": "None", "ports": [{"port": 1}]}),
            json!({"clusterIP": "", "ports": [{"port": 1}]}),
            json!({"clusterIP": "10.0.0.1"}),
            json!({"type": "ExternalName"}),
        ] {
            assert_eq!(service("a", "b", &spec), None);
        }
    }
}
