//! Links, addresses, routes and neighbours: each request as a value, carried out in batches.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use ipnet::Ipv4Net;
use netlink_packet_core::{
    Emitable as _, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    Parseable as _,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoBridge, InfoBridgePort,
    InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Answer, Message, Netlink};
use crate::NetworkError;
use crate::plan::Mac;

/// One request of a batch.
pub(crate) struct Request {
    message: RouteNetlinkMessage,
    flags: u16,
    doing: String,
    tolerates_absence: bool,
}

impl Request {
    /// The same request; that what it is about is not there counts as success.
    pub(crate) fn tolerating_absence(self) -> Self {
        Self {
            tolerates_absence: true,
            ..self
        }
    }
}

/// A link as a dump shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) alias: String,
    pub(crate) mac: Vec<u8>,
    pub(crate) master: Option<u32>,
    pub(crate) up: bool,
    pub(crate) is_bridge: bool,
    pub(crate) traffic: Traffic,
}

/// What has gone over a link, as its own end counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) received_packets: u64,
    pub(crate) sent_packets: u64,
}

/// Requests that are sent in one system call: their answers must fit the socket's buffer.
const BATCH_REQUESTS_MAX: usize = 128;

/// Carries out `requests` in order, many in one system call. The first failure is returned; it does
/// not keep those sent with it from being tried.
pub(crate) fn run(netlink: &mut Netlink, requests: &[Request]) -> Result<(), NetworkError> {
    requests
        .chunks(BATCH_REQUESTS_MAX)
        .try_for_each(|batch| run_batch(netlink, batch))
}

fn run_batch(netlink: &mut Netlink, requests: &[Request]) -> Result<(), NetworkError> {
    let failed = |request: &Request, source| {
        Err(NetworkError::Netlink {
            doing: request.doing.clone(),
            source,
        })
    };
    let Some(first) = requests.first() else {
        return Ok(());
    };
    let mut batch = Vec::new();
    let mut sequences = Vec::with_capacity(requests.len());
    for request in requests {
        sequences.push(write(
            netlink,
            &mut batch,
            &request.message,
            request.flags | NLM_F_ACK,
        ));
    }
    let answers = match netlink.exchange(&batch) {
        Ok(answers) => answers,
        Err(error) => return failed(first, error),
    };
    for (request, sequence) in requests.iter().zip(sequences) {
        let verdict = answers
            .iter()
            .filter(|answer| answer.sequence == sequence)
            .find_map(Answer::verdict)
            .unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
        match verdict {
            Err(error) if request.tolerates_absence && is_absence(&error) => {}
            Err(error) => return failed(request, error),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// A link that is not there is "no such device" to the kernel, anything else "no such entry".
fn is_absence(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT))
}

/// All links of the namespace.
pub(crate) fn links(netlink: &mut Netlink) -> Result<Vec<Link>, NetworkError> {
    let failed = |source| NetworkError::Netlink {
        doing: "list links".to_owned(),
        source,
    };
    let mut batch = Vec::new();
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    write(netlink, &mut batch, &request, NLM_F_DUMP);
    let mut links = Vec::new();
    for answer in netlink.exchange(&batch).map_err(failed)? {
        match answer.verdict() {
            Some(verdict) => verdict.map_err(failed)?,
            // A kind of link that the parser does not know is none of ours.
            None => links.extend(LinkMessage::parse(&answer.body[..]).ok().map(Link::of)),
        }
    }
    Ok(links)
}

/// A bridge that learns nothing and floods nothing by itself: its ports' addresses are told to it.
pub(crate) fn add_bridge(name: &str, mac: Mac, mtu: Option<u32>) -> Request {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Address(mac.0.to_vec()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(vec![
                InfoBridge::StpState(BridgeStpState::Disabled),
                InfoBridge::ForwardDelay(0),
                InfoBridge::MulticastSnooping(false),
            ])),
        ]),
    ];
    message.attributes.extend(mtu.map(LinkAttribute::Mtu));
    Request::create(
        RouteNetlinkMessage::NewLink(message),
        format!("make bridge {name}"),
    )
}

/// The two ends of a group's link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Veth<'a> {
    pub(crate) host: &'a str,
    pub(crate) inside: &'a str,
    pub(crate) mac: Mac,
    pub(crate) mtu: Option<u32>,
    pub(crate) bridge: u32,
}

/// A link whose inner end is born in `netns`: moving it there later costs fifty times as much.
pub(crate) fn add_veth(veth: Veth<'_>, netns: BorrowedFd<'_>) -> Request {
    let mtu = veth.mtu.map(LinkAttribute::Mtu);
    let mut peer = LinkMessage::default();
    peer.attributes = vec![
        LinkAttribute::IfName(veth.inside.to_owned()),
        LinkAttribute::Address(veth.mac.0.to_vec()),
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
    ];
    peer.attributes.extend(mtu.clone());
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(veth.host.to_owned()),
        LinkAttribute::Controller(veth.bridge),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ];
    message.attributes.extend(mtu);
    Request::create(
        RouteNetlinkMessage::NewLink(message),
        format!("make link {}", veth.host),
    )
}

/// Makes a link a port to which nothing is sent but what is meant for it, and brings it up.
///
/// The ports are not isolated from each other by the bridge, but by the ruleset: where
/// `br_netfilter` is on, the kernel sends a packet that address translation has turned round on the
/// same bridge from port to port, even to the one it came from, after it has passed the rules.
pub(crate) fn set_port(index: u32, name: &str, alias: &str) -> Request {
    let mut message = up_message(index);
    message.attributes = vec![
        LinkAttribute::IfAlias(alias.to_owned()),
        // A port needs no address of its own.
        LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
            In6AddrGenMode::None,
        )])]),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![
                InfoBridgePort::HairpinMode(true),
                InfoBridgePort::Learning(false),
                InfoBridgePort::UnicastFlood(false),
                InfoBridgePort::MulticastFlood(false),
                InfoBridgePort::BroadcastFlood(false),
                InfoBridgePort::Guard(true),
            ])),
        ]),
    ];
    Request::change(
        RouteNetlinkMessage::NewLink(message),
        format!("set up bridge port {name}"),
    )
}

/// Makes a link a port of a bridge.
pub(crate) fn set_master(index: u32, bridge: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = vec![LinkAttribute::Controller(bridge)];
    let doing = format!("make link {index} a port of bridge {bridge}");
    Request::change(RouteNetlinkMessage::SetLink(message), doing)
}

/// Names a link's purpose.
pub(crate) fn set_alias(index: u32, alias: &str) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = vec![LinkAttribute::IfAlias(alias.to_owned())];
    Request::change(
        RouteNetlinkMessage::SetLink(message),
        format!("name link {index} {alias}"),
    )
}

/// Brings a link up.
pub(crate) fn set_up(index: u32) -> Request {
    let message = RouteNetlinkMessage::SetLink(up_message(index));
    Request::change(message, format!("bring link {index} up"))
}

/// Deletes a link. Slow (the kernel waits for a grace period): never on the way to a start.
pub(crate) fn delete_link(index: u32, name: &str) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    Request::change(
        RouteNetlinkMessage::DelLink(message),
        format!("delete link {name}"),
    )
}

/// Gives a link an address.
pub(crate) fn add_address(index: u32, address: Ipv4Addr, prefix_len: u8) -> Request {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = prefix_len;
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(IpAddr::V4(address)),
        AddressAttribute::Address(IpAddr::V4(address)),
    ];
    let doing = format!("give link {index} the address {address}/{prefix_len}");
    Request::replace(RouteNetlinkMessage::NewAddress(message), doing)
}

/// A route to `to` over a link, by a gateway if there is one.
pub(crate) fn add_route(index: u32, to: Ipv4Net, gateway: Option<Ipv4Addr>) -> Request {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = to.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    message.header.scope = if gateway.is_some() {
        RouteScope::Universe
    } else {
        RouteScope::Link
    };
    message.attributes = vec![RouteAttribute::Oif(index)];
    if to.prefix_len() > 0 {
        message
            .attributes
            .push(RouteAttribute::Destination(RouteAddress::Inet(
                to.network(),
            )));
    }
    let gateway = gateway.map(RouteAddress::Inet).map(RouteAttribute::Gateway);
    message.attributes.extend(gateway);
    let doing = format!("add a route to {to} over link {index}");
    Request::replace(RouteNetlinkMessage::NewRoute(message), doing)
}

/// Tells a link a neighbour's Ethernet address for good, so that nobody is ever asked.
pub(crate) fn add_neighbour(index: u32, address: Ipv4Addr, mac: Mac) -> Request {
    let mut message = neighbour_message(index, AddressFamily::Inet);
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
        NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()),
    ];
    let doing = format!("tell link {index} the neighbour {address}");
    Request::replace(RouteNetlinkMessage::NewNeighbour(message), doing)
}

/// Takes back [`add_neighbour`].
pub(crate) fn delete_neighbour(index: u32, address: Ipv4Addr) -> Request {
    let mut message = neighbour_message(index, AddressFamily::Inet);
    message.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::Inet(
        address,
    ))];
    let doing = format!("forget the neighbour {address} of link {index}");
    Request::change(RouteNetlinkMessage::DelNeighbour(message), doing)
}

/// Tells the bridge behind which port an Ethernet address is.
pub(crate) fn add_forwarding(port: u32, mac: Mac) -> Request {
    let mut message = neighbour_message(port, AddressFamily::Bridge);
    message.header.flags = NeighbourFlags::Controller;
    message.header.state = NeighbourState::Noarp;
    message.attributes = vec![NeighbourAttribute::LinkLayerAddress(mac.0.to_vec())];
    let doing = format!("tell the bridge that {mac} is behind port {port}");
    Request::replace(RouteNetlinkMessage::NewNeighbour(message), doing)
}

impl Request {
    fn create(message: RouteNetlinkMessage, doing: String) -> Self {
        Self {
            message,
            flags: NLM_F_CREATE | NLM_F_EXCL,
            doing,
            tolerates_absence: false,
        }
    }

    fn replace(message: RouteNetlinkMessage, doing: String) -> Self {
        Self {
            message,
            flags: NLM_F_CREATE | NLM_F_REPLACE,
            doing,
            tolerates_absence: false,
        }
    }

    fn change(message: RouteNetlinkMessage, doing: String) -> Self {
        Self {
            message,
            flags: 0,
            doing,
            tolerates_absence: false,
        }
    }
}

impl Link {
    fn of(message: LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            up: message.header.flags.contains(LinkFlags::Up),
            ..Self::default()
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::IfAlias(alias) => link.alias = alias,
                LinkAttribute::Address(mac) => link.mac = mac,
                LinkAttribute::Controller(master) => link.master = Some(master),
                LinkAttribute::LinkInfo(infos) => {
                    link.is_bridge = infos.contains(&LinkInfo::Kind(InfoKind::Bridge));
                }
                LinkAttribute::Stats64(stats) => {
                    link.traffic = Traffic {
                        received: stats.rx_bytes,
                        sent: stats.tx_bytes,
                        received_packets: stats.rx_packets,
                        sent_packets: stats.tx_packets,
                    };
                }
                _ => {}
            }
        }
        link
    }
}

fn up_message(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

fn neighbour_message(index: u32, family: AddressFamily) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message
}

/// Appends a request to a batch and returns its sequence number.
fn write(
    netlink: &mut Netlink,
    batch: &mut Vec<u8>,
    message: &RouteNetlinkMessage,
    flags: u16,
) -> u32 {
    let sequence = netlink.next_sequence();
    let mut body = vec![0; message.buffer_len()];
    message.emit(&mut body);
    let header = Message {
        kind: message.message_type(),
        flags: flags | NLM_F_REQUEST,
        sequence,
    };
    header.write(batch, |out| out.append(&mut body));
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's word for a link that is not there has no kind of its own in the library.
    #[test]
    fn a_link_that_went_meanwhile_is_absent() {
        let absent = |code| is_absence(&io::Error::from_raw_os_error(code));
        assert!(absent(libc::ENODEV) && absent(libc::ENOENT));
        assert!(!absent(libc::EPERM) && !absent(libc::EBUSY));
        assert!(!is_absence(&io::ErrorKind::UnexpectedEof.into()));
    }
}
