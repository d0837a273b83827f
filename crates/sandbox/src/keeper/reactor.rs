//! What the keeper waits for: one epoll instance, with a name for each source of events.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::sys::clock;

/// The most events taken at once.
const EVENTS_MAX: usize = 64;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A child changed.
    Signals,
    /// Somebody connects.
    Listener,
    /// The client says something, or can be told more.
    Control,
    /// A starting process speaks.
    Launch(u32),
    /// A container writes; which of its outputs.
    Output(u32, u8),
    /// A container can be given more input.
    Input(u32),
    /// An attached client gives input to a container.
    Source(u32),
    /// An attached client can be given more output: container, number of the sink.
    Sink(u32, u32),
    /// A connection is being made.
    Dial(u32),
}

/// One registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u64);

/// The sources and their names.
pub(super) struct Reactor {
    epoll: Epoll,
    tokens: HashMap<u64, Token>,
    next: u64,
}

impl Reactor {
    /// Waits for nothing yet.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            epoll,
            tokens: HashMap::new(),
            next: 0,
        })
    }

    /// Waits for `interest` in `fd` as well.
    pub(super) fn add(
        &mut self,
        fd: impl AsFd,
        token: Token,
        interest: EpollFlags,
    ) -> io::Result<Key> {
        let key = self.next;
        self.next += 1;
        self.epoll.add(fd, EpollEvent::new(interest, key))?;
        self.tokens.insert(key, token);
        Ok(Key(key))
    }

    /// Waits for something else in `fd`. Best effort: a source that cannot be changed shows its
    /// failure when it is used.
    pub(super) fn change(&self, fd: impl AsFd, key: Key, interest: EpollFlags) {
        let _ = self.epoll.modify(fd, &mut EpollEvent::new(interest, key.0));
    }

    /// Waits for `fd` no more. Events of it that were taken already are passed over.
    pub(super) fn remove(&mut self, fd: impl AsFd, key: Key) {
        let _ = self.epoll.delete(fd);
        self.tokens.remove(&key.0);
    }

    /// Waits, at most for `timeout`, and gives the events by the names of their sources.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<(Key, EpollFlags)>> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let count = match self.epoll.wait(&mut events, clock::epoll_timeout(timeout)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        Ok(events
            .iter()
            .take(count)
            .map(|event| (Key(event.data()), event.events()))
            .collect())
    }

    /// The name of a source, if it is still waited for.
    pub(super) fn token(&self, key: Key) -> Option<Token> {
        self.tokens.get(&key.0).copied()
    }
}
