//! The built-in network over restarts, meddling and uninstallation, each test on a host of its own (see `support`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::fd::AsFd as _;
use std::time::Instant;

use burstlet_model::spec::Protocol;
use burstlet_network::{LeaseRequest, Network, check};
use support::*;

/// What `nft` says about a set of our own is what the elements' encoder has put there.
#[test]
fn privileged_nft_reads_what_netlink_wrote() {
    on_a_host(|| async {
        let _world = outside();
        let host = Host::new();
        let network = host.open().await;
        let empty = run("nft", "list ruleset");
        let ports = vec![
            port(None, Protocol::Tcp, 8080, 80),
            port(Some("192.0.2.1"), Protocol::Udp, 53, 5353),
            port(None, Protocol::Sctp, 9, 10),
        ];
        let group = start(
            &network,
            open(LeaseRequest {
                ports,
                ..request("shop", "web")
            }),
        )
        .await;
        let full = run("nft", "list ruleset");
        for element in [
            ". 0a:58:0a:63:00:02 . 10.99.0.2 }",
            "{ 10.99.0.2 : 0x00000001 }",
            "{ 0x00000001 . 10.99.0.2 }",
            "elements = { 10.99.0.2 }",
            "tcp . 8080 : 10.99.0.2 . 80",
            "sctp . 9 : 10.99.0.2 . 10",
            "{ 192.0.2.1 . udp . 53 : 10.99.0.2 . 5353 }",
            "10.99.0.2 . tcp . 80",
            "10.99.0.2 . udp . 5353",
            "10.99.0.2 . sctp . 10",
        ] {
            assert!(full.contains(element), "{element} in {full}");
            assert!(!empty.contains(element), "{element} in {empty}");
        }
        network.detach(&group.uid, None).await.unwrap();
        network.detach(&group.uid, None).await.unwrap();
        assert_eq!(
            without_counters(&run("nft", "list ruleset")),
            without_counters(&empty)
        );
    });
}

fn without_counters(rules: &str) -> String {
    rules
        .lines()
        .filter(|line| !line.contains("packets"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn privileged_meddling_is_undone() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let a = start(&network, request("shop", "a")).await;
        let b = start(&network, request("shop", "b")).await;
        let c = start(&network, request("bank", "c")).await;
        b.serve_tcp(80);
        let works = || {
            assert_eq!(a.connect((b.address, 80)).unwrap(), a.address);
            assert_refused(c.connect((b.address, 80)), "isolation");
        };
        works();
        assert_eq!(
            network.repair().await.unwrap(),
            burstlet_network::Reconciled::default()
        );

        run("nft", "flush ruleset");
        let report = network.repair().await.unwrap();
        assert!(report.rules_restored);
        works();

        ip(&format!("link set {BRIDGE} down"));
        assert!(a.connect_briefly((b.address, 80)).is_err());
        network.repair().await.unwrap();
        works();

        ip(&format!("link del {BRIDGE}"));
        let report = network.repair().await.unwrap();
        assert_eq!(report.links_repaired, 3);
        works();

        a.ip("link del eth0");
        let report = network.repair().await.unwrap();
        assert_eq!(report.detached, std::slice::from_ref(&a.uid));
        network.attach(&a.uid, a.netns.as_fd()).await.unwrap();
        works();

        run("nft", "flush ruleset");
        let d = start(&network, request("shop", "d")).await;
        assert!(
            d.connect((b.address, 80)).is_ok(),
            "an attach finds that the rules are gone"
        );
        works();
    });
}

#[test]
fn privileged_a_restart_changes_nothing_for_groups() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let a = start(&network, request("shop", "a")).await;
        let gone = start(&network, request("shop", "gone")).await;
        let stopped = network.lease(request("shop", "stopped")).await.unwrap();
        a.serve_tcp(80);
        gone.serve_tcp(80);
        drop(network);
        assert!(a.connect((gone.address, 80)).is_ok(), "without an agent");

        let network = reopen(&host).await;
        assert_eq!(network.lease_of(&a.uid).unwrap().address, Some(a.address));
        assert!(
            a.connect((gone.address, 80)).is_ok(),
            "before it has looked round"
        );
        let report = network
            .reconcile(
                std::slice::from_ref(&a.uid),
                std::slice::from_ref(&stopped.uid),
            )
            .await
            .unwrap();
        assert_eq!((report.links_removed, &report.detached[..]), (1, &[][..]));
        assert_eq!(
            network.lease_of(&gone.uid),
            None,
            "a lease without a group is released"
        );
        assert_eq!(network.lease_of(&stopped.uid), Some(stopped));
        let next = network.lease(request("shop", "next")).await.unwrap();
        assert_ne!(next.address, Some(gone.address), "quarantine");

        network
            .attach(&a.uid, a.netns.as_fd())
            .await
            .expect("what stands is kept");
        let b = start(&network, request("shop", "b")).await;
        assert!(b.connect((a.address, 80)).is_ok());
    });
}

/// The port of the name server is free a moment after the network was dropped.
async fn reopen(host: &Host) -> Network {
    tokio::task::yield_now().await;
    host.open().await
}

#[test]
fn privileged_an_address_is_kept_over_stop_and_start() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let a = start(&network, request("shop", "a")).await;
        let b = start(&network, request("shop", "b")).await;
        network.detach(&a.uid, Some(a.netns.as_fd())).await.unwrap();
        assert!(
            a.connect_briefly((b.address, 80)).is_err(),
            "no rules, no packets"
        );
        // The old namespace still lives when the new one is attached.
        let again = start(&network, request("shop", "a")).await;
        assert_eq!(again.address, a.address);
        again.serve_tcp(80);
        assert!(b.connect((again.address, 80)).is_ok());
    });
}

#[test]
fn privileged_teardown_leaves_nothing() {
    on_a_host(|| async {
        let look = || {
            let sysctl =
                |name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
            let links: Vec<String> = run("ip", "-o link")
                .lines()
                .map(|line| line.split(' ').nth(1).unwrap().to_owned())
                .collect();
            (
                links,
                run("nft", "list ruleset"),
                sysctl("ip_forward"),
                sysctl("conf/all/send_redirects"),
            )
        };
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let before = look();
        let host = Host::new();
        let network = host.open().await;
        let _a = start(&network, request("shop", "a")).await;
        assert_ne!(look(), before);
        network.teardown().await.unwrap();
        assert_eq!(look(), before);
    });
}

#[test]
fn privileged_meddling_is_heard_at_once() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let heard = async |within| {
            let heard = tokio::time::timeout(within, network.meddled()).await;
            heard.is_ok()
        };
        // What the program that loads our rules did is heard, and comes to nothing.
        while heard(BRIEFLY).await {
            assert!(!network.repair().await.unwrap().rules_restored);
        }
        let a = start(&network, request("shop", "a")).await;
        let b = start(&network, request("depot", "b")).await;
        network.detach(&b.uid, None).await.unwrap();
        run("nft", "add table inet other");
        assert!(!heard(BRIEFLY).await, "our own changes, and others' tables");
        let report = network.repair().await.unwrap();
        assert!(!report.rules_restored, "looked at anyway: {report:?}");
        let tables = run("nft", "list tables inet");
        let ours = tables
            .lines()
            .find(|line| !line.ends_with("other"))
            .unwrap();
        let ours = ours.strip_prefix("table ").unwrap();
        for meddling in [
            format!("flush set {ours} members"),
            format!("flush table {ours}"),
            format!("delete table {ours}"),
            "flush ruleset".to_owned(),
        ] {
            run("nft", &meddling);
            assert!(heard(PATIENCE).await, "{meddling}");
            assert!(network.repair().await.unwrap().rules_restored, "{meddling}");
            while heard(BRIEFLY).await {
                assert!(!network.repair().await.unwrap().rules_restored);
            }
            assert!(run("nft", &format!("list table {ours}")).contains(&a.address.to_string()));
        }
    });
}

#[test]
fn privileged_two_agents_on_one_host() {
    on_a_host(|| async {
        let one = Host::new();
        let two = Host::with(|config| {
            config.owner = "another".to_owned();
            config.mode = burstlet_network::Mode::Bridge(burstlet_network::BridgeConfig {
                name: "burst-test1".to_owned(),
                subnet: "10.98.0.0/24".parse().unwrap(),
                mtu: Some(1400),
            });
        });
        let (first, second) = (one.open().await, two.open().await);
        let a = start(&first, request("shop", "a")).await;
        let b = start(&second, request("shop", "a")).await;
        a.serve_tcp(80);
        b.serve_tcp(80);
        assert!(
            a.connect_briefly((b.address, 80)).is_err(),
            "another agent's group"
        );
        assert!(inside(&b.netns, || run("ip", "link show eth0")).contains("mtu 1400"));
        second.teardown().await.unwrap();
        assert_eq!(
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
            "1\n"
        );
        let c = start(&first, request("shop", "c")).await;
        assert!(c.connect((a.address, 80)).is_ok());
        let mut foreign = one.config.clone();
        foreign.owner = "a third".to_owned();
        foreign.state_dir = two.dir.path().to_owned();
        let error = Network::open(foreign).await.unwrap_err();
        assert_eq!(
            error.kind(),
            burstlet_model::ErrorKind::FailedPrecondition,
            "{error}"
        );
    });
}

#[test]
fn privileged_the_host_is_checked_before() {
    on_a_host(|| async {
        let host = Host::new();
        for finding in check(&host.config) {
            assert!(finding.ok, "{finding:?}");
        }
        assert_eq!(run("nft", "list ruleset"), "", "nothing is touched");
        ip(&format!("link add {BRIDGE} type bridge"));
        ip("link add other0 type bridge");
        ip("addr add 10.99.0.9/16 dev other0");
        ip("link set other0 up");
        run("nft", "add table inet other");
        let chain =
            "add chain inet other f { type filter hook forward priority 0 ; policy drop ; }";
        run("nft", chain);
        let bad: Vec<_> = check(&host.config)
            .into_iter()
            .filter(|finding| !finding.ok)
            .map(|f| f.what)
            .collect();
        assert_eq!(bad, ["forwarding rules of others", "bridge name", "subnet"]);
    });
}

/// No step may wait for one of the kernel's grace periods (15 ms and more each).
#[test]
fn privileged_attaching_is_quick() {
    on_a_host(|| async {
        let host = Host::new();
        let network = host.open().await;
        let mut times = Vec::new();
        let mut groups = Vec::new();
        let mut lease_times = Vec::new();
        for n in 0..40 {
            let netns = new_netns();
            let start = Instant::now();
            let lease = network
                .lease(request("shop", &format!("g{n}")))
                .await
                .unwrap();
            lease_times.push(start.elapsed());
            let start = Instant::now();
            network.attach(&lease.uid, netns.as_fd()).await.unwrap();
            times.push(start.elapsed());
            groups.push(netns);
        }
        times.sort();
        lease_times.sort();
        println!(
            "lease: p50 {:?}, p90 {:?}",
            lease_times[20], lease_times[36]
        );
        println!("attach: p50 {:?}, p90 {:?}", times[20], times[36]);
        assert!(times[20].as_millis() < 10, "p50 {:?}", times[20]);
        assert_eq!(network.usage().await.unwrap().len(), 40);
    });
}
