//! Connections from inside the group's network, made without waiting for them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use burstlet_model::BootTime;
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, SockaddrStorage, getsockopt, sockopt,
};

use super::reactor::{Key, Token};
use super::state::Keeper;
use crate::protocol::{Failure, FailureClass, Reply};
use crate::sys::clock;

/// How long a connection may take.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// The most connections being made at once.
const DIALS_MAX: usize = 64;

/// A connection being made.
pub(super) struct Dial {
    call: u64,
    address: SocketAddr,
    fd: OwnedFd,
    key: Key,
    /// When it is given up.
    pub(super) deadline: BootTime,
}

impl Keeper {
    /// Begins a connection. The keeper is in the group's network namespace.
    pub(super) fn dial(&mut self, call: u64, address: SocketAddr) -> Result<(), Failure> {
        if self.dials.len() >= DIALS_MAX {
            return Err(Failure::new(
                FailureClass::Limit,
                "too many connections are being made",
            ));
        }
        let fd = begin(address).map_err(|error| refused(address, &error))?;
        let serial = self.serial();
        let key = self
            .reactor
            .add(&fd, Token::Dial(serial), EpollFlags::EPOLLOUT)
            .map_err(|error| refused(address, &error))?;
        let deadline = clock::now().boot + DIAL_LIMIT;
        self.dials.insert(
            serial,
            Dial {
                call,
                address,
                fd,
                key,
                deadline,
            },
        );
        Ok(())
    }

    /// A connection is made, or is not.
    pub(super) fn on_dial(&mut self, serial: u32) {
        let Some(dial) = self.dials.remove(&serial) else {
            return;
        };
        self.reactor.remove(&dial.fd, dial.key);
        let result = match getsockopt(&dial.fd, sockopt::SocketError) {
            Ok(0) => Ok((Reply::Done, vec![dial.fd])),
            Ok(code) => Err(refused(dial.address, &io::Error::from_raw_os_error(code))),
            Err(errno) => Err(refused(dial.address, &errno.into())),
        };
        self.answer(dial.call, result);
    }

    /// Gives up connections that take too long.
    pub(super) fn give_up_dials(&mut self, now: BootTime) {
        let late: Vec<u32> = self
            .dials
            .iter()
            .filter(|(_, d)| d.deadline <= now)
            .map(|(serial, _)| *serial)
            .collect();
        for serial in late {
            let Some(dial) = self.dials.remove(&serial) else {
                continue;
            };
            self.reactor.remove(&dial.fd, dial.key);
            let message = format!("connect to {}: no answer in {DIAL_LIMIT:?}", dial.address);
            self.answer(
                dial.call,
                Err(Failure::new(FailureClass::Deadline, message)),
            );
        }
    }
}

fn begin(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(family, SockType::Stream, flags, None)?;
    match socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
        Err(errno) => Err(errno.into()),
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    Failure::new(
        FailureClass::Unreachable,
        format!("connect to {address}: {error}"),
    )
}
