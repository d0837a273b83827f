//! A registry that leads its clients to a private address, where somebody listens.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where clients are led.
const PRIVATE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The repository whose manifests are said to be elsewhere.
pub(super) const REDIRECTED: &str = "redirected";
/// The repository that asks for a token of somebody else.
pub(super) const TOKEN: &str = "token";

const READ_DEADLINE: Duration = Duration::from_secs(5);

/// Dropping it ends it.
pub(super) struct Lure {
    address: SocketAddr,
    trap: TcpListener,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lure {
    pub(super) fn start() -> Self {
        let trap = TcpListener::bind((PRIVATE, 0)).unwrap();
        trap.set_nonblocking(true).unwrap();
        let elsewhere = trap.local_addr().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that breaks off is the client's affair.
                let _ = stream.and_then(|stream| answer(&stream, elsewhere));
            }
        });
        Self {
            address,
            trap,
            stop,
            thread: Some(thread),
        }
    }

    /// `HOST:PORT`, as references name it.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Whether anybody went where he was led.
    pub(super) fn was_followed(&self) -> bool {
        self.trap.accept().is_ok()
    }
}

impl Drop for Lure {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // A last connection wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers one request.
fn answer(mut stream: &TcpStream, elsewhere: SocketAddr) -> std::io::Result<()> {
    stream.set_read_timeout(Some(READ_DEADLINE))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let head = if request.contains(TOKEN) {
        format!(
            "401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"https://{elsewhere}/token\",service=\"lure\""
        )
    } else if request.contains(REDIRECTED) {
        format!("307 Temporary Redirect\r\nLocation: https://{elsewhere}/manifest")
    } else {
        "200 OK".to_owned()
    };
    write!(
        stream,
        "HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}
