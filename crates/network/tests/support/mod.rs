//! A host to test on: a network namespace of its own for each test, so that nothing of this
//! machine's network is touched, and nothing is left when the test's thread ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Command;
use std::time::Duration;

use burstlet_model::spec::Protocol;
use burstlet_model::{GroupName, GroupUid, Name, Namespace};
use burstlet_network::{
    Attached, BridgeConfig, DnsConfig, HostPort, Isolation, LeaseRequest, Mode, Network,
    NetworkConfig, Policy, PublishedPort, QUARANTINE_DEFAULT,
};
use nix::sched::{CloneFlags, setns, unshare};

pub(crate) const BRIDGE: &str = "burst-test0";
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(crate) const UPLINK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// How long a test waits for what should come, and for what should not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
pub(crate) const BRIEFLY: Duration = Duration::from_millis(300);

/// Runs `test` on a thread with a network namespace of its own that plays the host.
pub(crate) fn on_a_host<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A new network namespace, held by the descriptor.
pub(crate) fn new_netns() -> OwnedFd {
    let make = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        OwnedFd::from(File::open("/proc/thread-self/ns/net").unwrap())
    };
    std::thread::spawn(make).join().unwrap()
}

/// Runs `work` on a thread inside `netns`, and waits for it.
pub(crate) fn inside<T: Send + 'static>(
    netns: &OwnedFd,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    in_background(netns, work).join().unwrap()
}

/// Runs `work` on a thread inside `netns`.
pub(crate) fn in_background<T: Send + 'static>(
    netns: &OwnedFd,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let netns = netns.try_clone().unwrap();
    std::thread::spawn(move || {
        setns(netns.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
        drop(netns);
        work()
    })
}

/// Runs a command of iproute2 in the thread's network namespace.
pub(crate) fn ip(args: &str) {
    run("ip", args);
}

/// Runs a command and returns what it prints.
pub(crate) fn run(program: &str, args: &str) -> String {
    let output = Command::new(program)
        .args(args.split_whitespace())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args}: {complaint}");
    text
}

/// A directory and a configuration for it.
pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: NetworkConfig,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut NetworkConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = NetworkConfig {
            owner: "network-test".to_owned(),
            state_dir: dir.path().to_owned(),
            mode: Mode::Bridge(BridgeConfig {
                name: BRIDGE.to_owned(),
                subnet: "10.99.0.0/24".parse().unwrap(),
                mtu: None,
            }),
            policy: Policy::default(),
            dns: DnsConfig {
                upstreams: vec!["127.0.0.1:1".parse().unwrap()],
                domain: "burstlet.local".to_owned(),
            },
            quarantine: QUARANTINE_DEFAULT,
        };
        change(&mut config);
        Self { dir, config }
    }

    pub(crate) async fn open(&self) -> Network {
        Network::open(self.config.clone()).await.unwrap()
    }
}

/// A group as far as the network knows it.
pub(crate) struct Group {
    pub(crate) uid: GroupUid,
    pub(crate) netns: OwnedFd,
    pub(crate) address: Ipv4Addr,
}

pub(crate) fn request(namespace: &str, name: &str) -> LeaseRequest {
    LeaseRequest {
        uid: GroupUid::new(format!("uid-{namespace}-{name}")).unwrap(),
        group: GroupName {
            namespace: Namespace::new(namespace).unwrap(),
            name: Name::new(name).unwrap(),
        },
        isolation: Isolation::Namespace,
        ports: Vec::new(),
    }
}

pub(crate) fn port(ip: Option<&str>, protocol: Protocol, host: u16, inside: u16) -> PublishedPort {
    let ip = ip.map(|ip| ip.parse::<IpAddr>().unwrap());
    let port = NonZeroU16::new(host).unwrap();
    PublishedPort {
        host: HostPort::new(ip, protocol, port),
        container_port: inside,
    }
}

/// Leases and attaches a group in a new namespace.
pub(crate) async fn start(network: &Network, request: LeaseRequest) -> Group {
    let netns = new_netns();
    let lease = network.lease(request).await.unwrap();
    let Attached { addresses, .. } = network.attach(&lease.uid, netns.as_fd()).await.unwrap();
    let [IpAddr::V4(address)] = addresses[..] else {
        panic!("one IPv4 address, not {addresses:?}");
    };
    Group {
        uid: lease.uid,
        netns,
        address,
    }
}

impl Group {
    /// Serves one TCP connection on `port` after the other: tells each client its own address.
    pub(crate) fn serve_tcp(&self, port: u16) {
        let listener = inside(&self.netns, move || {
            TcpListener::bind(("0.0.0.0", port)).unwrap()
        });
        serve(listener);
    }

    /// What a connection to `to` brings: the address that the server saw, or the error.
    pub(crate) fn connect(&self, to: impl Into<SocketAddr>) -> std::io::Result<IpAddr> {
        let to = to.into();
        inside(&self.netns, move || connect(to))
    }

    /// The same where nothing is expected to come.
    pub(crate) fn connect_briefly(&self, to: impl Into<SocketAddr>) -> std::io::Result<IpAddr> {
        let to = to.into();
        inside(&self.netns, move || connect_within(to, BRIEFLY))
    }

    /// A UDP socket inside.
    pub(crate) fn udp(&self, address: Ipv4Addr, port: u16) -> std::io::Result<UdpSocket> {
        inside(&self.netns, move || UdpSocket::bind((address, port)))
    }

    pub(crate) fn ip(&self, args: &str) {
        let args = args.to_owned();
        inside(&self.netns, move || ip(&args));
    }
}

/// Tells each client the address it comes from.
pub(crate) fn serve(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let from = stream.peer_addr().map(|from| from.ip().to_string());
            let _ = stream.write_all(from.unwrap_or_default().as_bytes());
        }
    });
}

/// Connects from the thread's network namespace, and asks how it is seen.
pub(crate) fn connect(to: SocketAddr) -> std::io::Result<IpAddr> {
    connect_within(to, PATIENCE)
}

pub(crate) fn connect_within(to: SocketAddr, wait: Duration) -> std::io::Result<IpAddr> {
    let mut stream = TcpStream::connect_timeout(&to, wait)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    text.parse::<IpAddr>()
        .map(|ip| ip.to_canonical())
        .map_err(std::io::Error::other)
}

/// Whether a datagram comes within `wait`, and from where.
pub(crate) fn receive(socket: &UdpSocket, wait: Duration) -> Option<SocketAddr> {
    socket.set_read_timeout(Some(wait)).unwrap();
    socket.recv_from(&mut [0; 64]).ok().map(|(_, from)| from)
}

/// Another machine: a namespace with an address, linked to the thread's own. The thread's side is
/// 192.0.2.1, the other 192.0.2.2 with a way back to the groups.
pub(crate) fn outside() -> OwnedFd {
    let netns = new_netns();
    ip("link add up0 type veth peer name up1");
    let path = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        std::os::fd::AsRawFd::as_raw_fd(&netns)
    );
    ip(&format!("link set up1 netns {path}"));
    ip("addr add 192.0.2.1/24 dev up0");
    ip("link set up0 up");
    inside(&netns, || {
        ip("link set lo up");
        ip("addr add 192.0.2.2/24 dev up1");
        ip("link set up1 up");
        ip("route add 10.99.0.0/24 via 192.0.2.1");
    });
    netns
}

/// Lets frames pass bridges without the rules for routed packets, as on hosts without
/// `br_netfilter`.
pub(crate) fn without_br_netfilter() {
    for family in ["iptables", "ip6tables", "arptables"] {
        let path = format!("/proc/sys/net/bridge/bridge-nf-call-{family}");
        match std::fs::write(path, "0") {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{family}: {error}"),
            _ => {}
        }
    }
}

pub(crate) fn open(request: LeaseRequest) -> LeaseRequest {
    LeaseRequest {
        isolation: Isolation::Open,
        ..request
    }
}

pub(crate) fn cluster(request: LeaseRequest) -> LeaseRequest {
    LeaseRequest {
        isolation: Isolation::Cluster,
        ..request
    }
}

/// Fails unless the connection was refused rather than swallowed.
pub(crate) fn assert_refused(result: std::io::Result<IpAddr>, what: &str) {
    let error = result.expect_err(what);
    assert!(
        !matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock),
        "{what}: {error}"
    );
}
