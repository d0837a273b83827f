//! Ports, names and name resolution.

use std::net::IpAddr;

use burstlet_model::spec::{DnsPolicy, DnsSpec, HostAlias, NetworkSpec, Port, Protocol, Reach};

use super::Cx;
use super::metadata::Named;
use super::probe::port_number;
use crate::bounds::{
    DNS_OPTIONS_MAX, HOST_ALIASES_MAX, NAMESERVERS_MAX, PORTS_MAX, SEARCHES_BYTES_MAX, SEARCHES_MAX,
};
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;

/// The most bytes of a host name, the kernel's own bound.
const HOSTNAME_BYTES_MAX: usize = 64;
/// The most bytes of a host name made from a group's name.
const HOSTNAME_LABEL_BYTES_MAX: usize = 63;

const PROTOCOLS: [(&str, Protocol); 3] = [
    ("TCP", Protocol::Tcp),
    ("UDP", Protocol::Udp),
    ("SCTP", Protocol::Sctp),
];

/// What the group is called from inside.
pub(super) struct Hostname {
    pub(super) name: String,
    pub(super) domain: Option<String>,
}

impl Cx<'_> {
    pub(super) fn network(&mut self, spec: &Node<'_>) -> NetworkSpec {
        let host_network = spec.flag("hostNetwork").unwrap_or(false);
        if host_network {
            if !self.allows(|policy| policy.host_network) {
                let message = "using the host's network is not allowed";
                self.needs_leave(spec.at("hostNetwork"), message, "host_network");
            }
            if spec.flag("hostUsers") != Some(true) {
                let message = "the host's network cannot be used from a user namespace";
                let way_out = match self.context.policy.user_namespaces_required {
                    true => "every group has one here: leave it out",
                    false => "write hostUsers: true",
                };
                self.report
                    .refuse(Rule::Invalid, spec.at("hostNetwork"), message, way_out);
            }
        }
        NetworkSpec {
            host_network,
            reach: self.reach(spec),
        }
    }

    fn reach(&mut self, spec: &Node<'_>) -> Reach {
        let words = [
            ("Namespace", Reach::Node),
            ("Open", Reach::Open),
            ("Cluster", Reach::Cluster),
        ];
        let reach = self
            .word(spec, "networkIsolation", &words)
            .unwrap_or_default();
        if reach == Reach::Cluster && !self.context.policy.cluster_network {
            let message = "reaching the host and the pods of its cluster is not allowed";
            self.needs_leave(spec.at("networkIsolation"), message, "cluster_network");
        }
        reach
    }

    pub(super) fn ports(&mut self, container: &Node<'_>, host_network: bool) -> Vec<Port> {
        let items = container.items("ports");
        self.at_most(container.at("ports"), items.len(), PORTS_MAX, "ports");
        let mut ports: Vec<Port> = Vec::new();
        for node in items {
            let Some(port) = self.port_entry(&node, host_network) else {
                continue;
            };
            if port.name.is_some() && ports.iter().any(|other| other.name == port.name) {
                let message = "the name is that of another port of the container";
                self.report
                    .refuse(Rule::Duplicate, node.at("name"), message, "");
            }
            ports.push(port);
        }
        ports
    }

    fn port_entry(&mut self, node: &Node<'_>, host_network: bool) -> Option<Port> {
        let name = node.text("name");
        if name.is_some_and(|name| !check::is_port_name(name)) {
            let message = "a port's name is at most 15 of a-z, 0-9 and '-', with a letter";
            self.report.invalid(node.at("name"), message);
        }
        let protocol = self
            .word(node, "protocol", &PROTOCOLS)
            .unwrap_or(Protocol::Tcp);
        let host_ip = node
            .text("hostIP")
            .and_then(|text| self.address(node.at("hostIP"), text));
        if !node.has("containerPort") {
            let path = node.at("containerPort");
            self.report
                .refuse(Rule::Required, path, "the port is missing", "");
        }
        let container_port = self.port_field(node, "containerPort")?;
        let host_port = match node.number("hostPort") {
            None | Some(0) => host_network.then_some(container_port),
            Some(_) => Some(self.port_field(node, "hostPort")?),
        };
        if host_network && host_port != Some(container_port) {
            let message = "with hostNetwork it must be the same as containerPort";
            self.report.invalid(node.at("hostPort"), message);
        }
        Some(Port {
            name: name.map(str::to_owned),
            container_port,
            protocol,
            host_port,
            host_ip,
        })
    }

    fn port_field(&mut self, node: &Node<'_>, name: &str) -> Option<u16> {
        let number = node.number(name)?;
        let port = port_number(number);
        if port.is_none() {
            self.report
                .invalid(node.at(name), format!("{number} is not a port"));
        }
        port
    }

    fn address(&mut self, path: String, text: &str) -> Option<IpAddr> {
        text.parse()
            .map_err(|_| {
                let message = format!("{} is not an IP address", quote(text));
                self.report.invalid(path, message);
            })
            .ok()
    }

    pub(super) fn hostname(&mut self, spec: &Node<'_>, named: Option<&Named>) -> Option<Hostname> {
        if let Some(text) = spec.text("hostnameOverride") {
            if text.len() > HOSTNAME_BYTES_MAX || !check::is_dns_name(text) {
                let message = format!("a DNS name of at most {HOSTNAME_BYTES_MAX} bytes is needed");
                self.report.invalid(spec.at("hostnameOverride"), message);
            }
            return Some(Hostname {
                name: text.to_owned(),
                domain: None,
            });
        }
        for name in ["hostname", "subdomain"] {
            if spec
                .text(name)
                .is_some_and(|text| !check::is_dns_label(text))
            {
                self.report.invalid(spec.at(name), "a DNS label is needed");
            }
        }
        let named = named?;
        let name = spec
            .text("hostname")
            .map_or_else(|| cut_hostname(named.name.name.as_str()), str::to_owned);
        let domain = spec.text("subdomain").map(|subdomain| {
            let namespace = &named.name.namespace;
            format!("{subdomain}.{namespace}.svc.{}", self.context.domain)
        });
        Some(Hostname { name, domain })
    }

    pub(super) fn dns(&mut self, spec: &Node<'_>, host_network: bool) -> DnsSpec {
        let policies = [
            ("ClusterFirst", DnsPolicy::ClusterFirst),
            (
                "ClusterFirstWithHostNet",
                DnsPolicy::ClusterFirstWithHostNet,
            ),
            ("Default", DnsPolicy::Default),
            ("None", DnsPolicy::None),
        ];
        let policy = match self.word(spec, "dnsPolicy", &policies).unwrap_or_default() {
            // As the kubelet: without ...WithHostNet the host's network has the host's resolver.
            DnsPolicy::ClusterFirst if host_network => DnsPolicy::Default,
            policy => policy,
        };
        let mut dns = spec
            .get("dnsConfig")
            .map(|node| self.dns_config(&node))
            .unwrap_or_default();
        if policy == DnsPolicy::None && dns.nameservers.is_empty() {
            let message = "dnsPolicy None needs a name server";
            self.report
                .refuse(Rule::Required, "spec.dnsConfig.nameservers", message, "");
        }
        dns.policy = policy;
        dns
    }

    fn dns_config(&mut self, node: &Node<'_>) -> DnsSpec {
        let mut dns = DnsSpec::default();
        let servers = node.texts("nameservers");
        self.at_most(
            node.at("nameservers"),
            servers.len(),
            NAMESERVERS_MAX,
            "name servers",
        );
        for (i, text) in servers.into_iter().enumerate() {
            dns.nameservers
                .extend(self.address(node.entry("nameservers", i), text));
        }
        dns.searches = node.owned_texts("searches");
        let count = dns.searches.len();
        let bytes = dns.searches.iter().map(|search| search.len() + 1).sum();
        self.at_most(node.at("searches"), count, SEARCHES_MAX, "search domains");
        self.at_most(
            node.at("searches"),
            bytes,
            SEARCHES_BYTES_MAX,
            "bytes of search domains",
        );
        for (i, search) in dns.searches.iter().enumerate() {
            let name = search.strip_suffix('.').unwrap_or(search);
            let valid = search == "."
                || name
                    .split('.')
                    .all(|part| check::is_dns_label(part.trim_start_matches('_')));
            if !valid {
                self.report
                    .invalid(node.entry("searches", i), "not a DNS name");
            }
        }
        let options = node.items("options");
        self.at_most(
            node.at("options"),
            options.len(),
            DNS_OPTIONS_MAX,
            "options",
        );
        for option in options {
            dns.options.extend(self.dns_option(&option));
        }
        dns
    }

    fn dns_option(&mut self, node: &Node<'_>) -> Option<(String, Option<String>)> {
        let name = self.required(node, "name")?;
        let value = node.text("value");
        let word = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !word(name) || !value.is_none_or(word) {
            self.report.invalid(
                node.path(),
                "an option is one word, or two with ':' between",
            );
            return None;
        }
        Some((name.to_owned(), value.map(str::to_owned)))
    }

    pub(super) fn host_aliases(&mut self, spec: &Node<'_>) -> Vec<HostAlias> {
        let items = spec.items("hostAliases");
        self.at_most(
            spec.at("hostAliases"),
            items.len(),
            HOST_ALIASES_MAX,
            "aliases",
        );
        let mut aliases = Vec::new();
        for node in items {
            let hostnames = node.owned_texts("hostnames");
            for (i, name) in hostnames.iter().enumerate() {
                if !check::is_dns_name(&name.to_ascii_lowercase()) {
                    self.report
                        .invalid(node.entry("hostnames", i), "not a host name");
                }
            }
            let Some(text) = self.required(&node, "ip") else {
                continue;
            };
            if let Some(ip) = self.address(node.at("ip"), text) {
                aliases.push(HostAlias { ip, hostnames });
            }
        }
        aliases
    }
}

/// A group's name as a host name: cut, without a dot or dash at the end.
fn cut_hostname(name: &str) -> String {
    let end = name.len().min(HOSTNAME_LABEL_BYTES_MAX);
    // Names are ASCII, so any byte is a boundary.
    name.get(..end)
        .unwrap_or(name)
        .trim_end_matches(['.', '-'])
        .to_owned()
}
