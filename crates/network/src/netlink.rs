//! Talking to the kernel: batches of netlink messages, sent in one call and answered before it
//! returns.
//!
//! Netlink requests of the two families used here are carried out inside `send`, so all answers
//! wait in the socket's buffer when it returns, and nothing here ever blocks or polls.

mod attribute;
pub(crate) mod conntrack;
pub(crate) mod nft;
pub(crate) mod route;
pub(crate) mod watch;

use std::io;

use netlink_sys::{Socket, SocketAddr};

/// A socket in the network namespace of the thread that opened it.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// One answer: the sequence number of the request it belongs to, the socket that asked, its type,
/// and its body.
pub(crate) struct Answer {
    pub(crate) sequence: u32,
    pub(crate) port: u32,
    pub(crate) kind: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The kernel's verdict, if the answer is one.
    pub(crate) fn verdict(&self) -> Option<io::Result<()>> {
        if self.kind != NLMSG_ERROR {
            return None;
        }
        let code = self
            .body
            .first_chunk::<4>()
            .map_or(-libc::EPROTO, |b| i32::from_ne_bytes(*b));
        Some(if code == 0 {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(-code))
        })
    }
}

/// The header of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
}

impl Message {
    /// Appends the message to a batch, with the body that `body` appends.
    pub(crate) fn write(self, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
        let mut content = Vec::new();
        body(&mut content);
        let length = (HEADER_BYTES + content.len()) as u32;
        out.extend(length.to_ne_bytes());
        out.extend(self.kind.to_ne_bytes());
        out.extend(self.flags.to_ne_bytes());
        out.extend(self.sequence.to_ne_bytes());
        out.extend([0; 4]);
        out.append(&mut content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

/// Length of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// The largest datagram the kernel makes for a dump.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;

/// Room for the answers to a whole batch.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

impl Netlink {
    /// Opens a socket of a netlink family.
    pub(crate) fn open(family: libc::c_int) -> io::Result<Self> {
        let mut socket = Socket::new(family as isize)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Answers carry the error only, not the request, so that a batch's fit the buffer.
        socket.set_cap_ack(true)?;
        socket.set_rx_buf_sz(RECEIVE_BUFFER_BYTES as libc::c_int)?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(DATAGRAM_BYTES_MAX),
        })
    }

    /// The number that tells this socket's requests from those of others.
    pub(crate) fn port(&self) -> io::Result<u32> {
        let mut address = SocketAddr::new(0, 0);
        self.socket.get_address(&mut address)?;
        Ok(address.port_number())
    }

    /// The next request's sequence number.
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends `batch` and returns all answers.
    pub(crate) fn exchange(&mut self, batch: &[u8]) -> io::Result<Vec<Answer>> {
        self.socket.send(batch, 0)?;
        let mut answers = Vec::new();
        loop {
            self.buffer.clear();
            self.buffer.reserve(DATAGRAM_BYTES_MAX);
            match self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT) {
                Ok(_) => parse(&self.buffer, &mut answers)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(answers),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Splits a datagram into its messages.
fn parse(mut datagram: &[u8], answers: &mut Vec<Answer>) -> io::Result<()> {
    while !datagram.is_empty() {
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let header = datagram
            .first_chunk::<HEADER_BYTES>()
            .ok_or_else(malformed)?;
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, p0, p1, p2, p3] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let kind = u16::from_ne_bytes([k0, k1]);
        let body = datagram.get(HEADER_BYTES..length).ok_or_else(malformed)?;
        if kind != NLMSG_DONE {
            let sequence = u32::from_ne_bytes([s0, s1, s2, s3]);
            answers.push(Answer {
                sequence,
                port: u32::from_ne_bytes([p0, p1, p2, p3]),
                kind,
                body: body.to_vec(),
            });
        }
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits_datagrams() {
        let mut datagram = Vec::new();
        for (kind, sequence, body) in [(NLMSG_ERROR, 7, &[0u8; 4][..]), (16, 8, b"abcde")] {
            Message {
                kind,
                flags: 0,
                sequence,
            }
            .write(&mut datagram, |out| out.extend(body));
        }
        let mut answers = Vec::new();
        parse(&datagram, &mut answers).unwrap();
        assert!(answers[0].verdict().unwrap().is_ok());
        assert_eq!(
            (answers[1].sequence, &answers[1].body[..]),
            (8, &b"abcde"[..])
        );
        assert!(answers[1].verdict().is_none());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut answers = Vec::new();
            let _ = parse(&bytes, &mut answers);
        }
    }
}
