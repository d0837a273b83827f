//! Asking a server of HTTP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::PATIENCE;

/// What a server answers to a GET, which must be a success.
///
/// # Errors
/// There is no server, or it says something else.
pub fn fetch(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let parts = answer.split_once("\r\n\r\n");
    match parts {
        Some((head, body)) if is_success(head) => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("{server}{path}: {answer:?}"))),
    }
}

fn is_success(head: &str) -> bool {
    head.lines()
        .next()
        .is_some_and(|line| line.contains(" 200 "))
}
