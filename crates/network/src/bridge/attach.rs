//! Giving a group its link.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use burstlet_failpoint::{Point, reach};
use ipnet::Ipv4Net;
use tracing::debug;

use super::{Bridge, INSIDE_NAME, State, link_index};
use crate::kernel::Kernel;
use crate::lease::Lease;
use crate::netlink::Netlink;
use crate::netlink::route::{self, Veth};
use crate::plan::{Mac, elements};
use crate::{NetworkError, sysctl};

/// The kernel's word for "the bridge has no free port".
const EXFULL: i32 = libc::EXFULL;

/// Everything the steps of one attach need to know.
struct Attach<'a> {
    lease: &'a Lease,
    mac: Mac,
    port: String,
    netns: BorrowedFd<'a>,
}

impl Bridge {
    /// Connects the group's network namespace. Doing it again keeps what stands.
    ///
    /// The group's rules come first: a link without rules carries nothing, so no order is unsafe,
    /// but this one loses no packet either.
    pub(crate) fn attach(
        &self,
        kernel: &mut Kernel,
        lease: &Lease,
        netns: &OwnedFd,
    ) -> Result<(), NetworkError> {
        let Some(address) = lease.address else {
            return Err(NetworkError::LeaseOfOtherMode(lease.uid.clone()));
        };
        let attach = Attach {
            lease,
            mac: Mac::of(address),
            port: self.owner.port(&lease.uid),
            netns: netns.as_fd(),
        };
        self.add_rules(kernel, lease, address)?;
        reach(Point::RulesAdded);
        let bridge = self.bridge_index()?;
        kernel.inside(attach.netns, lease.uid.as_str(), restrain_links)?;
        self.make_link(kernel, &attach, bridge)?;
        reach(Point::LinkMade);
        let port = link_index(&attach.port)?;
        let alias = self.owner.port_alias(&lease.uid);
        let requests = [
            route::set_port(port, &attach.port, &alias),
            route::add_forwarding(port, attach.mac),
            route::add_neighbour(bridge, address, attach.mac),
        ];
        route::run(&mut kernel.route, &requests)?;
        let gateway = self.gateway();
        kernel.inside(attach.netns, lease.uid.as_str(), || {
            set_up_inside(address, gateway)
        })?;
        debug!(uid = %lease.uid, %address, port = %attach.port, "group attached");
        Ok(())
    }

    /// Adds the group's elements; if the tables have been taken away, loads them all anew.
    fn add_rules(
        &self,
        kernel: &mut Kernel,
        lease: &Lease,
        address: Ipv4Addr,
    ) -> Result<(), NetworkError> {
        let mut state = self.lock();
        state.attached.insert(lease.uid.clone(), lease.clone());
        let State { marks, .. } = &mut *state;
        let elements = elements(&self.owner, lease, address, marks.of(lease));
        match self.add_elements(kernel, &mut state, &elements) {
            Ok(()) => Ok(()),
            Err(error) => {
                debug!(%error, "loading all rules anew");
                self.load_rules(kernel, &mut state)
            }
        }
    }

    fn make_link(
        &self,
        kernel: &mut Kernel,
        attach: &Attach<'_>,
        bridge: u32,
    ) -> Result<(), NetworkError> {
        let make = |kernel: &mut Kernel| {
            let veth = Veth {
                host: &attach.port,
                inside: INSIDE_NAME,
                mac: attach.mac,
                mtu: self.config.mtu,
                bridge,
            };
            let request = route::add_veth(veth, attach.netns);
            route::run(&mut kernel.route, &[request]).map_err(|error| self.name_full(error))
        };
        match make(kernel) {
            Err(NetworkError::Netlink { source, .. })
                if source.kind() == ErrorKind::AlreadyExists =>
            {
                let mac = attach.mac;
                if kernel.inside(attach.netns, attach.lease.uid.as_str(), || {
                    stands_inside(mac)
                })? {
                    return Ok(());
                }
                self.clear_leftover(kernel, attach)?;
                make(kernel)
            }
            done => done,
        }
    }

    /// Deletes the link of a network namespace that has not quite gone yet.
    fn clear_leftover(&self, kernel: &mut Kernel, attach: &Attach<'_>) -> Result<(), NetworkError> {
        let links = route::links(&mut kernel.route)?;
        let Some(link) = links.into_iter().find(|link| link.name == attach.port) else {
            return Ok(());
        };
        // A crash may have come between making a link and naming it.
        if !link.alias.is_empty() && link.alias != self.owner.port_alias(&attach.lease.uid) {
            return Err(NetworkError::LinkForeign {
                name: link.name,
                alias: link.alias,
            });
        }
        let gone = route::delete_link(link.index, &link.name).tolerating_absence();
        route::run(&mut kernel.route, &[gone])
    }

    fn name_full(&self, error: NetworkError) -> NetworkError {
        match error {
            NetworkError::Netlink { source, .. } if source.raw_os_error() == Some(EXFULL) => {
                NetworkError::BridgeFull {
                    bridge: self.config.name.clone(),
                }
            }
            other => other,
        }
    }
}

/// Whether the calling thread's network namespace has the group's end of a link already.
fn stands_inside(mac: Mac) -> Result<bool, NetworkError> {
    let links = route::links(&mut open_inside()?)?;
    Ok(links
        .iter()
        .any(|link| link.name == INSIDE_NAME && link.mac == mac.0))
}

/// Says what holds for links that are made in the calling thread's network namespace: no IPv6, so
/// no router can announce itself to the group, and no redirects. A link that is there already could
/// be told so only under the lock of all links, for which the kernel lets us spin.
fn restrain_links() -> Result<(), NetworkError> {
    sysctl::set_if_present("ipv6/conf/default/disable_ipv6", "1")?;
    sysctl::set_if_present("ipv6/conf/default/accept_ra", "0")?;
    for who in ["all", "default"] {
        sysctl::set(&format!("ipv4/conf/{who}/accept_redirects"), "0")?;
    }
    Ok(())
}

/// Loopback, address, default route and the gateway's Ethernet address, in the calling thread's
/// network namespace.
fn set_up_inside(address: Ipv4Addr, gateway: Ipv4Addr) -> Result<(), NetworkError> {
    let mut netlink = open_inside()?;
    let index = link_index(INSIDE_NAME)?;
    let requests = [
        route::set_up(LOOPBACK_INDEX),
        route::add_address(index, address, 32),
        route::set_up(index),
        route::add_route(index, Ipv4Net::from(gateway), None),
        route::add_route(index, Ipv4Net::default(), Some(gateway)),
        route::add_neighbour(index, gateway, Mac::of(gateway)),
    ];
    route::run(&mut netlink, &requests)
}

/// The loopback link is the first of every network namespace.
const LOOPBACK_INDEX: u32 = 1;

fn open_inside() -> Result<Netlink, NetworkError> {
    Netlink::open(libc::NETLINK_ROUTE).map_err(|source: io::Error| NetworkError::Netlink {
        doing: "open a netlink socket in a group's network namespace".to_owned(),
        source,
    })
}
