//! Questions to the host before anything is touched: does it have what the network needs, and does
//! anything on it stand in the way.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicU32;

use nix::sched::{CloneFlags, unshare};

use crate::cni::preview;
use crate::config::{BridgeConfig, Mode, NetworkConfig};
use crate::netlink::{Netlink, route};
use crate::nft_tool::{self, PROGRAM};
use crate::plan::Owner;
use crate::ruleset::Ruleset;
use crate::sysctl;

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do if it is not as it should be.
    pub advice: &'static str,
}

/// Looks at everything the configured network needs. Changes nothing.
#[must_use]
pub fn check(config: &NetworkConfig) -> Vec<Finding> {
    match &config.mode {
        Mode::Bridge(bridge) => {
            let owner = Owner::new(&config.owner);
            vec![
                nft(config, bridge),
                forwarding(),
                foreign_policy(),
                bridge_name(bridge, &owner),
                subnet(bridge),
            ]
        }
        Mode::Cni(cni) => {
            let (ok, detail) = match preview(cni) {
                Ok(network) => (true, format!("network {network}")),
                Err(error) => (false, error.to_string()),
            };
            let advice = "put a configuration list into conf_dir and its plugins into bin_dirs";
            vec![Finding {
                what: "CNI configuration",
                ok,
                detail,
                advice,
            }]
        }
        Mode::Host => Vec::new(),
    }
}

fn finding(what: &'static str, found: Result<String, String>, advice: &'static str) -> Finding {
    let ok = found.is_ok();
    let detail = found.unwrap_or_else(|problem| problem);
    Finding {
        what,
        ok,
        detail,
        advice,
    }
}

/// The program, and the kernel's side of it: all rules are loaded into a network namespace that is
/// thrown away.
fn nft(config: &NetworkConfig, bridge: &BridgeConfig) -> Finding {
    let ruleset = Ruleset {
        owner: Owner::new(&config.owner),
        bridge: bridge.clone(),
        policy: config.policy.clone(),
    };
    let found = ask_nft(&["--version"]).and_then(|version| {
        try_elsewhere(ruleset.load(&[]))?;
        Ok(format!("{version}; the kernel takes all rules"))
    });
    finding(
        "nft",
        found,
        "install the package nftables; the kernel needs nf_tables for inet and bridge, with nat, fib, ct and connlimit",
    )
}

/// Runs a transaction in a network namespace that ends with its thread.
fn try_elsewhere(transaction: String) -> Result<(), String> {
    let attempt = move || {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("make a network namespace: {error}"))?;
        nft_tool::run(&transaction, &AtomicU32::default()).map_err(|error| error.to_string())
    };
    std::thread::spawn(attempt)
        .join()
        .unwrap_or_else(|_| Err("the attempt failed".to_owned()))
}

fn forwarding() -> Finding {
    let found = sysctl::get("ipv4/ip_forward")
        .map_err(|error| error.to_string())
        .map(|value| {
            if value == "1" {
                "on"
            } else {
                "off; will be switched on"
            }
            .to_owned()
        });
    finding(
        "IPv4 forwarding",
        found,
        "mount /proc/sys writable for the agent",
    )
}

/// Another firewall's chain that drops what is forwarded stops our packets too: an `accept` of
/// ours ends our own chain only.
fn foreign_policy() -> Finding {
    let found = ask_nft(&["list", "chains"]).and_then(|chains| {
        let dropping = chains
            .lines()
            .find(|line| line.contains("hook forward") && line.contains("policy drop"));
        match dropping {
            None => Ok("no other firewall drops forwarded packets by default".to_owned()),
            Some(line) => Err(format!(
                "another firewall drops forwarded packets: {}",
                line.trim()
            )),
        }
    });
    finding(
        "forwarding rules of others",
        found,
        "allow packets to and from the bridge there (for Docker: in its DOCKER-USER chain)",
    )
}

fn bridge_name(bridge: &BridgeConfig, owner: &Owner) -> Finding {
    let links = Netlink::open(libc::NETLINK_ROUTE)
        .map_err(|error| error.to_string())
        .and_then(|mut socket| route::links(&mut socket).map_err(|error| error.to_string()));
    let found = links.and_then(
        |links| match links.iter().find(|link| link.name == bridge.name) {
            None => Ok(format!("{} is free", bridge.name)),
            Some(link) if link.alias == owner.bridge_alias() => {
                Ok(format!("{} is ours", bridge.name))
            }
            Some(link) => Err(format!(
                "{} exists and is not ours (alias {:?})",
                link.name, link.alias
            )),
        },
    );
    finding("bridge name", found, "set network.bridge to another name")
}

/// Whether the host already reaches other machines within the subnet.
fn subnet(bridge: &BridgeConfig) -> Finding {
    let subnet = bridge.subnet.trunc();
    let found = read(Path::new("/proc/thread-self/net/route"))
        .map(|table| overlapping(&table, bridge))
        .and_then(|overlap| match overlap {
            None => Ok(format!("{subnet} is not in use")),
            Some(link) => Err(format!("{subnet} overlaps a route over {link}")),
        });
    finding(
        "subnet",
        found,
        "set network.subnet to a range that is used nowhere else",
    )
}

/// The link of a route of the kernel's route table that overlaps the bridge's subnet, if any.
fn overlapping(table: &str, bridge: &BridgeConfig) -> Option<String> {
    let subnet = bridge.subnet.trunc();
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [link, destination, _, _, _, _, _, mask, ..] = fields[..] else {
            return None;
        };
        // The kernel prints addresses as numbers in host order of their network order bytes.
        let address = |hex: &str| {
            u32::from_str_radix(hex, 16)
                .ok()
                .map(|n| std::net::Ipv4Addr::from(n.to_ne_bytes()))
        };
        let net = ipnet::Ipv4Net::with_netmask(address(destination)?, address(mask)?).ok()?;
        let overlaps = net.contains(&subnet.network()) || subnet.contains(&net.network());
        (net.prefix_len() > 0 && overlaps && link != bridge.name).then(|| link.to_owned())
    })
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// What nft says, or why it does not.
fn ask_nft(args: &[&str]) -> Result<String, String> {
    let output = Command::new(PathBuf::from(PROGRAM))
        .args(args)
        .env("PATH", crate::SYSTEM_PATH)
        .output()
        .map_err(|error| format!("{PROGRAM}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn overlaps() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                     br9\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        for (subnet, name, link) in [
            ("10.88.0.0/16", "burstlet0", Some("br9")),
            ("10.88.3.0/24", "burstlet0", Some("br9")),
            ("10.0.0.0/8", "burstlet0", Some("br9")),
            ("10.88.0.0/16", "br9", None),
            ("10.89.0.0/16", "burstlet0", None),
            ("192.168.1.128/25", "burstlet0", Some("eth0")),
        ] {
            let bridge = BridgeConfig {
                name: name.to_owned(),
                subnet: subnet.parse().unwrap(),
                mtu: None,
            };
            assert_eq!(
                overlapping(table, &bridge).as_deref(),
                link,
                "{subnet} {name}"
            );
        }
    }
}
