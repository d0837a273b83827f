//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a group.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::chown;

use burstlet_model::spec::GroupSpec;
use burstlet_network::files::{
    HostsInput, NodeDns, ResolvConf, ResolvInput, hosts, hosts_on_host_network, resolv_conf,
};
use burstlet_supervisor::host::HostError;

use super::layout::Layout;
use super::sandbox::disk;

/// The files' names, as in `/etc`.
pub(super) const NAMES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// Writes all three, owned by the group. Blocks.
pub(super) fn write(
    layout: &Layout,
    spec: &GroupSpec,
    addresses: &[IpAddr],
    dns: Option<&NodeDns>,
    id_base: u32,
) -> Result<(), HostError> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let host_network = spec.network.host_network;
    let hosts = if host_network {
        hosts_on_host_network(&read("/etc/hosts"), &spec.host_aliases)
    } else {
        hosts(HostsInput {
            addresses,
            hostname: &spec.hostname,
            domain: spec.domain.as_deref(),
            aliases: &spec.host_aliases,
        })
    };
    let host = ResolvConf::parse(&read("/etc/resolv.conf"));
    let resolv = resolv_conf(ResolvInput {
        spec: &spec.dns,
        host: &host,
        node: dns,
        host_network,
    });
    let texts = [hosts, format!("{}\n", spec.hostname), resolv.text()];
    for (name, text) in NAMES.iter().zip(texts) {
        let path = layout.file(name);
        let written =
            fs::write(&path, text).and_then(|()| chown(&path, Some(id_base), Some(id_base)));
        written.map_err(|error| disk(&path, &error))?;
    }
    Ok(())
}
