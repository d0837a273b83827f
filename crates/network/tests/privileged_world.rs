//! The built-in network's ways to and from the world, each test on a host of its own (see `support`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use burstlet_model::spec::Protocol;
use burstlet_network::{Exception, LeaseRequest};
use support::*;

#[test]
fn privileged_names() {
    on_a_host(|| async {
        let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
        let host = Host::with(|config| {
            config.dns.upstreams = vec![upstream.local_addr().unwrap()];
        });
        let network = host.open().await;
        let a = start(&network, request("shop", "a")).await;
        let b = start(&network, request("shop", "b")).await;
        let c = start(&network, request("bank", "c")).await;
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = upstream.recv_from(&mut buffer) {
                buffer[2] |= 0x80;
                let _ = upstream.send_to(&buffer[..length], from);
            }
        });
        let ask = async |group: &Group, name: &str| {
            let netns = group.netns.try_clone().unwrap();
            let question = question(name);
            tokio::task::spawn_blocking(move || inside(&netns, move || ask_gateway(&question)))
                .await
                .unwrap()
        };
        let (found, code) = (b.address.octets(), |answer: &[u8]| answer[3] & 0xf);
        for name in ["b", "b.shop", "b.shop.burstlet.local"] {
            assert!(ask(&a, name).await.ends_with(&found), "{name}");
        }
        assert_eq!(code(&ask(&c, "b.shop.burstlet.local").await), NXDOMAIN);
        assert_eq!(code(&ask(&a, "example.com").await), 0, "forwarded");
        network.detach(&b.uid, None).await.unwrap();
        assert_eq!(code(&ask(&a, "b").await), NXDOMAIN);
    });
}

const NXDOMAIN: u8 = 3;

fn question(name: &str) -> Vec<u8> {
    let mut question = b"\x00\x07\x01\x00\x00\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend(b"\0\0\x01\0\x01");
    question
}

/// Asks by UDP and by TCP, which must agree.
fn ask_gateway(question: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(question, (GATEWAY, 53)).unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    if buffer[3] & 0xf == 0 && question.ends_with(b"\x03com\0\0\x01\0\x01") {
        // The test's upstream server speaks UDP only.
        return buffer[..length].to_vec();
    }
    let mut stream = TcpStream::connect((GATEWAY, 53)).unwrap();
    stream
        .write_all(&[&(question.len() as u16).to_be_bytes(), question].concat())
        .unwrap();
    let mut answer = vec![0; length + 2];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[2..], buffer[..length]);
    buffer[..length].to_vec()
}

#[test]
fn privileged_the_world_sees_the_hosts_address() {
    on_a_host(|| async {
        let world = outside();
        inside(&world, || {
            ip("addr add 169.254.169.254/32 dev lo");
            ip("addr add 198.51.100.1/32 dev lo");
            serve(TcpListener::bind(("0.0.0.0", 80)).unwrap());
        });
        ip("route add 169.254.169.254 via 192.0.2.2");
        ip("route add 198.51.100.1 via 192.0.2.2");
        let host = Host::with(|config| {
            config.policy.routable = vec!["198.51.100.0/24".parse().unwrap()];
        });
        let network = host.open().await;
        let group = start(&network, request("shop", "a")).await;
        let pod = start(&network, open(request("kube", "p"))).await;
        assert_eq!(group.connect((OUTSIDE, 80)).unwrap(), UPLINK, "translated");
        assert_eq!(
            pod.connect(([198, 51, 100, 1], 80)).unwrap(),
            pod.address,
            "routable"
        );
        assert_refused(group.connect((METADATA, 80)), "metadata");

        group.serve_tcp(81);
        pod.serve_tcp(81);
        let from = |source: &'static str, to: Ipv4Addr| {
            inside(&world, move || {
                ip(&format!(
                    "route replace 10.99.0.0/24 via 192.0.2.1 src {source}"
                ));
                connect_within((to, 81).into(), BRIEFLY)
            })
        };
        assert!(
            from("198.51.100.1", pod.address).is_ok(),
            "routable to open"
        );
        assert!(from("192.0.2.2", pod.address).is_err(), "the world to open");
        assert!(
            from("198.51.100.1", group.address).is_err(),
            "routable to closed"
        );
    });
}

#[test]
fn privileged_exceptions_open_denied_destinations() {
    on_a_host(|| async {
        let world = outside();
        inside(&world, || {
            ip("addr add 169.254.169.254/32 dev lo");
            for port in [80, 81] {
                serve(TcpListener::bind(("0.0.0.0", port)).unwrap());
            }
        });
        ip("route add 169.254.169.254 via 192.0.2.2");
        let host = Host::with(|config| {
            config.policy.allowed = vec![Exception {
                to: METADATA.into(),
                port: Some((Protocol::Tcp, 80)),
            }];
        });
        let network = host.open().await;
        let group = start(&network, request("shop", "a")).await;
        assert_eq!(group.connect((METADATA, 80)).unwrap(), UPLINK);
        assert_refused(group.connect((METADATA, 81)), "another port");
    });
}

#[test]
fn privileged_published_ports() {
    on_a_host(published_ports);
}

/// Where `br_netfilter` is on, as Kubernetes and Docker have it, address translation takes place
/// while a packet is still on the bridge.
#[test]
fn privileged_published_ports_without_br_netfilter() {
    on_a_host(|| async {
        without_br_netfilter();
        published_ports().await;
    });
}

async fn published_ports() {
    let world = outside();
    let host = Host::new();
    let network = host.open().await;
    let ports = vec![
        port(None, Protocol::Tcp, 8080, 80),
        port(Some("192.0.2.1"), Protocol::Tcp, 8081, 80),
        port(Some("127.0.0.1"), Protocol::Tcp, 8082, 80),
        port(None, Protocol::Udp, 8083, 83),
    ];
    let web = start(
        &network,
        LeaseRequest {
            ports,
            ..request("shop", "web")
        },
    )
    .await;
    web.serve_tcp(80);
    let stranger = start(&network, request("bank", "c")).await;
    let from_world = |port: u16| {
        inside(&world, move || {
            connect_within((UPLINK, port).into(), BRIEFLY)
        })
    };
    assert_eq!(
        from_world(8080).unwrap(),
        OUTSIDE,
        "the client's own address is seen"
    );
    assert_eq!(from_world(8081).unwrap(), OUTSIDE);
    assert!(from_world(8082).is_err(), "loopback only");
    assert!(from_world(80).is_err());
    let own =
        |ip: [u8; 4], port: u16| tokio::task::spawn_blocking(move || connect((ip, port).into()));
    assert!(
        own([192, 0, 2, 1], 8080).await.unwrap().is_ok(),
        "the host by its address"
    );
    assert!(
        own([127, 0, 0, 1], 8080).await.unwrap().is_ok(),
        "the host by loopback"
    );
    assert!(own([127, 0, 0, 1], 8082).await.unwrap().is_ok());
    assert!(
        own([127, 0, 0, 1], 8081).await.unwrap().is_err(),
        "another address"
    );
    assert!(
        stranger.connect((UPLINK, 8080)).is_ok(),
        "published is for everybody"
    );
    assert!(web.connect((UPLINK, 8080)).is_ok(), "even for itself");
    assert_refused(
        stranger.connect((web.address, 80)),
        "but not by its own address",
    );

    let inbox = web.udp(web.address, 83).unwrap();
    inside(&world, || {
        UdpSocket::bind((OUTSIDE, 9))
            .unwrap()
            .send_to(b"x", (UPLINK, 8083))
    })
    .unwrap();
    assert_eq!(
        receive(&inbox, PATIENCE),
        Some(SocketAddr::new(OUTSIDE.into(), 9))
    );

    network.release(&web.uid).await.unwrap();
    assert!(from_world(8080).is_err(), "released");
    tokio::task::yield_now().await;
    TcpListener::bind(("0.0.0.0", 8080)).expect("the port is free again");
}

#[test]
fn privileged_a_port_that_a_program_uses_is_told() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let _taken = TcpListener::bind(("0.0.0.0", 8080)).unwrap();
        let ports = vec![port(None, Protocol::Tcp, 8080, 80)];
        let request = LeaseRequest {
            ports,
            ..request("shop", "web")
        };
        let uid = request.uid.clone();
        let error = network.lease(request).await.unwrap_err();
        assert_eq!(
            error.kind(),
            burstlet_model::ErrorKind::AlreadyExists,
            "{error}"
        );
        assert_eq!(network.lease_of(&uid), None, "nothing is kept of it");
    });
}
