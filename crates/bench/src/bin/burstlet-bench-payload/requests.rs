//! A small service and its client in one container: how long the client waits for an answer.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use crate::now_ns;

/// Bytes of a request, and of an answer.
const MESSAGE_BYTES: usize = 64;
/// How often the service goes over a request before it answers: some ten microseconds.
const ROUNDS: u32 = 200;
/// Between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(2);

/// Asks so often, and prints the median and the 99th percentile in nanoseconds.
pub(crate) fn run(count: Option<usize>) -> io::Result<()> {
    let count = count.ok_or_else(|| io::Error::other("how many requests?"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    let (mut server, _) = listener.accept()?;
    server.set_nodelay(true)?;
    std::thread::spawn(move || while answer(&mut server).is_ok() {});
    let mut took = Vec::with_capacity(count);
    let mut message = [7; MESSAGE_BYTES];
    for _ in 0..count {
        std::thread::sleep(PAUSE);
        let asked = now_ns();
        client.write_all(&message)?;
        client.read_exact(&mut message)?;
        took.push(now_ns() - asked);
    }
    took.sort_unstable();
    let at = |percent: usize| took.get(count * percent / 100).copied().unwrap_or_default();
    writeln!(io::stdout(), "{} {}", at(50), at(99))
}

fn answer(server: &mut TcpStream) -> io::Result<()> {
    let mut message = [0; MESSAGE_BYTES];
    server.read_exact(&mut message)?;
    for round in 0..ROUNDS {
        for byte in &mut message {
            *byte = byte.wrapping_mul(31).wrapping_add(round.to_le_bytes()[0]);
        }
    }
    server.write_all(&std::hint::black_box(message))
}
