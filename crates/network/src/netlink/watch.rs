//! Hearing of changes to our rules when they are made, from the kernel's notifications.
//!
//! Each tells whose request it was, and which table it is about. What our own socket has changed is
//! no news, nor is what the `nft` program has loaded for us. Other programs' tables are theirs: a
//! kube-proxy changes its own all the time.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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
    /// The last `nft` that loaded rules for us; its socket has the process's number.
    loader: Arc<AtomicU32>,
    suspicious: bool,
    deaf: bool,
}

impl Watch {
    /// Listens for changes to the tables of this name, but for those of the socket `own` and of the
    /// process `loader`, in the calling thread's network namespace.
    #[allow(
        deprecated,
        reason = "its successor is unsafe; the socket keeps its descriptor for as long as it lives"
    )]
    pub(crate) fn open(table: String, own: u32, loader: Arc<AtomicU32>) -> io::Result<Self> {
        let mut socket = Socket::new(libc::NETLINK_NETFILTER as isize)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.set_rx_buf_sz(RECEIVE_BUFFER_BYTES as libc::c_int)?;
        socket.add_membership(NFNLGRP_NFTABLES)?;
        Ok(Self {
            socket: AsyncFd::new(socket)?,
            table,
            own,
            loader,
            suspicious: false,
            deaf: false,
        })
    }

    /// Whether somebody else may have changed the tables since this was asked last.
    pub(crate) fn take_suspicion(&mut self) -> bool {
        if !self.deaf {
            let heard = self.hear();
            self.settle(heard);
        }
        // All that it had to say is read; the next process of this number is another.
        self.loader.store(0, Ordering::Relaxed);
        std::mem::take(&mut self.suspicious) || self.deaf
    }

    /// Has the next question answered by yes.
    pub(crate) fn suspect(&mut self) {
        self.suspicious = true;
    }

    /// Waits until somebody else may have changed the tables. If nothing can be heard any more it
    /// waits forever.
    pub(crate) async fn meddled(&mut self) {
        while !self.deaf {
            let heard = match self.socket.readable().await {
                Ok(mut ready) => {
                    // What comes from here on makes it ready anew.
                    ready.clear_ready();
                    self.hear()
                }
                Err(error) => Err(error),
            };
            if self.settle(heard) {
                return;
            }
        }
        pending::<()>().await;
    }

    /// Keeps in mind what was heard; whether that was news.
    fn settle(&mut self, heard: io::Result<bool>) -> bool {
        match heard {
            Ok(news) => {
                self.suspicious |= news;
                news
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(
                    error,
                    "changes of the rules are seen from time to time only"
                );
                self.deaf = true;
                false
            }
        }
    }

    /// Reads the notifications that are there; whether one is news.
    fn hear(&self) -> io::Result<bool> {
        let mut news = false;
        for _ in 0..DATAGRAMS_PER_TURN_MAX {
            match receive(self.socket.get_ref()) {
                Ok(heard) => news |= heard.iter().any(|one| self.is_news(one)),
                // More was told than fits the buffer: anything may have changed.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => news = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(news),
                Err(error) => return Err(error),
            }
        }
        // Nobody knows what the rest says.
        Ok(true)
    }

    fn is_news(&self, heard: &Answer) -> bool {
        let about = heard
            .body
            .get(NFGENMSG_BYTES..)
            .and_then(|attributes| attribute::find(attributes, NFTA_TABLE))
            .and_then(|name| name.strip_suffix(&[0]));
        heard.kind >> 8 == NFNL_SUBSYS_NFTABLES
            && heard.port != self.own
            && heard.port != self.loader.load(Ordering::Relaxed)
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
