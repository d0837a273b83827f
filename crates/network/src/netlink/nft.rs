//! Elements of nft sets, added and removed in one transaction, without a process.
//!
//! Only this one thing is encoded here. Everything else about the ruleset goes through `nft`,
//! which knows it best; that sets and elements agree is shown by the privileged tests, where `nft`
//! lists what this module has added.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::attribute::{attribute, nested};
use super::{Answer, Message, Netlink};
use crate::plan::{Element, Owner, protocol_number};
use crate::ruleset::Family;

/// Whether elements come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add,
    Remove,
}

/// Changes all `elements` or, on error, none.
pub(crate) fn change(
    netlink: &mut Netlink,
    owner: &Owner,
    change: Change,
    elements: &[Element],
) -> io::Result<()> {
    if elements.is_empty() {
        return Ok(());
    }
    let batch = batch(netlink, &owner.table(), change, elements);
    let answers = netlink.exchange(&batch)?;
    if answers.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    answers.iter().filter_map(Answer::verdict).collect()
}

/// Removes `elements`, whether they are there or not.
pub(crate) fn remove_lenient(
    netlink: &mut Netlink,
    owner: &Owner,
    elements: &[Element],
) -> io::Result<()> {
    match change(netlink, owner, Change::Remove, elements) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    for element in elements {
        match change(
            netlink,
            owner,
            Change::Remove,
            std::slice::from_ref(element),
        ) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The number of transactions that the namespace's ruleset has seen, anybody's.
pub(crate) fn generation(netlink: &mut Netlink) -> io::Result<u32> {
    let mut request = Vec::new();
    let message = Message {
        sequence: netlink.next_sequence(),
        ..table_message(NFT_MSG_GETGEN)
    };
    message.write(&mut request, |out| out.extend(nfgenmsg(libc::AF_UNSPEC, 0)));
    for answer in netlink.exchange(&request)? {
        if let Some(verdict) = answer.verdict() {
            verdict?;
        } else if let Some(id) = answer.body.get(GEN_ID_AT..).and_then(<[u8]>::first_chunk) {
            return Ok(u32::from_be_bytes(*id));
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

pub(super) const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFT_MSG_GETGEN: u16 = 16;

/// Length of `struct nfgenmsg`.
pub(super) const NFGENMSG_BYTES: usize = 4;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const NFPROTO_INET: libc::c_int = 1;

const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;

/// After `nfgenmsg` and an attribute's header; `NFTA_GEN_ID` is the first attribute.
const GEN_ID_AT: usize = 8;
const IFNAME_BYTES: usize = 16;

const fn table_message(kind: u16) -> Message {
    Message {
        kind: NFNL_SUBSYS_NFTABLES << 8 | kind,
        flags: NLM_F_REQUEST,
        sequence: 0,
    }
}

fn batch(netlink: &mut Netlink, table: &str, change: Change, elements: &[Element]) -> Vec<u8> {
    let (kind, flags) = match change {
        Change::Add => (NFT_MSG_NEWSETELEM, NLM_F_REQUEST | NLM_F_CREATE),
        Change::Remove => (NFT_MSG_DELSETELEM, NLM_F_REQUEST),
    };
    let mut out = Vec::with_capacity(128 * (elements.len() + 1));
    bound(&mut out, NFNL_MSG_BATCH_BEGIN, netlink.next_sequence());
    for (index, element) in elements.iter().enumerate() {
        // Errors are always told; of success, the last element's stands for all.
        let last = index + 1 == elements.len();
        let flags = if last { flags | NLM_F_ACK } else { flags };
        let family = match element.set().family() {
            Family::Bridge => libc::AF_BRIDGE,
            Family::Inet => NFPROTO_INET,
        };
        let sequence = netlink.next_sequence();
        Message {
            flags,
            sequence,
            ..table_message(kind)
        }
        .write(&mut out, |out| {
            out.extend(nfgenmsg(family, 0));
            encode(out, table, element);
        });
    }
    bound(&mut out, NFNL_MSG_BATCH_END, netlink.next_sequence());
    out
}

fn bound(out: &mut Vec<u8>, kind: u16, sequence: u32) {
    let message = Message {
        kind,
        flags: NLM_F_REQUEST,
        sequence,
    };
    message.write(out, |out| {
        out.extend(nfgenmsg(libc::AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
    });
}

/// `struct nfgenmsg`: family, version 0, resource.
fn nfgenmsg(family: libc::c_int, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family as u8, 0, high, low]
}

fn encode(out: &mut Vec<u8>, table: &str, element: &Element) {
    let (key, data) = key_and_data(element);
    text(out, NFTA_SET_ELEM_LIST_TABLE, table);
    text(out, NFTA_SET_ELEM_LIST_SET, element.set().name());
    nested(out, NFTA_SET_ELEM_LIST_ELEMENTS, |out| {
        nested(out, NFTA_LIST_ELEM, |out| {
            nested(out, NFTA_SET_ELEM_KEY, |out| {
                attribute(out, NFTA_DATA_VALUE, &key);
            });
            if !data.is_empty() {
                nested(out, NFTA_SET_ELEM_DATA, |out| {
                    attribute(out, NFTA_DATA_VALUE, &data);
                });
            }
        });
    });
}

/// The registers that the kernel compares: each field padded to whole words. Marks are in host
/// order, what comes from packets in network order.
fn key_and_data(element: &Element) -> (Vec<u8>, Vec<u8>) {
    let ip = |address: Ipv4Addr| address.octets().to_vec();
    let number = |protocol| vec![protocol_number(protocol), 0, 0, 0];
    let word = |port: u16| [port.to_be_bytes(), [0, 0]].concat();
    match element {
        Element::Sender { port, mac, address } => {
            let mut name = port.as_bytes().to_vec();
            name.resize(IFNAME_BYTES, 0);
            let key = [&name[..], &mac.0, &[0, 0], &address.octets()].concat();
            (key, Vec::new())
        }
        Element::MarkOf { address, mark } => (ip(*address), mark.0.to_ne_bytes().to_vec()),
        Element::Member { mark, address } => (
            [mark.0.to_ne_bytes(), address.octets()].concat(),
            Vec::new(),
        ),
        Element::Open { address } | Element::Cluster { address } => (ip(*address), Vec::new()),
        Element::Exposed {
            address,
            protocol,
            port,
        } => (
            [ip(*address), number(*protocol), word(*port)].concat(),
            Vec::new(),
        ),
        Element::Published {
            host,
            address,
            port,
        } => {
            let at = match host.ip {
                Some(IpAddr::V4(at)) => ip(at),
                Some(IpAddr::V6(_)) | None => Vec::new(),
            };
            let key = [at, number(host.protocol), word(host.port.get())].concat();
            (key, [ip(*address), word(*port)].concat())
        }
    }
}

fn text(out: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(out, kind, &[text.as_bytes(), &[0]].concat());
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_model::spec::Protocol;

    use super::*;
    use crate::lease::HostPort;
    use crate::plan::{Mac, Mark};

    fn check(element: &Element, key: &[u8], data: &[u8]) {
        assert_eq!(
            key_and_data(element),
            (key.to_vec(), data.to_vec()),
            "{element:?}"
        );
    }

    /// As nft 1.0.6 itself sends them.
    #[test]
    fn registers() {
        let address = Ipv4Addr::new(10, 99, 0, 2);
        let [m0, m1, m2, m3] = 7u32.to_ne_bytes();
        check(
            &Element::Sender {
                port: "blabc".into(),
                mac: Mac::of(address),
                address,
            },
            b"blabc\0\0\0\0\0\0\0\0\0\0\0\x0a\x58\x0a\x63\x00\x02\0\0\x0a\x63\x00\x02",
            b"",
        );
        check(
            &Element::MarkOf {
                address,
                mark: Mark(7),
            },
            &[10, 99, 0, 2],
            &[m0, m1, m2, m3],
        );
        let member = Element::Member {
            mark: Mark(7),
            address,
        };
        check(&member, &[m0, m1, m2, m3, 10, 99, 0, 2], b"");
        let exposed = Element::Exposed {
            address,
            protocol: Protocol::Tcp,
            port: 80,
        };
        check(&exposed, &[10, 99, 0, 2, 6, 0, 0, 0, 0, 80, 0, 0], b"");
        let mut host = HostPort {
            ip: None,
            protocol: Protocol::Tcp,
            port: 8080.try_into().unwrap(),
        };
        let target = [10, 99, 0, 2, 0, 80, 0, 0];
        let published = Element::Published {
            host,
            address,
            port: 80,
        };
        check(&published, &[6, 0, 0, 0, 0x1f, 0x90, 0, 0], &target);
        host.ip = Some("192.0.2.1".parse().unwrap());
        let published = Element::Published {
            host,
            address,
            port: 80,
        };
        check(
            &published,
            &[192, 0, 2, 1, 6, 0, 0, 0, 0x1f, 0x90, 0, 0],
            &target,
        );
    }

    #[test]
    fn attributes_nest_and_pad() {
        let mut out = Vec::new();
        encode(
            &mut out,
            "t",
            &Element::Open {
                address: Ipv4Addr::new(10, 99, 0, 2),
            },
        );
        let mut expected = Vec::new();
        for (length, kind, value) in [
            (6u16, 1u16, &b"t\0\0\0"[..]),
            (9, 2, b"open\0\0\0\0"),
            (20, 0x8003, b""),
            (16, 0x8001, b""),
            (12, 0x8001, b""),
            (8, 1, &[10, 99, 0, 2]),
        ] {
            expected.extend(length.to_ne_bytes());
            expected.extend(kind.to_ne_bytes());
            expected.extend(value);
        }
        assert_eq!(out, expected);
    }
}
