//! The connection to the client. There is one at a time: a new one takes over, so that an agent
//! that was killed is not in the way of the next.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::epoll::EpollFlags;

use super::reactor::{Key, Reactor, Token};
use crate::protocol::{Answer, Event, Failure, FrameError, Packed, Reply, encode};
use crate::sys::passing::{self, Packet};

/// How many messages wait for a client that does not read. One that is further behind is dropped:
/// it asks for a snapshot when it comes back.
const WAITING_MAX: usize = 1024;

/// A connected client.
pub(super) struct Control {
    fd: OwnedFd,
    key: Key,
    waiting: VecDeque<(Packed, Vec<OwnedFd>)>,
}

impl Control {
    /// Listens to a client.
    pub(super) fn new(reactor: &mut Reactor, fd: OwnedFd) -> io::Result<Self> {
        passing::set_nonblocking(&fd)?;
        let key = reactor.add(&fd, Token::Control, EpollFlags::EPOLLIN)?;
        Ok(Self {
            fd,
            key,
            waiting: VecDeque::new(),
        })
    }

    /// Lets the client go.
    pub(super) fn close(self, reactor: &mut Reactor) {
        reactor.remove(&self.fd, self.key);
    }

    /// Takes the next message; `None` at the end of the connection.
    pub(super) fn receive(&self) -> io::Result<Option<Packet>> {
        passing::receive(self.fd.as_fd())
    }

    /// Answers a request.
    pub(super) fn answer(
        &mut self,
        reactor: &Reactor,
        id: u64,
        result: Result<(Reply, Vec<OwnedFd>), Failure>,
    ) -> io::Result<()> {
        let (result, fds) = match result {
            Ok((reply, fds)) => (Ok(reply), fds),
            Err(failure) => (Err(failure), Vec::new()),
        };
        self.send(reactor, encode(&Answer { id, result }), fds)
    }

    /// Tells an event.
    pub(super) fn tell(&mut self, reactor: &Reactor, event: &Event) -> io::Result<()> {
        self.send(reactor, encode(event), Vec::new())
    }

    fn send(
        &mut self,
        reactor: &Reactor,
        packed: Result<Packed, FrameError>,
        fds: Vec<OwnedFd>,
    ) -> io::Result<()> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(io::Error::other("the client does not read"));
        }
        self.waiting
            .push_back((packed.map_err(io::Error::other)?, fds));
        self.flush(reactor)
    }

    /// Sends what waits, as far as the client takes it.
    pub(super) fn flush(&mut self, reactor: &Reactor) -> io::Result<()> {
        while let Some((packed, fds)) = self.waiting.front() {
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match passing::send(self.fd.as_fd(), packed, &borrowed) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let mut interest = EpollFlags::EPOLLIN;
        if !self.waiting.is_empty() {
            interest |= EpollFlags::EPOLLOUT;
        }
        reactor.change(&self.fd, self.key, interest);
        Ok(())
    }
}
