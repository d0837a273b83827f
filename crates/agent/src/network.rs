//! The groups' network, made from the configuration.

mod late;

use std::net::SocketAddr;
use std::path::PathBuf;

use burstlet_model::spec::Protocol;
use burstlet_network::{
    BridgeConfig, CniConfig, DnsConfig, Exception, Mode, NetworkConfig, Policy,
};
use ipnet::{IpNet, Ipv4Net};

pub(crate) use self::late::{LateNetwork, NOT_YET, Trouble, kept_file, subnet};
use crate::config::{self, Config};
use crate::policy::DOMAIN;

const DNS_PORT: u16 = 53;

/// What tells this agent's links and rules from those of other agents on the host: its state
/// directory, which only one agent has.
fn owner(config: &Config) -> String {
    config.state_dir.display().to_string()
}

/// Where leases are.
fn state_dir(config: &Config) -> PathBuf {
    config.state_dir.join("network")
}

/// The network crate's view of the configuration, with these addresses for groups.
///
/// # Errors
/// An exception names an IPv6 address.
pub(crate) fn settings(config: &Config, subnet: Ipv4Net) -> anyhow::Result<NetworkConfig> {
    let given = &config.network;
    let mut policy = Policy {
        routable: given.routable.clone(),
        ..Policy::default()
    };
    policy.denied.extend(given.deny.iter().copied());
    for address in &given.allow {
        policy.allowed.extend(exceptions(address)?);
    }
    Ok(NetworkConfig {
        owner: owner(config),
        state_dir: state_dir(config),
        mode: mode(given, subnet),
        policy,
        dns: DnsConfig {
            upstreams: given
                .dns_upstreams
                .iter()
                .map(|ip| SocketAddr::new(*ip, DNS_PORT))
                .collect(),
            domain: DOMAIN.to_owned(),
        },
        quarantine: std::time::Duration::from_secs(given.address_quarantine_s.into()),
    })
}

fn mode(given: &config::Network, subnet: Ipv4Net) -> Mode {
    match given.mode {
        config::NetworkMode::Bridge => Mode::Bridge(BridgeConfig {
            name: given.bridge.to_string(),
            subnet,
            mtu: (given.mtu > 0).then(|| given.mtu.into()),
        }),
        config::NetworkMode::Cni => Mode::Cni(CniConfig {
            conf_dir: given.cni_conf_dir.to_path_buf(),
            bin_dirs: given
                .cni_bin_dirs
                .iter()
                .map(|dir| dir.to_path_buf())
                .collect(),
            network: (!given.cni_network.is_empty()).then(|| given.cni_network.clone()),
        }),
        config::NetworkMode::Host => Mode::Host,
    }
}

/// Whoever is let through to a port is so for both protocols: name servers speak both.
fn exceptions(address: &SocketAddr) -> anyhow::Result<[Exception; 2]> {
    let IpNet::V4(to) = IpNet::from(address.ip()) else {
        anyhow::bail!("[network] allow: {address} is not an IPv4 address");
    };
    let to: Ipv4Net = to;
    Ok([Protocol::Tcp, Protocol::Udp].map(|protocol| Exception {
        to,
        port: Some((protocol, address.port())),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_for_both_protocols_and_one_address() {
        let both = exceptions(&"10.1.2.3:53".parse().unwrap()).unwrap();
        for (exception, protocol) in both.iter().zip([Protocol::Tcp, Protocol::Udp]) {
            assert_eq!(exception.to.to_string(), "10.1.2.3/32");
            assert_eq!(exception.port, Some((protocol, 53)));
        }
        assert!(exceptions(&"[::1]:53".parse().unwrap()).is_err());
    }
}
