//! A socket at which others connect, as a loop that waits for events has to treat it.
//!
//! A connection that cannot be taken, for want of descriptors or memory, stays in the socket's queue.
//! A loop that is woken for as long as somebody waits there would then never rest. So it is woken once
//! for each who comes ([`INTEREST`]), and looks again a while after it could not take one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use burstlet_model::BootTime;
use nix::sys::epoll::EpollFlags;

use super::passing;

/// What to wait for in such a socket.
pub(crate) const INTEREST: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLET);
/// How long after a connection could not be taken the next look is.
const REST: Duration = Duration::from_millis(250);

/// The socket.
pub(crate) struct Listening {
    socket: OwnedFd,
    /// When to look again, while connections cannot be taken.
    again: Option<BootTime>,
    /// Whether the last look failed, which is told once.
    is_failing: bool,
}

/// What follows from a look for a connection that gave none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Nobody waits.
    Wait,
    /// Whoever waited is gone, and others may be there.
    Next,
    /// Somebody waits who cannot be let in.
    Rest,
}

impl Listening {
    /// At a socket that does not block.
    pub(crate) const fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            again: None,
            is_failing: false,
        }
    }

    /// Takes the next connection, if one waits.
    ///
    /// # Errors
    /// It could not be taken, and neither could those since this was last said.
    pub(crate) fn next(&mut self, now: BootTime) -> io::Result<Option<OwnedFd>> {
        loop {
            let error = match passing::accept(&self.socket) {
                Ok(connection) => {
                    self.is_failing = false;
                    return Ok(Some(connection));
                }
                Err(error) => error,
            };
            match after(error.kind()) {
                Then::Next => {}
                Then::Wait => {
                    (self.again, self.is_failing) = (None, false);
                    return Ok(None);
                }
                Then::Rest => {
                    self.again = Some(now + REST);
                    let is_told = std::mem::replace(&mut self.is_failing, true);
                    return if is_told { Ok(None) } else { Err(error) };
                }
            }
        }
    }

    /// When to look for connections though nobody new has come.
    pub(crate) const fn again(&self) -> Option<BootTime> {
        self.again
    }

    /// Whether it is time to.
    pub(crate) fn is_due(&self, now: BootTime) -> bool {
        self.again.is_some_and(|again| again <= now)
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn after(failure: io::ErrorKind) -> Then {
    match failure {
        io::ErrorKind::WouldBlock => Then::Wait,
        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => Then::Next,
        _ => Then::Rest,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use nix::errno::Errno;
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};

    use super::*;

    #[test]
    fn only_want_of_means_makes_it_rest() {
        for (errno, then) in [
            (Errno::EAGAIN, Then::Wait),
            (Errno::EINTR, Then::Next),
            (Errno::ECONNABORTED, Then::Next),
            (Errno::EMFILE, Then::Rest),
            (Errno::ENFILE, Then::Rest),
            (Errno::ENOMEM, Then::Rest),
            (Errno::ENOBUFS, Then::Rest),
        ] {
            assert_eq!(after(io::Error::from(errno).kind()), then, "{errno}");
        }
    }

    #[test]
    fn who_waits_is_looked_for_once_and_again_when_it_is_time() {
        let now = BootTime(7);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let mut listening = Listening::new(passing::listen(&path, 8).unwrap());
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        epoll.add(&listening, EpollEvent::new(INTEREST, 0)).unwrap();
        let woken = || {
            let mut events = [EpollEvent::empty()];
            epoll.wait(&mut events, EpollTimeout::ZERO).unwrap()
        };
        let client = passing::connect(&path).unwrap();
        // A connection that stays in the queue does not wake the loop twice.
        assert_eq!((woken(), woken()), (1, 0));
        assert!(listening.next(now).unwrap().is_some());
        assert!(listening.next(now).unwrap().is_none());
        assert_eq!(listening.again(), None);
        let next = passing::connect(&path).unwrap();
        assert_eq!(woken(), 1);
        drop((client, next));
    }

    #[test]
    fn nobody_waits_for_room_in_a_full_queue() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = passing::listen(&path, 1).unwrap();
        let come = || passing::connect(&path);
        let mut waiting: Vec<_> = std::iter::from_fn(|| come().ok()).take(8).collect();
        let refused = come().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(!waiting.is_empty());
        passing::accept(&listener).unwrap();
        waiting.push(come().unwrap());
    }

    #[test]
    fn what_cannot_be_listened_at_is_told_once_and_tried_again() {
        let (socket, _other) = passing::pair().unwrap();
        let mut listening = Listening::new(socket);
        let now = BootTime(7);
        listening.next(now).unwrap_err();
        assert_eq!(listening.again(), Some(now + REST));
        assert!(!listening.is_due(now) && listening.is_due(now + REST));
        assert!(listening.next(now + REST).unwrap().is_none());
        assert_eq!(listening.again(), Some(now + REST + REST));
    }
}
