//! Datagrams with file descriptors beside them, over `SOCK_SEQPACKET`.
#![allow(
    unsafe_code,
    reason = "a received descriptor is a number until somebody owns it"
)]

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::cmsg_space;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    UnixAddr, UnixCredentials,
};

use tokio::io::unix::AsyncFd;

use super::memfile;
use crate::protocol::{self, FDS_MAX, INLINE_BYTES_MAX, Packed};

/// The kernel's bound on descriptors in one message (`SCM_MAX_FD`).
const KERNEL_FDS_MAX: usize = 253;

/// One received datagram.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    /// The message's bytes, fetched from the anonymous file if they travelled in one.
    pub(crate) bytes: Vec<u8>,
    /// What came beside them.
    pub(crate) fds: Vec<OwnedFd>,
    /// The sender's process in our numbering, if the socket asks the kernel for it.
    pub(crate) sender: Option<i32>,
}

/// A connected pair.
#[cfg(any(test, feature = "launcher"))]
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socket::socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        flags,
    )?)
}

/// Connects to the socket at `path`, which may be longer than a socket address holds. Fails at once where
/// as many wait to be let in as may.
pub(crate) fn connect(path: &Path) -> io::Result<OwnedFd> {
    let fd = new_socket(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    with_short_path(path, |address| {
        Ok(socket::connect(fd.as_raw_fd(), address)?)
    })?;
    Ok(fd)
}

/// Listens at `path`, which may be longer than a socket address holds.
#[cfg(feature = "launcher")]
pub(crate) fn listen(path: &Path, backlog: i32) -> io::Result<OwnedFd> {
    let fd = new_socket(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    with_short_path(path, |address| Ok(socket::bind(fd.as_raw_fd(), address)?))?;
    socket::listen(&fd, socket::Backlog::new(backlog)?)?;
    Ok(fd)
}

/// Takes the next connection, if one waits.
#[cfg(feature = "launcher")]
pub(crate) fn accept(listener: &OwnedFd) -> io::Result<OwnedFd> {
    let fd = socket::accept4(
        listener.as_raw_fd(),
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    )?;
    // SAFETY: accept4 has just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn new_socket(flags: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket::socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        flags,
        None,
    )?)
}

/// A socket address holds 107 bytes; the way through the open directory is always short.
fn with_short_path<T>(path: &Path, with: impl FnOnce(&UnixAddr) -> io::Result<T>) -> io::Result<T> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not the path of a socket");
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(invalid());
    };
    let dir = File::open(dir)?;
    let short = Path::new("/proc/self/fd")
        .join(dir.as_raw_fd().to_string())
        .join(name);
    with(&UnixAddr::new(&short)?)
}

/// Sends a message. It is taken whole or not at all.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if the peer's queue is full and the socket does not block.
pub(crate) fn send(fd: BorrowedFd<'_>, message: &Packed, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    match message {
        Packed::Inline(bytes) => send_datagram(fd, bytes, fds),
        Packed::Detached { datagram, content } => {
            let file = memfile::sealed("message", content)?;
            let mut all = fds.to_vec();
            all.push(file.as_fd());
            send_datagram(fd, datagram, &all)
        }
    }
}

/// Sends bytes as one datagram.
pub(crate) fn send_datagram(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let iov = [IoSlice::new(bytes)];
    let sent = socket::sendmsg::<()>(fd.as_raw_fd(), &iov, control, MsgFlags::MSG_NOSIGNAL, None)?;
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Receives one message; `None` at the end of the connection.
///
/// # Errors
/// The message breaks a bound of [`protocol`], or the connection failed.
pub(crate) fn receive(fd: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
    let mut bytes = vec![0_u8; next_len(fd)?.min(INLINE_BYTES_MAX + 1)];
    let mut control = cmsg_space!([RawFd; KERNEL_FDS_MAX], UnixCredentials);
    let mut packet = Packet::default();
    let (len, complete) = {
        let mut iov = [IoSliceMut::new(&mut bytes)];
        let received = socket::recvmsg::<()>(
            fd.as_raw_fd(),
            &mut iov,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let complete = received
            .cmsgs()
            .map(|messages| messages.for_each(|m| packet.keep(m)));
        (
            received.bytes,
            complete.is_ok() && !received.flags.contains(MsgFlags::MSG_TRUNC),
        )
    };
    if len == 0 && packet.fds.is_empty() {
        return Ok(None);
    }
    if !complete || len > INLINE_BYTES_MAX || packet.fds.len() > FDS_MAX + 1 {
        return Err(malformed("a datagram is longer than its bound"));
    }
    bytes.truncate(len);
    packet.bytes = bytes;
    packet.fetch_detached()?;
    Ok(Some(packet))
}

/// How long the next datagram is. Room for the longest would have to be cleared for every one, and
/// would stay in the memory of each keeper.
fn next_len(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
    Ok(socket::recv(fd.as_raw_fd(), &mut [], flags)?)
}

/// Lets the runtime wait for a socket, which is made not to block.
pub(crate) fn register(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    set_nonblocking(&socket)?;
    // SAFETY: the descriptor is owned by what is returned, so it stays open and the same for as
    // long as it is registered.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// Makes reads and writes through this description give up instead of waiting.
pub(crate) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Packet {
    fn keep(&mut self, message: ControlMessageOwned) {
        match message {
            ControlMessageOwned::ScmRights(raw) => {
                // SAFETY: the kernel has just installed these descriptors for this message, and
                // each control message is looked at once.
                self.fds.extend(
                    raw.into_iter()
                        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
                );
            }
            ControlMessageOwned::ScmCredentials(credentials) => {
                self.sender = Some(credentials.pid());
            }
            _ => {}
        }
    }

    fn fetch_detached(&mut self) -> io::Result<()> {
        if !protocol::packet_is_detached(&self.bytes) {
            return Ok(());
        }
        let len = protocol::decode_detached(&self.bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let file = File::from(
            self.fds
                .pop()
                .ok_or_else(|| malformed("no file came along"))?,
        );
        self.bytes = memfile::read_whole(&file, len)?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn messages_arrive_whole_with_their_descriptors() {
        let (ours, theirs) = pair().unwrap();
        let file = memfile::sealed("t", b"content").unwrap();
        send_datagram(ours.as_fd(), b"one", &[file.as_fd(), file.as_fd()]).unwrap();
        let long = Packed::Detached {
            datagram: b"@5".to_vec(),
            content: b"12345".to_vec(),
        };
        send(ours.as_fd(), &long, &[file.as_fd()]).unwrap();
        drop(ours);

        let first = receive(theirs.as_fd()).unwrap().unwrap();
        assert_eq!((first.bytes.as_slice(), first.fds.len()), (&b"one"[..], 2));
        let mut content = String::new();
        let mut passed = File::open(format!("/proc/self/fd/{}", first.fds[0].as_raw_fd())).unwrap();
        passed.read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
        let second = receive(theirs.as_fd()).unwrap().unwrap();
        assert_eq!(
            (second.bytes.as_slice(), second.fds.len()),
            (&b"12345"[..], 1)
        );
        assert!(receive(theirs.as_fd()).unwrap().is_none());
    }

    #[test]
    fn broken_datagrams_are_refused() {
        let (ours, theirs) = pair().unwrap();
        let refused = |what: &str| {
            let error = receive(theirs.as_fd()).expect_err(what);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}");
        };
        send_datagram(ours.as_fd(), b"@5", &[]).unwrap();
        refused("a detached message without its file");
        send_datagram(ours.as_fd(), &[b' '; INLINE_BYTES_MAX + 1], &[]).unwrap();
        refused("a datagram that is too long");
    }
}
