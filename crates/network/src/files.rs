//! The text of a group's `/etc/resolv.conf` and `/etc/hosts`. Pure.

use std::fmt::Write as _;
use std::net::IpAddr;

use burstlet_model::Namespace;
use burstlet_model::spec::{DnsPolicy, DnsSpec, HostAlias};

/// The parts of a `resolv.conf` that matter to a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// The servers, first one first.
    pub nameservers: Vec<IpAddr>,
    /// The domains tried for short names.
    pub searches: Vec<String>,
    /// Options as they are written, `name` or `name:value`.
    pub options: Vec<String>,
}

/// How many servers a C library looks at; a kubelet writes no more either.
const NAMESERVERS_MAX: usize = 3;

impl ResolvConf {
    /// Reads a `resolv.conf`; what is not understood is passed over, as resolvers do.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    conf.nameservers
                        .extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
                }
                // The last of several lines counts.
                Some("search" | "domain") => conf.searches = words.map(str::to_owned).collect(),
                Some("options") => conf.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        conf
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if !self.searches.is_empty() {
            let _ = writeln!(text, "search {}", self.searches.join(" "));
        }
        for server in self.nameservers.iter().take(NAMESERVERS_MAX) {
            let _ = writeln!(text, "nameserver {server}");
        }
        if !self.options.is_empty() {
            let _ = writeln!(text, "options {}", self.options.join(" "));
        }
        text
    }
}

/// What a group's `resolv.conf` depends on.
#[derive(Clone, Copy, Debug)]
pub struct ResolvInput<'a> {
    /// What the group's specification says.
    pub spec: &'a DnsSpec,
    /// The host's own file.
    pub host: &'a ResolvConf,
    /// The server and search domains of the node or cluster; `None` where there are none, such as
    /// on the host's network.
    pub node: Option<&'a NodeDns>,
    /// The group is on the host's network.
    pub host_network: bool,
}

/// The name service that a node or cluster offers its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDns {
    /// The servers.
    pub servers: Vec<IpAddr>,
    /// The domains tried for short names, before the host's.
    pub searches: Vec<String>,
    /// Options, as they are written.
    pub options: Vec<String>,
}

impl NodeDns {
    /// The name service of Burstlet's own bridge for the groups of a namespace.
    #[must_use]
    pub fn of_bridge(gateway: IpAddr, namespace: &Namespace, domain: &str) -> Self {
        Self {
            servers: vec![gateway],
            searches: vec![format!("{namespace}.{domain}"), domain.to_owned()],
            options: Vec::new(),
        }
    }
}

/// The group's `resolv.conf` by Kubernetes' rules: the policy gives the start, and the group's own
/// servers, domains and options are added to it.
///
/// A host server on loopback cannot be reached from a group; the node's stands in for it.
#[must_use]
pub fn resolv_conf(input: ResolvInput<'_>) -> ResolvConf {
    let ResolvInput {
        spec,
        host,
        node,
        host_network,
    } = input;
    let cluster_first = match spec.policy {
        DnsPolicy::ClusterFirst => !host_network,
        DnsPolicy::ClusterFirstWithHostNet => true,
        DnsPolicy::Default | DnsPolicy::None => false,
    };
    let mut conf = match (spec.policy, node) {
        (DnsPolicy::None, _) => ResolvConf::default(),
        (_, Some(node)) if cluster_first => ResolvConf {
            nameservers: node.servers.clone(),
            searches: node
                .searches
                .iter()
                .chain(&host.searches)
                .cloned()
                .collect(),
            options: node.options.clone(),
        },
        _ if host_network => host.clone(),
        (_, node) => reachable(host, node),
    };
    add_unique(&mut conf.nameservers, &spec.nameservers);
    add_unique(&mut conf.searches, &spec.searches);
    for (name, value) in &spec.options {
        conf.options
            .retain(|option| option.split(':').next() != Some(name));
        conf.options.push(
            value
                .as_ref()
                .map_or_else(|| name.clone(), |v| format!("{name}:{v}")),
        );
    }
    conf
}

/// The host's settings without servers that only the host can reach.
fn reachable(host: &ResolvConf, node: Option<&NodeDns>) -> ResolvConf {
    let mut conf = host.clone();
    conf.nameservers.retain(|server| !server.is_loopback());
    if conf.nameservers.is_empty() {
        conf.nameservers = node.map(|node| node.servers.clone()).unwrap_or_default();
    }
    conf
}

fn add_unique<T: Clone + PartialEq>(to: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !to.contains(item) {
            to.push(item.clone());
        }
    }
}

/// What a group's `hosts` file depends on.
#[derive(Clone, Copy, Debug)]
pub struct HostsInput<'a> {
    /// The group's addresses; none yet if it has no network of its own.
    pub addresses: &'a [IpAddr],
    /// The group's host name.
    pub hostname: &'a str,
    /// With a domain, the full name comes first.
    pub domain: Option<&'a str>,
    /// Lines that the group's specification adds.
    pub aliases: &'a [HostAlias],
}

/// The `hosts` file of a group with a network of its own, as a kubelet writes it.
#[must_use]
pub fn hosts(input: HostsInput<'_>) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    let hostname = input.hostname;
    for address in input.addresses {
        let _ = match input.domain {
            Some(domain) => writeln!(text, "{address}\t{hostname}.{domain}\t{hostname}"),
            None => writeln!(text, "{address}\t{hostname}"),
        };
    }
    text.push_str(&alias_lines(input.aliases));
    text
}

/// The `hosts` file of a group on the host's network: the host's, and the group's own lines.
#[must_use]
pub fn hosts_on_host_network(host: &str, aliases: &[HostAlias]) -> String {
    format!(
        "# Kubernetes-managed hosts file (host network).\n{host}{}",
        alias_lines(aliases)
    )
}

fn alias_lines(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let _ = writeln!(text, "{}\t{}", alias.ip, alias.hostnames.join("\t"));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const HOST: &str = "# by hand\nnameserver 127.0.0.53\nnameserver 9.9.9.9 ; quad\nsearch old\nsearch lan example.net\noptions edns0 trust-ad\nsortlist x\nnameserver bad\n";

    fn check(
        policy: DnsPolicy,
        host_network: bool,
        change: impl FnOnce(&mut DnsSpec),
        expected: &str,
    ) {
        let host = ResolvConf::parse(HOST);
        let namespace = Namespace::new("shop").unwrap();
        let node = NodeDns::of_bridge("10.88.0.1".parse().unwrap(), &namespace, "burstlet.local");
        let mut spec = DnsSpec {
            policy,
            ..DnsSpec::default()
        };
        change(&mut spec);
        let input = ResolvInput {
            spec: &spec,
            host: &host,
            node: Some(&node),
            host_network,
        };
        assert_eq!(
            resolv_conf(input).text(),
            expected,
            "{policy:?} {host_network}"
        );
    }

    const CLUSTER: &str =
        "search shop.burstlet.local burstlet.local lan example.net\nnameserver 10.88.0.1\n";
    const AS_HOST: &str = "search lan example.net\nnameserver 127.0.0.53\nnameserver 9.9.9.9\noptions edns0 trust-ad\n";

    #[test]
    fn policies() {
        check(DnsPolicy::ClusterFirst, false, |_| {}, CLUSTER);
        check(DnsPolicy::ClusterFirst, true, |_| {}, AS_HOST);
        check(DnsPolicy::ClusterFirstWithHostNet, true, |_| {}, CLUSTER);
        check(DnsPolicy::Default, true, |_| {}, AS_HOST);
        let without_loopback =
            "search lan example.net\nnameserver 9.9.9.9\noptions edns0 trust-ad\n";
        check(DnsPolicy::Default, false, |_| {}, without_loopback);
        check(DnsPolicy::None, false, |_| {}, "");
    }

    #[test]
    fn the_groups_own_settings_are_added() {
        let add = |spec: &mut DnsSpec| {
            spec.nameservers = ["10.88.0.1", "1.1.1.1", "1.0.0.1", "8.8.8.8"]
                .map(|server| server.parse().unwrap())
                .to_vec();
            spec.searches = vec!["lan".to_owned(), "more".to_owned()];
            spec.options = vec![
                ("ndots".to_owned(), Some("5".to_owned())),
                ("trust-ad".to_owned(), None),
            ];
        };
        check(
            DnsPolicy::ClusterFirst,
            false,
            add,
            "search shop.burstlet.local burstlet.local lan example.net more\nnameserver 10.88.0.1\nnameserver 1.1.1.1\nnameserver 1.0.0.1\noptions ndots:5 trust-ad\n",
        );
        check(
            DnsPolicy::None,
            false,
            add,
            "search lan more\nnameserver 10.88.0.1\nnameserver 1.1.1.1\nnameserver 1.0.0.1\noptions ndots:5 trust-ad\n",
        );
    }

    #[test]
    fn a_host_with_loopback_servers_only() {
        let host = ResolvConf::parse("nameserver 127.0.0.53\nnameserver ::1\n");
        let node = NodeDns {
            servers: vec!["10.0.0.1".parse().unwrap()],
            searches: vec![],
            options: vec![],
        };
        let spec = DnsSpec {
            policy: DnsPolicy::Default,
            ..DnsSpec::default()
        };
        let input = ResolvInput {
            spec: &spec,
            host: &host,
            node: Some(&node),
            host_network: false,
        };
        assert_eq!(resolv_conf(input).text(), "nameserver 10.0.0.1\n");
    }

    #[test]
    fn hosts_files() {
        let alias = HostAlias {
            ip: "192.0.2.7".parse().unwrap(),
            hostnames: vec!["db".to_owned(), "db.internal".to_owned()],
        };
        let input = HostsInput {
            addresses: &["10.88.0.2".parse().unwrap()],
            hostname: "web",
            domain: Some("front.shop"),
            aliases: std::slice::from_ref(&alias),
        };
        insta::assert_snapshot!("hosts", hosts(input));
        let plain = hosts(HostsInput {
            domain: None,
            aliases: &[],
            ..input
        });
        assert!(plain.ends_with("10.88.0.2\tweb\n"), "{plain}");
        assert_eq!(
            hosts_on_host_network("127.0.0.1 localhost\n", &[alias]),
            "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n\n# Entries added by HostAliases.\n192.0.2.7\tdb\tdb.internal\n"
        );
    }
}
