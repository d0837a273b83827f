//! Hearing of changes to our rules when they are made, from the kernel's notifications.
//!
//! Each tells whose request it was, and which table it is about. What our own socket has changed is
//! no news; what the `nft` program has loaded for us is heard, and a look at the ruleset's
//! generation tells that it was us. Other programs' tables are theirs.

use std::future::pending;
use std::io;

use netlink_sys::{Socket, SocketAddr};
use tokio::io::unix::AsyncFd;
use tracing::warn;

use super::nft::{NFGENMSG_BYTES, NFNL_SUBSYS_NFTABLES};
use super::{Answer, DATAGRAM_BYTES_MAX, RECEIVE_BUFFER_BYTES, attribute, parse};

/// The group that tells of changes to nft rules.
const NFNLGRP_NFTABLES: u32 = 7;
/// The name of the table that a notification is about: the same number for tables, chains, rules,
/// sets and their elements.
const NFTA_TABLE: u16 = 1;
/// Datagrams read before others have their turn.
const DATAGRAMS_PER_TURN_MAX: usize = 256;

/// Listens for changes.
#[derive(Debug)]
pub(crate) struct Watch {
    socket: AsyncFd<Socket>,
    table: String,
    own: u32,
    deaf: bool,
}

impl Watch {
    /// Listens for changes to the tables of this name, but for those of the socket `own`, in the
    /// calling thread's network namespace.
    #[allow(
        deprecated,
        reason = "its successor is unsafe; the socket keeps its descriptor for as long as it lives"
    )]
    pub(crate) fn open(table: String, own: u32) -> io::Result<Self> {
        let mut socket = Socket::new(libc::NETLINK_NETFILTER as isize)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.set_rx_buf_sz(RECEIVE_BUFFER_BYTES as libc::c_int)?;
        socket.add_membership(NFNLGRP_NFTABLES)?;
        Ok(Self {
            socket: AsyncFd::new(socket)?,
            table,
            own,
            deaf: false,
        })
    }

    /// Waits until somebody else may have changed the tables. If nothing can be heard any more it
    /// waits forever.
    pub(crate) async fn meddled(&mut self) {
        while !self.deaf {
            match self.listen().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(
                        error,
                        "changes of the rules are seen from time to time only"
                    );
                    self.deaf = true;
                }
            }
        }
        pending::<()>().await;
    }

    /// Waits for notifications and reads those that are there; whether one is news.
    async fn listen(&self) -> io::Result<bool> {
        let mut ready = self.socket.readable().await?;
        let mut news = false;
        for _ in 0..DATAGRAMS_PER_TURN_MAX {
            match ready.try_io(|socket| receive(socket.get_ref())) {
                Err(_would_block) => return Ok(news),
                Ok(Ok(heard)) => news |= heard.iter().any(|one| self.is_news(one)),
                // More was told than fits the buffer: anything may have changed.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => news = true,
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
            }
        }
        Ok(news)
    }

    fn is_news(&self, heard: &Answer) -> bool {
        let about = heard
            .body
            .get(NFGENMSG_BYTES..)
            .and_then(|attributes| attribute::find(attributes, NFTA_TABLE))
            .and_then(|name| name.strip_suffix(&[0]));
        heard.kind >> 8 == NFNL_SUBSYS_NFTABLES
            && heard.port != self.own
            && about == Some(self.table.as_bytes())
    }
}

fn receive(socket: &Socket) -> io::Result<Vec<Answer>> {
    let mut datagram = Vec::with_capacity(DATAGRAM_BYTES_MAX);
    socket.recv(&mut datagram, 0)?;
    let mut heard = Vec::new();
    parse(&datagram, &mut heard)?;
    Ok(heard)
}
