//! What a node's self-test asks: a name server, the API server's Service and a registry, all of them on
//! loopback, and silent when they are told to be.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Where the name server and the registry are.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
/// The registry's port.
pub(crate) const REGISTRY_PORT: u16 = 5077;

const DNS_PORT: u16 = 53;
const HTTPS_PORT: u16 = 443;
/// How often it is looked whether they should end.
const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// They are there until this is dropped.
pub(crate) struct Surroundings {
    told: Arc<Told>,
    threads: Vec<JoinHandle<()>>,
    service: Ipv4Addr,
}

struct Told {
    is_silent: AtomicBool,
    is_over: AtomicBool,
}

impl Surroundings {
    /// The Service gets its address on the loopback interface.
    pub(crate) fn new(service: Ipv4Addr) -> Self {
        ip(&["address", "add", &format!("{service}/32"), "dev", "lo"]);
        let told = Arc::new(Told {
            is_silent: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let mut surroundings = Self {
            told: Arc::clone(&told),
            threads: Vec::new(),
            service,
        };
        let names = UdpSocket::bind((ADDRESS, DNS_PORT)).unwrap();
        let registry = TcpListener::bind((ADDRESS, REGISTRY_PORT)).unwrap();
        let api = TcpListener::bind((service, HTTPS_PORT)).unwrap();
        let of = Arc::clone(&told);
        surroundings.threads = vec![
            thread::spawn(move || tell_names(&names, &of)),
            serve(registry, Arc::clone(&told), answer),
            // Who connects has seen that it is there.
            serve(api, told, |_| {}),
        ];
        surroundings
    }

    /// From now on the name server and the registry say nothing, or speak again.
    pub(crate) fn be_silent(&self, is_silent: bool) {
        self.told.is_silent.store(is_silent, Ordering::SeqCst);
    }
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        self.told.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let address = format!("{}/32", self.service);
        ip(&["address", "del", &address, "dev", "lo"]);
    }
}

impl Told {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::SeqCst)
    }
}

/// Runs a command of iproute2 in the thread's network.
pub(crate) fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).status().unwrap();
    assert!(done.success(), "ip {args:?}");
}

/// Says of every name that it is there.
fn tell_names(socket: &UdpSocket, told: &Told) {
    socket.set_read_timeout(Some(LOOK_PERIOD)).unwrap();
    let mut question = [0; 512];
    while !told.is_over() {
        let Ok((length, from)) = socket.recv_from(&mut question) else {
            continue;
        };
        if !told.is_silent() {
            let _ = socket.send_to(&address_for(&question[..length]), from);
        }
    }
}

/// The answer to a question with one name: a response, one record, which points at the name, of type A
/// and class IN, for a second, and has four bytes.
fn address_for(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer[7] = 1;
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 1]);
    answer
}

/// Gives every connection to `talk`, unless it should be silent.
fn serve(listener: TcpListener, told: Arc<Told>, talk: fn(TcpStream)) -> JoinHandle<()> {
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        while !told.is_over() {
            match listener.accept() {
                Ok((stream, _)) if !told.is_silent() => talk(stream),
                Ok(_) => {}
                Err(_) => thread::sleep(LOOK_PERIOD),
            }
        }
    })
}

/// Answers a request as a registry that has nothing to hide.
fn answer(mut stream: TcpStream) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut request = [0; 1024];
    let _ = stream.read(&mut request);
    let _ =
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
}
