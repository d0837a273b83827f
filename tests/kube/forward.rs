//! What users are promised of ports: `kubectl port-forward` leads into the pod, in both of its
//! protocols.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::kubectl::{Kubectl, PATIENCE};
use crate::node::Node;
use crate::pods::{pod, running};
use crate::streams::protocols;

/// Requests that are under way together.
const REQUESTS: usize = 100;
/// What is served.
const PAGE_BYTES: usize = 200_000;

/// `kubectl port-forward`; ends when it is dropped.
struct Forward {
    child: Child,
    local: u16,
    complaints: Option<ChildStderr>,
}

impl Forward {
    fn to(kubectl: &Kubectl, port: u16) -> Self {
        let mut child = kubectl
            .command(&["port-forward", "pod/web", &format!(":{port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        printed.read_line(&mut line).unwrap();
        let from = line.strip_prefix("Forwarding from 127.0.0.1:");
        let local = from.and_then(|rest| rest.split_once(' ')?.0.parse().ok());
        let complaints = child.stderr.take();
        // Nobody reads what it prints of each connection, which fits into the pipe.
        std::thread::spawn(move || std::io::copy(&mut printed, &mut std::io::sink()));
        Self {
            child,
            local: local.unwrap_or_else(|| panic!("it printed {line:?}")),
            complaints,
        }
    }

    fn connect(&self) -> TcpStream {
        connect(self.local)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Many connections at once, each with its own bytes; a port that nobody listens at is told of, and
/// hurts no other pod.
pub(crate) fn ports(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let serve = format!(
        "mkdir /tmp/www && cd /tmp/www && head -c {PAGE_BYTES} /dev/urandom > page && \
         exec httpd -f -p 8080"
    );
    let when_it_listens = "    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}\n";
    admin.apply(&pod("web", &serve, when_it_listens));
    running(&admin, "web");
    let page = admin.feed(&["exec", "web", "--", "cat", "/tmp/www/page"], b"");
    assert_eq!(page.stdout.len(), PAGE_BYTES);
    for kubectl in protocols(cluster) {
        many_requests(&kubectl, &page.stdout);
        let mut closed = Forward::to(&kubectl, 81);
        let mut nothing = Vec::new();
        // The connection ends, well or with a reset.
        let _ = closed.connect().read_to_end(&mut nothing);
        assert!(nothing.is_empty());
        let ended = within(|| closed.child.try_wait().unwrap());
        assert!(!ended.success());
        let mut why = String::new();
        let mut complaints = closed.complaints.take().unwrap();
        complaints.read_to_string(&mut why).unwrap();
        assert!(why.contains("81") && why.contains("refused"), "{why}");
    }
    admin.run(&["delete", "pod", "web"]);
}

fn many_requests(kubectl: &Kubectl, page: &[u8]) {
    let forward = Forward::to(kubectl, 8080);
    let port = forward.local;
    std::thread::scope(|scope| {
        let fetch = || {
            let mut stream = connect(port);
            stream
                .write_all(b"GET /page HTTP/1.0\r\nHost: web\r\n\r\n")
                .unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let head = String::from_utf8_lossy(&answer[..answer.len().min(80)]);
            assert!(answer.ends_with(page), "{} bytes: {head}", answer.len());
        };
        let all: Vec<_> = (0..REQUESTS).map(|_| scope.spawn(fetch)).collect();
        let bad = all.into_iter().filter_map(|one| one.join().err());
        assert_eq!(bad.count(), 0);
    });
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn within<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "not in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}
