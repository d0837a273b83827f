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

/// A pod that a Service leads back to itself answers whoever has sent it there: the packet has the mark by
/// which kube-proxy knows, later on, whose source is to be translated. Whether bridges ask the rules for
/// routed packets does not matter.
#[test]
fn privileged_services_lead_pods_to_themselves() {
    for is_with_br_netfilter in [true, false] {
        on_a_host(move || async move {
            if !is_with_br_netfilter {
                without_br_netfilter();
            }
            let host = Host::new();
            let network = host.open().await;
            let pod = start(&network, cluster(request("kube", "itself"))).await;
            let other = start(&network, cluster(request("kube", "other"))).await;
            pod.serve_tcp(80);
            lead(SERVICE, 80, pod.address);
            mark_from(pod.address);
            let itself = pod.connect((SERVICE, 80));
            assert_eq!(itself.unwrap(), GATEWAY, "a pod for itself");
            let seen = other.connect((SERVICE, 80));
            assert_eq!(seen.unwrap(), other.address, "for another one");
        });
    }
}

/// Translates the source of what a pod sends to a Service that leads to itself, as kube-proxy does it: by
/// a mark that is put on before it is routed.
fn mark_from(pod: Ipv4Addr) {
    let mark = format!("ip saddr {pod} ip daddr {SERVICE} meta mark set meta mark or 0x4000");
    run("nft", "add table ip marks");
    let before = "type filter hook prerouting priority mangle;";
    run("nft", &format!("add chain ip marks before {{ {before} }}"));
    run("nft", &format!("add rule ip marks before {mark}"));
    let after = "type nat hook postrouting priority srcnat;";
    run("nft", &format!("add chain ip marks after {{ {after} }}"));
    let masked = "meta mark and 0x4000 == 0x4000";
    run(
        "nft",
        &format!("add rule ip marks after {masked} masquerade"),
    );
}

/// Leads a port of an address to port 80 of a group, as kube-proxy does it: in tables of its own.
fn lead(address: Ipv4Addr, port: u16, to: Ipv4Addr) {
    let rule = format!("ip daddr {address} tcp dport {port} dnat to {to}:80");
    run("nft", "add table ip services");
    let hook = "type nat hook prerouting priority dstnat;";
    run("nft", &format!("add chain ip services lead {{ {hook} }}"));
    run("nft", &format!("add rule ip services lead {rule}"));
}
