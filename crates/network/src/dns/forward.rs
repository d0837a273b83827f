//! Asking the world: the question goes to the host's servers as it came, and the answer back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message;

/// Where questions are forwarded to.
#[derive(Clone, Debug)]
pub(crate) enum Upstreams {
    /// These servers.
    Fixed(Vec<SocketAddr>),
    /// Those that a `resolv.conf` names at the time, but the given one, which is ourselves.
    File { path: PathBuf, but: IpAddr },
}

/// How a question came, and is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// How long one server may take.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);

/// How often servers are asked, one after the other and round again.
const ATTEMPTS_MAX: usize = 4;

/// How many servers of a `resolv.conf` count, as for any resolver.
const SERVERS_MAX: usize = 3;

/// The largest answer over UDP; a server that has more says so, and the asker comes by TCP.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Asks the upstream servers in turn. An answer that does not belong to the question is passed
/// over; if none comes, the asker is told of a failure.
pub(crate) async fn forward(
    upstreams: &Upstreams,
    transport: Transport,
    question: &[u8],
) -> Option<Vec<u8>> {
    let servers = upstreams.servers();
    for server in servers
        .iter()
        .cycle()
        .take(ATTEMPTS_MAX.min(2 * servers.len()))
    {
        let asked = async {
            match transport {
                Transport::Udp => ask_udp(*server, question).await,
                Transport::Tcp => ask_tcp(*server, question).await,
            }
        };
        if let Ok(Ok(answer)) = timeout(ATTEMPT_TIMEOUT, asked).await {
            return Some(answer);
        }
    }
    message::failure(question)
}

impl Upstreams {
    fn servers(&self) -> Vec<SocketAddr> {
        match self {
            Self::Fixed(servers) => servers.clone(),
            Self::File { path, but } => {
                let servers = host_servers(path);
                servers
                    .into_iter()
                    .filter(|server| server.ip() != *but)
                    .collect()
            }
        }
    }
}

/// A small file in the page cache; read each time, since it changes when a laptop moves.
fn host_servers(path: &Path) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let servers = crate::files::ResolvConf::parse(&text).nameservers;
    servers
        .into_iter()
        .take(SERVERS_MAX)
        .map(|ip| SocketAddr::new(ip, 53))
        .collect()
}

pub(super) async fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A socket of its own for each question: its port is one more thing a forger must guess.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let id = message::random_id();
    socket.send(&with_id(question, id)).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        if belongs(answer, question, id) {
            return Ok(with_id(answer, own_id(question)));
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let id = message::random_id();
    write_framed(&mut stream, &with_id(question, id)).await?;
    let answer = read_framed(&mut stream).await?;
    if !belongs(&answer, question, id) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(with_id(&answer, own_id(question)))
}

/// Writes a message with its length before it, as DNS over TCP has it.
pub(crate) async fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let framed = [&length.to_be_bytes()[..], message].concat();
    stream.write_all(&framed).await
}

/// Reads a message with its length before it; the length is at most 64 KiB by its own size.
pub(crate) async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

const HEADER_BYTES: usize = 12;

fn own_id(message: &[u8]) -> u16 {
    message
        .first_chunk()
        .map_or(0, |id| u16::from_be_bytes(*id))
}

fn with_id(message: &[u8], id: u16) -> Vec<u8> {
    let rest = message.get(2..).unwrap_or_default();
    [&id.to_be_bytes()[..], rest].concat()
}

/// Whether `answer` is a response with our number to the very question.
fn belongs(answer: &[u8], question: &[u8], id: u16) -> bool {
    let is_response = answer.get(2).is_some_and(|flags| flags & 0x80 != 0);
    let asked = question_section(question);
    own_id(answer) == id && is_response && asked.is_some() && asked == question_section(answer)
}

/// The one question of a message as bytes. Questions are never compressed.
fn question_section(message: &[u8]) -> Option<&[u8]> {
    let body = message.get(HEADER_BYTES..)?;
    let mut end = 0usize;
    loop {
        match usize::from(*body.get(end)?) {
            0 => break,
            label @ 1..=63 => end += label + 1,
            _ => return None,
        }
    }
    // The root label, the type and the class.
    body.get(..end + 5)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUESTION: &[u8] =
        b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01";

    fn answer(id: u16, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut answer = with_id(QUESTION, id);
        answer[2] |= 0x80;
        answer.extend(b"whatever records");
        change(&mut answer);
        answer
    }

    #[test]
    fn only_its_own_answer_is_believed() {
        assert!(belongs(&answer(9, |_| {}), QUESTION, 9));
        assert!(!belongs(&answer(8, |_| {}), QUESTION, 9), "another number");
        assert!(
            !belongs(&answer(9, |a| a[2] &= 0x7f), QUESTION, 9),
            "not a response"
        );
        assert!(
            !belongs(&answer(9, |a| a[13] = b'x'), QUESTION, 9),
            "another name"
        );
        assert!(
            !belongs(&answer(9, |a| a.truncate(12)), QUESTION, 9),
            "no question"
        );
        assert!(
            !belongs(&answer(9, |a| a[12] = 0xc0), QUESTION, 9),
            "a pointer"
        );
    }

    #[tokio::test]
    async fn the_next_server_is_asked_and_the_number_restored() {
        let (silent, good) = (
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        );
        let upstreams = Upstreams::Fixed(vec![
            silent.local_addr().unwrap(),
            good.local_addr().unwrap(),
        ]);
        let serve = async {
            let mut buffer = [0; 512];
            let (length, from) = good.recv_from(&mut buffer).await.unwrap();
            let mut reply = buffer[..length].to_vec();
            reply[2] |= 0x80;
            let mut forged = reply.clone();
            forged[1] ^= 1;
            good.send_to(&forged, from).await.unwrap();
            good.send_to(&reply, from).await.unwrap();
        };
        let (answer, ()) = tokio::join!(forward(&upstreams, Transport::Udp, QUESTION), serve);
        let mut expected = QUESTION.to_vec();
        expected[2] |= 0x80;
        assert_eq!(answer.unwrap(), expected);
    }

    #[tokio::test]
    async fn without_servers_a_failure_is_told() {
        let answer = forward(&Upstreams::Fixed(Vec::new()), Transport::Udp, QUESTION)
            .await
            .unwrap();
        assert_eq!((&answer[..2], answer[3] & 0xf), (&QUESTION[..2], 2));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = belongs(&bytes, &bytes, own_id(&bytes));
            let _ = with_id(&bytes, 1);
        }
    }
}
