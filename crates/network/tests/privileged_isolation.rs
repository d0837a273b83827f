//! Who reaches whom on the built-in network, each test on a host of its own (see `support`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use burstlet_model::spec::Protocol;
use burstlet_network::Exception;
use support::*;

#[test]
fn privileged_groups_reach_their_own_namespace() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let groups = [
            (start(&network, request("shop", "a")).await, 0),
            (start(&network, request("shop", "b")).await, 0),
            (start(&network, request("bank", "c")).await, 1),
            (start(&network, open(request("kube", "d"))).await, 2),
            (start(&network, open(request("else", "e"))).await, 2),
        ];
        for (group, _) in &groups {
            group.serve_tcp(80);
        }
        for (from, realm) in &groups {
            for (to, other) in &groups {
                let seen = from.connect((to.address, 80));
                if realm == other {
                    assert_eq!(seen.unwrap(), from.address, "seen with its own address");
                } else {
                    assert_refused(seen, "another realm");
                }
            }
        }
    });
}

#[test]
fn privileged_a_group_has_what_it_needs_and_no_more() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let group = start(&network, request("shop", "a")).await;
        let look = |program: &'static str, args: &'static str| {
            inside(&group.netns, move || run(program, args))
        };
        let addresses = look("ip", "-brief address");
        let lines: Vec<Vec<&str>> = addresses
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0], ["lo", "UNKNOWN", "127.0.0.1/8", "::1/128"]);
        assert_eq!(
            lines[1][2..],
            ["10.99.0.2/32"],
            "no IPv6 address on the link"
        );
        assert_eq!(lines.len(), 2);
        let routes = look("ip", "route");
        assert_eq!(
            routes.split_whitespace().collect::<Vec<_>>().join(" "),
            "default via 10.99.0.1 dev eth0 proto static 10.99.0.1 dev eth0 proto static scope link"
        );
        let sysctl = |name: &str| {
            let path = format!("/proc/sys/net/{name}");
            inside(&group.netns, move || std::fs::read_to_string(path)).unwrap()
        };
        assert_eq!(sysctl("ipv6/conf/eth0/accept_ra"), "0\n");
        assert_eq!(sysctl("ipv6/conf/eth0/disable_ipv6"), "1\n");
        assert_eq!(sysctl("ipv4/conf/all/accept_redirects"), "0\n");
        assert_eq!(sysctl("ipv4/conf/eth0/accept_redirects"), "0\n");
        group.serve_tcp(80);
        assert_eq!(
            connect((group.address, 80).into()).unwrap(),
            GATEWAY,
            "the host reaches it"
        );
    });
}

/// Groups have user namespaces of their own, which own their network namespaces.
#[test]
fn privileged_a_group_in_a_user_namespace() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let mut holder = Command::new("unshare")
            .args(["--user", "--net", "sh", "-c", "echo ready; exec sleep 60"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        holder
            .stdout
            .take()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        let netns = OwnedFd::from(File::open(format!("/proc/{}/ns/net", holder.id())).unwrap());
        let lease = network.lease(request("shop", "a")).await.unwrap();
        let attached = network.attach(&lease.uid, netns.as_fd()).await;
        holder.kill().unwrap();
        holder.wait().unwrap();
        attached.unwrap();
        let group = Group {
            uid: lease.uid,
            netns,
            address: lease.address.unwrap(),
        };
        group.serve_tcp(80);
        assert_eq!(connect((group.address, 80).into()).unwrap(), GATEWAY);
    });
}

#[test]
fn privileged_the_hosts_own_ports_are_closed() {
    on_a_host(|| async {
        let host = Host::with(|config| {
            config.policy.allowed = vec![Exception {
                to: GATEWAY.into(),
                port: Some((Protocol::Tcp, 9001)),
            }];
        });
        let network = host.open().await;
        let group = start(&network, request("shop", "a")).await;
        for port in [9000, 9001] {
            serve(TcpListener::bind(("0.0.0.0", port)).unwrap());
        }
        let datagrams = UdpSocket::bind(("0.0.0.0", 9000)).unwrap();
        assert_refused(group.connect((GATEWAY, 9000)), "a port of the host");
        assert_eq!(
            group.connect((GATEWAY, 9001)).unwrap(),
            group.address,
            "an exception"
        );
        group
            .udp(group.address, 0)
            .unwrap()
            .send_to(b"x", (GATEWAY, 9000))
            .unwrap();
        assert_eq!(receive(&datagrams, BRIEFLY), None);
        let asked = group.udp(group.address, 0).unwrap();
        asked.send_to(DNS_QUESTION, (GATEWAY, 53)).unwrap();
        asked.set_read_timeout(Some(PATIENCE)).unwrap();
        let answer = tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 512];
            let length = asked.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        });
        assert!(
            answer.await.unwrap().ends_with(&group.address.octets()),
            "names are served"
        );
    });
}

/// `a.`, type A, class IN.
const DNS_QUESTION: &[u8] = b"\x00\x07\x01\x00\x00\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";

/// A frame to a link-local group address reaches the port itself, past the bridge's rules; and
/// 127.0.0.1 of the host must not be reachable even if somebody has set `route_localnet`.
#[test]
fn privileged_there_is_no_way_round_to_the_host() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let group = start(&network, request("shop", "a")).await;
        for who in ["all", BRIDGE] {
            let path = format!("/proc/sys/net/ipv4/conf/{who}/route_localnet");
            std::fs::write(path, "1").unwrap();
        }
        let datagrams = UdpSocket::bind(("0.0.0.0", 9000)).unwrap();
        let sender = group.udp(group.address, 0).unwrap();
        for last in 0..16 {
            group.ip(&format!(
                "neigh replace {GATEWAY} lladdr 01:80:c2:00:00:{last:02x} dev eth0"
            ));
            sender.send_to(b"x", (GATEWAY, 9000)).unwrap();
        }
        group.ip(&format!(
            "neigh replace {GATEWAY} lladdr 0a:58:0a:63:00:01 dev eth0"
        ));
        inside(&group.netns, || {
            std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
            ip("route add 127.0.0.2 via 10.99.0.1 dev eth0");
            ip("route del local 127.0.0.0/8 dev lo table local");
        });
        sender.send_to(b"x", ("127.0.0.2", 9000)).unwrap();
        assert_eq!(receive(&datagrams, BRIEFLY), None);
    });
}

#[test]
fn privileged_forged_senders_are_dropped() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let forger = start(&network, request("shop", "forger")).await;
        let victim = start(&network, request("shop", "victim")).await;
        let target = start(&network, request("shop", "target")).await;
        let inbox = target.udp(target.address, 7000).unwrap();
        let send = |from: Ipv4Addr| {
            let socket = forger.udp(from, 0).unwrap();
            let _ = socket.send_to(b"x", (target.address, 7000));
            receive(&inbox, BRIEFLY)
        };
        // What must arrive has more time than what must not: the machine may be busy.
        assert!((0..50).any(|_| send(forger.address).is_some()));
        for forged in [
            victim.address,
            GATEWAY,
            Ipv4Addr::new(10, 99, 0, 77),
            OUTSIDE,
        ] {
            forger.ip(&format!("addr add {forged}/32 dev lo"));
            assert_eq!(send(forged), None, "{forged}");
            forger.ip(&format!("addr del {forged}/32 dev lo"));
        }
        let mac = "0a:58:0a:63:00:02";
        forger.ip("link set eth0 address 02:00:00:00:00:01");
        assert_eq!(send(forger.address), None, "another Ethernet address");
        forger.ip(&format!("link set eth0 address {mac}"));
        // An ARP request for the gateway that claims the victim's address.
        forger.ip(&format!("addr add {}/32 dev lo", victim.address));
        forger.ip("neigh flush dev eth0 nud all");
        assert_eq!(send(victim.address), None);
        let neighbours = run("ip", &format!("neigh show {} dev {BRIDGE}", victim.address));
        assert!(
            neighbours.contains("0a:58:0a:63:00:03 PERMANENT"),
            "{neighbours}"
        );
        let counters = run("nft", "list counters");
        assert!(
            !counters.contains("counter forged {\n\t\tpackets 0 "),
            "{counters}"
        );
    });
}

/// A frame straight to a neighbour's Ethernet address, and one to everybody.
#[test]
fn privileged_neighbours_are_reached_through_the_host_only() {
    on_a_host(|| async {
        without_br_netfilter();
        let host = Host::new();
        let network = host.open().await;
        let a = start(&network, request("shop", "a")).await;
        let b = start(&network, request("bank", "b")).await;
        let inbox = b.udp(Ipv4Addr::UNSPECIFIED, 7000).unwrap();
        let sender = a.udp(a.address, 0).unwrap();
        sender.set_broadcast(true).unwrap();
        a.ip(&format!(
            "neigh replace {GATEWAY} lladdr 0a:58:0a:63:00:03 dev eth0"
        ));
        sender.send_to(b"x", (b.address, 7000)).unwrap();
        a.ip(&format!(
            "neigh replace {GATEWAY} lladdr ff:ff:ff:ff:ff:ff dev eth0"
        ));
        sender.send_to(b"x", (b.address, 7000)).unwrap();
        sender.send_to(b"x", (Ipv4Addr::BROADCAST, 7000)).unwrap();
        assert_eq!(receive(&inbox, BRIEFLY), None);
        UdpSocket::bind((GATEWAY, 0))
            .unwrap()
            .send_to(b"x", (b.address, 7000))
            .unwrap();
        assert!(receive(&inbox, PATIENCE).is_some(), "the inbox works");
    });
}

/// An address that comes back has no connections of the group that had it.
#[test]
fn privileged_a_released_address_has_no_past() {
    on_a_host(|| async {
        let host = Host::with(|config| config.quarantine = Duration::ZERO);
        let network = host.open().await;
        let a = start(&network, request("shop", "a")).await;
        let b = start(&network, request("shop", "b")).await;
        let (inbox, outbox) = (
            b.udp(b.address, 7000).unwrap(),
            a.udp(a.address, 7001).unwrap(),
        );
        outbox.send_to(b"x", (b.address, 7000)).unwrap();
        let from = receive(&inbox, PATIENCE).unwrap();
        inbox.send_to(b"x", from).unwrap();
        assert!(receive(&outbox, PATIENCE).is_some());
        assert_eq!(known_connections(a.address), 1);
        network.release(&a.uid).await.unwrap();
        assert_eq!(known_connections(a.address), 0);
    });
}

fn known_connections(address: Ipv4Addr) -> usize {
    let table = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack");
    let needle = format!("src={address} ");
    table
        .unwrap()
        .lines()
        .filter(|line| line.contains(&needle))
        .count()
}

#[test]
fn privileged_one_group_cannot_fill_the_connection_table() {
    on_a_host(|| async {
        let world = outside();
        // Connections that nobody accepts stay as they are.
        let _listener = inside(&world, || TcpListener::bind(("0.0.0.0", 80)).unwrap());
        let host = Host::with(|config| config.policy.connections_per_group_max = 20);
        let network = host.open().await;
        let greedy = start(&network, request("shop", "greedy")).await;
        let modest = start(&network, request("shop", "modest")).await;
        let hold = |group: &Group, count: usize| {
            inside(&group.netns, move || {
                let to = SocketAddr::new(OUTSIDE.into(), 80);
                let connect = |_| TcpStream::connect_timeout(&to, PATIENCE).ok();
                (0..count).filter_map(connect).collect::<Vec<_>>()
            })
        };
        assert_eq!(hold(&greedy, 40).len(), 20);
        assert_eq!(hold(&modest, 1).len(), 1);
    });
}
