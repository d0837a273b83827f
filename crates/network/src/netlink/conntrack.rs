//! Forgetting the connections of an address that goes to another group.
//!
//! Rules let packets of known connections pass, so what the kernel knows of an address must not
//! outlive the group that had it.

use std::io;
use std::net::Ipv4Addr;

use super::attribute::{attribute, find, nested};
use super::{Answer, Message, Netlink};

/// Forgets every connection from or to `address`.
pub(crate) fn forget(netlink: &mut Netlink, address: Ipv4Addr) -> io::Result<()> {
    for side in [Side::Original, Side::Reply] {
        match flush(netlink, side, address) {
            // A kernel that does not filter here takes the address for half a tuple.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                for tuple in connections(netlink, side, address)? {
                    delete(netlink, &tuple)?;
                }
            }
            flushed => flushed?,
        }
    }
    Ok(())
}

/// Whose first packet a connection is looked at by: what an address has opened, and what it has
/// been the other end of.
#[derive(Clone, Copy, Debug)]
enum Side {
    Original,
    Reply,
}

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_FILTER: u16 = 25;
const CTA_TUPLE_IP: u16 = 1;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const CTA_FILTER_FLAG_IP_SRC: u32 = 1;

/// `struct nfgenmsg` for IPv4.
const NFGENMSG: [u8; 4] = [libc::AF_INET as u8, 0, 0, 0];

/// Lets the kernel find and forget the connections whose packets come from `address` on one side.
/// Asking for them would lock each bucket of its table, empty or not.
fn flush(netlink: &mut Netlink, side: Side, address: Ipv4Addr) -> io::Result<()> {
    let body = filter(side, address);
    match exchange(netlink, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, &body) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The original tuples, as the kernel encodes them, of the connections whose packets come from
/// `address` on one side.
fn connections(netlink: &mut Netlink, side: Side, address: Ipv4Addr) -> io::Result<Vec<Vec<u8>>> {
    let (tuple, _) = side.attributes();
    let body = filter(side, address);
    let answers = exchange(netlink, IPCTNL_MSG_CT_GET, NLM_F_DUMP, &body)?;
    let of = |answer: &Answer| {
        let body = answer.body.get(NFGENMSG.len()..)?;
        // An older kernel passes over the filter and shows everything.
        let ip = find(find(body, tuple)?, CTA_TUPLE_IP)?;
        (find(ip, CTA_IP_V4_SRC)? == address.octets()).then_some(())?;
        find(body, CTA_TUPLE_ORIG).map(<[u8]>::to_vec)
    };
    Ok(answers.iter().filter_map(of).collect())
}

/// Asks for the connections whose packets come from `address` on one side.
fn filter(side: Side, address: Ipv4Addr) -> Vec<u8> {
    let (tuple, flags) = side.attributes();
    let mut body = NFGENMSG.to_vec();
    nested(&mut body, tuple, |out| {
        nested(out, CTA_TUPLE_IP, |out| {
            attribute(out, CTA_IP_V4_SRC, &address.octets());
        });
    });
    nested(&mut body, CTA_FILTER, |out| {
        for kind in [CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS] {
            let flag = if kind == flags {
                CTA_FILTER_FLAG_IP_SRC
            } else {
                0
            };
            attribute(out, kind, &flag.to_ne_bytes());
        }
    });
    body
}

impl Side {
    /// The attributes that name its tuple, and how that is compared.
    const fn attributes(self) -> (u16, u16) {
        match self {
            Self::Original => (CTA_TUPLE_ORIG, CTA_FILTER_ORIG_FLAGS),
            Self::Reply => (CTA_TUPLE_REPLY, CTA_FILTER_REPLY_FLAGS),
        }
    }
}

/// Forgets one connection; one that has just ended by itself is not an error.
fn delete(netlink: &mut Netlink, original: &[u8]) -> io::Result<()> {
    let mut body = NFGENMSG.to_vec();
    nested(&mut body, CTA_TUPLE_ORIG, |out| out.extend(original));
    match exchange(netlink, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, &body) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn exchange(netlink: &mut Netlink, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Answer>> {
    let header = Message {
        kind: NFNL_SUBSYS_CTNETLINK << 8 | kind,
        flags: flags | NLM_F_REQUEST,
        sequence: netlink.next_sequence(),
    };
    let mut request = Vec::new();
    header.write(&mut request, |out| out.extend(body));
    let answers = netlink.exchange(&request)?;
    answers
        .iter()
        .filter_map(Answer::verdict)
        .collect::<io::Result<()>>()?;
    Ok(answers)
}
