//! A client of plain HTTP over TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::port::{Certified, Port};

pub(crate) type Stream = TlsStream<TcpStream>;

/// How long an answer may take on a machine that has much to do.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The status, the head in lower case, and what came of the body with it.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) rest: Vec<u8>,
}

pub(crate) async fn connect(port: &Port, certified: Option<Certified>) -> Stream {
    let mut roots = RootCertStore::empty();
    roots.add(port.authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match certified {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config
            .with_client_auth_cert(vec![certificate], key)
            .unwrap(),
    };
    let stream = TcpStream::connect(port.address).await.unwrap();
    let name = ServerName::IpAddress(IpAddr::from(port.address.ip()));
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.unwrap()
}

/// Sends a request with these lines of headers.
pub(crate) async fn send(stream: &mut Stream, method: &str, path: &str, headers: &[&str]) {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: node\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

pub(crate) async fn head(stream: &mut Stream) -> Head {
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let count = timeout(ANSWER_MAX, stream.read_buf(&mut read)).await;
        assert!(count.unwrap().unwrap() > 0, "the connection ended");
    };
    let head = String::from_utf8(read[..end].to_vec()).unwrap();
    Head {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        rest: read[end + 4..].to_vec(),
    }
}

/// Everything until the server ends the connection.
pub(crate) async fn rest(stream: &mut Stream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A server that is in a hurry says no goodbye.
    let _ = timeout(ANSWER_MAX, stream.read_to_end(&mut rest))
        .await
        .unwrap();
    rest
}

/// The status and the body of one request on a connection of its own.
pub(crate) async fn get(port: &Port, token: &str, method: &str, path: &str) -> (u16, String) {
    let mut stream = connect(port, None).await;
    let token = format!("authorization: Bearer {token}");
    send(&mut stream, method, path, &[&token, "connection: close"]).await;
    let head = head(&mut stream).await;
    let body = [head.rest, rest(&mut stream).await].concat();
    (head.status, String::from_utf8(body).unwrap())
}
