//! What Kubernetes expects of pods' network, each test on a host of its own (see `support`): pods
//! reach each other and their node, and Services lead to them. What is no pod takes no part.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{Ipv4Addr, TcpListener};

use support::*;

/// An address that no interface has, as Services have them.
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

#[test]
fn privileged_pods_reach_their_node_and_each_other() {
    on_a_host(|| async {
        let _world = outside();
        let host = Host::new();
        let network = host.open().await;
        let pod = start(&network, cluster(request("kube", "a"))).await;
        let other = start(&network, cluster(request("else", "b"))).await;
        let group = start(&network, request("kube", "c")).await;
        let open_group = start(&network, open(request("kube", "d"))).await;
        serve(TcpListener::bind(("0.0.0.0", 9000)).unwrap());
        for group in [&other, &group, &open_group] {
            group.serve_tcp(80);
        }
        for address in [GATEWAY, UPLINK] {
            let seen = pod.connect((address, 9000));
            assert_eq!(seen.unwrap(), pod.address, "{address}, not translated");
            assert_refused(group.connect((address, 9000)), "the host for a group");
            assert_refused(open_group.connect((address, 9000)), "for an open group");
        }
        let seen = pod.connect((other.address, 80));
        assert_eq!(seen.unwrap(), pod.address, "of another namespace");
        assert_refused(pod.connect((group.address, 80)), "a group for a pod");
        assert_refused(pod.connect((open_group.address, 80)), "an open one, too");
        assert_eq!(connect((other.address, 80).into()).unwrap(), GATEWAY);
    });
}

#[test]
fn privileged_services_of_the_host_lead_to_pods() {
    on_a_host(|| async {
        let world = outside();
        let host = Host::new();
        let network = host.open().await;
        let client = start(&network, cluster(request("kube", "client"))).await;
        let server = start(&network, cluster(request("else", "server"))).await;
        let group = start(&network, request("shop", "group")).await;
        server.serve_tcp(80);
        group.serve_tcp(80);
        lead(SERVICE, 80, server.address);
        lead(SERVICE, 81, group.address);
        lead(UPLINK, 30080, server.address);
        lead(UPLINK, 30081, group.address);

        let seen = client.connect((SERVICE, 80));
        assert_eq!(seen.unwrap(), client.address, "a pod by a Service");
        let brief = |from: &Group, port| from.connect_briefly((SERVICE, port));
        assert!(brief(&client, 81).is_err(), "a group by a Service");
        assert!(brief(&group, 80).is_err(), "a Service for a group");
        let from_outside = move |to: (Ipv4Addr, u16)| {
            inside(&world, move || connect_within(to.into(), BRIEFLY).is_ok())
        };
        assert!(from_outside((UPLINK, 30080)), "a port of the node");
        assert!(!from_outside((UPLINK, 30081)), "that leads to a group");
        assert!(!from_outside((server.address, 80)), "the pod itself");
    });
}

/// Leads a port of an address to port 80 of a group, as kube-proxy does it: in tables of its own.
fn lead(address: Ipv4Addr, port: u16, to: Ipv4Addr) {
    let rule = format!("ip daddr {address} tcp dport {port} dnat to {to}:80");
    run("nft", "add table ip services");
    let hook = "type nat hook prerouting priority dstnat;";
    run("nft", &format!("add chain ip services lead {{ {hook} }}"));
    run("nft", &format!("add rule ip services lead {rule}"));
}
