//! The bridge itself, and what it needs of the host.

use std::io::ErrorKind;
use std::path::PathBuf;

use tracing::{info, warn};

use super::{Bridge, link_index};
use crate::kernel::Kernel;
use crate::netlink::route::{self, Link};
use crate::plan::{ALIAS_PREFIX, Mac};
use crate::{NetworkError, nft_tool, sysctl};

/// What the whole host needs: forwarding, and no advice to groups to talk to each other directly.
/// The latter leaves other interfaces as they are: each has its own switch, which is on by default.
const HOST_SETTINGS: [(&str, &str); 2] = [
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
];

impl Bridge {
    /// Makes the bridge, or takes over the one that is there, and sets it up.
    pub(super) fn ensure_bridge(&self, kernel: &mut Kernel) -> Result<(), NetworkError> {
        let name = &self.config.name;
        let gateway = self.gateway();
        let make = route::add_bridge(name, Mac::of(gateway), self.config.mtu);
        match route::run(&mut kernel.route, &[make]) {
            Err(NetworkError::Netlink { source, .. })
                if source.kind() == ErrorKind::AlreadyExists =>
            {
                self.check_ours(kernel)?;
            }
            done => done?,
        }
        let index = link_index(name)?;
        // Before the bridge is up, so that it never has an address of its own choice.
        sysctl::set_if_present(&format!("ipv6/conf/{name}/disable_ipv6"), "1")?;
        sysctl::set(&format!("ipv4/conf/{name}/send_redirects"), "0")?;
        let requests = [
            route::set_alias(index, &self.owner.bridge_alias()),
            route::add_address(index, gateway, self.config.subnet.prefix_len()),
            route::set_up(index),
        ];
        route::run(&mut kernel.route, &requests)?;
        self.set_host()
    }

    /// Removes everything: links, bridge, rules, and restores the kernel's parameters.
    /// What fails is told at the end; the rest is done all the same.
    pub(crate) fn teardown(&self, kernel: &mut Kernel) -> Result<(), NetworkError> {
        self.lock().attached.clear();
        let links = route::links(&mut kernel.route)?;
        let mut results: Vec<Result<(), NetworkError>> = Vec::new();
        let bridge = links
            .iter()
            .find(|link| link.name == self.config.name && self.is_ours(link));
        for link in self.ports(&links).chain(bridge) {
            let gone = route::delete_link(link.index, &link.name).tolerating_absence();
            results.push(route::run(&mut kernel.route, &[gone]));
        }
        results.push(nft_tool::run(&self.ruleset.unload(), &self.loader));
        results.push(self.restore_host(&links));
        results.into_iter().collect()
    }

    /// The host ends of groups' links among `links`.
    pub(super) fn ports<'a>(&self, links: &'a [Link]) -> impl Iterator<Item = &'a Link> {
        let prefix = self.owner.port_prefix();
        links
            .iter()
            .filter(move |link| link.name.starts_with(&prefix))
    }

    fn is_ours(&self, link: &Link) -> bool {
        link.is_bridge && link.alias == self.owner.bridge_alias()
    }

    /// A bridge without an alias is one that a crash has left half made, if it has our address.
    fn check_ours(&self, kernel: &mut Kernel) -> Result<(), NetworkError> {
        let links = route::links(&mut kernel.route)?;
        let Some(link) = links.iter().find(|link| link.name == self.config.name) else {
            return Ok(());
        };
        let half_made =
            link.is_bridge && link.alias.is_empty() && link.mac == Mac::of(self.gateway()).0;
        if self.is_ours(link) || half_made {
            return Ok(());
        }
        Err(NetworkError::LinkForeign {
            name: link.name.clone(),
            alias: link.alias.clone(),
        })
    }

    /// Sets what the whole host needs, and remembers what was there before.
    fn set_host(&self) -> Result<(), NetworkError> {
        for (name, value) in HOST_SETTINGS {
            let before = sysctl::get(name)?;
            if before == value {
                continue;
            }
            let note = self.note(name);
            std::fs::write(&note, &before).map_err(NetworkError::file("write", &note))?;
            info!(name, value, before, "setting a kernel parameter");
            sysctl::set(name, value)?;
        }
        Ok(())
    }

    /// Restores what this agent has set, unless another one needs it.
    fn restore_host(&self, links: &[Link]) -> Result<(), NetworkError> {
        let another = |link: &&Link| {
            link.is_bridge && link.alias.starts_with(ALIAS_PREFIX) && !self.is_ours(link)
        };
        let other = links.iter().find(another);
        for (name, _) in HOST_SETTINGS {
            let note = self.note(name);
            let Ok(before) = std::fs::read_to_string(&note) else {
                continue;
            };
            match other {
                Some(link) => warn!(name, bridge = %link.name, "another agent's bridge needs it"),
                None => sysctl::set(name, &before)?,
            }
            std::fs::remove_file(&note).map_err(NetworkError::file("remove", &note))?;
        }
        Ok(())
    }

    fn note(&self, name: &str) -> PathBuf {
        self.state_dir
            .join(format!("sysctl-{}.before", name.replace('/', ".")))
    }
}
