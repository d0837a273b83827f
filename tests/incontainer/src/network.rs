//! Whom a group reaches, and what its neighbours hear of it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use crate::report::{list, outcome, saw};

/// How long a connection may take before it counts as unanswered.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the neighbour that listens may take to answer: the machine may be busy.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);
const QUESTIONS_MAX: usize = 150;

/// What everybody on a network hears.
const TO_ALL: [(&str, [u8; 4], u16); 4] = [
    ("all hosts", [224, 0, 0, 1], 5353),
    ("names", [224, 0, 0, 251], 5353),
    ("devices", [239, 255, 255, 250], 1900),
    ("a broadcast", [255, 255, 255, 255], 67),
];
const LAST: &[u8] = b"the last";
const HEARD: &[u8] = b"heard";

/// Each target is `ROW=what it is=address:port`.
pub(crate) fn survey(targets: &[&str]) -> io::Result<()> {
    let setting = |path: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/{path}"));
        text.map_or_else(|_| "none".to_owned(), |text| text.trim().to_owned())
    };
    for (row, path) in [
        ("TEN-02", "ipv6/conf/eth0/accept_ra"),
        ("TEN-02", "ipv6/conf/eth0/disable_ipv6"),
        ("TEN-02", "ipv4/conf/eth0/accept_redirects"),
        ("TEN-03", "ipv4/conf/eth0/route_localnet"),
    ] {
        saw(row, path, setting(path));
    }
    let sockets = fs::read_to_string("/proc/net/unix")?;
    let abstracts = sockets.lines().filter_map(|line| line.rsplit(' ').next());
    let abstracts: Vec<&str> = abstracts.filter(|name| name.starts_with('@')).collect();
    saw("CTR-30", "abstract sockets", list(&abstracts));
    let foreign = UdpSocket::bind((Ipv4Addr::new(192, 0, 2, 1), 0));
    saw("TEN-01", "take a foreign address", outcome(foreign));
    for target in targets {
        let wrong = || io::Error::other(format!("{target:?} is no target"));
        let mut parts = target.splitn(3, '=');
        let (Some(row), Some(what), Some(to)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let to: SocketAddr = to.parse().map_err(|_| wrong())?;
        let connected = TcpStream::connect_timeout(&to, CONNECT_TIMEOUT);
        saw(row, &format!("connect to {what}"), outcome(connected));
    }
    Ok(())
}

/// Prints what comes in until the last word, which it answers.
pub(crate) fn hear(port: &str) -> io::Result<()> {
    let port = port.parse().map_err(io::Error::other)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    for (_, group, _) in TO_ALL {
        // A broadcast's address is nothing to join.
        let _ = socket.join_multicast_v4(&group.into(), &Ipv4Addr::UNSPECIFIED);
    }
    let mut buffer = [0; 64];
    println!("listening");
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        let word = &buffer[..length];
        println!("heard {}", String::from_utf8_lossy(word));
        if word == LAST {
            socket.send_to(HEARD, from)?;
        }
    }
}

/// Calls out to everybody on the port of one who listens, then says the last word to that one
/// until it is answered.
pub(crate) fn shout(to: &str) -> io::Result<()> {
    let to = to.to_socket_addrs()?.next();
    let to = to.ok_or_else(|| io::Error::other("nobody to talk to"))?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_broadcast(true)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    for (what, group, usual) in TO_ALL {
        for port in [usual, to.port()] {
            let sent = socket.send_to(what.as_bytes(), (Ipv4Addr::from(group), port));
            eprintln!("{what}: {}", outcome(sent));
        }
    }
    let mut buffer = [0; 64];
    for _ in 0..QUESTIONS_MAX {
        socket.send_to(LAST, to)?;
        if socket
            .recv(&mut buffer)
            .is_ok_and(|length| &buffer[..length] == HEARD)
        {
            println!("answered");
            return Ok(());
        }
    }
    Err(io::Error::other("nobody answered"))
}
