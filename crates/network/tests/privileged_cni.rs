//! CNI lists run with Debian's plugins (package `containernetworking-plugins`), each test on a
//! host of its own (see `support`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use burstlet_model::ErrorKind;
use burstlet_network::{Attached, CniConfig, LeaseRequest, Mode, Network, check};
use serde_json::{Value, json};
use support::*;

const PLUGINS: &str = "/usr/lib/cni";

/// A host whose groups are on a bridge that the plugins make.
fn cni_host(change: impl FnOnce(&mut Value)) -> Host {
    assert!(
        PathBuf::from(PLUGINS).join("bridge").exists(),
        "containernetworking-plugins is needed"
    );
    Host::with(|config| {
        let mut list = json!({
            "cniVersion": "1.0.0",
            "name": "test",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "cni-test0",
                    "isGateway": true,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": config.state_dir.join("ipam"),
                        "ranges": [[{ "subnet": "10.97.0.0/24" }]],
                        "routes": [{ "dst": "0.0.0.0/0" }],
                    },
                    "dns": { "nameservers": ["10.97.0.1"], "search": ["lan"] },
                },
                { "type": "tuning", "mac": "0a:58:0a:61:00:02" },
            ],
        });
        change(&mut list);
        let conf_dir = config.state_dir.join("net.d");
        std::fs::create_dir(&conf_dir).unwrap();
        std::fs::write(conf_dir.join("10-test.conflist"), list.to_string()).unwrap();
        config.mode = Mode::Cni(CniConfig {
            conf_dir,
            bin_dirs: vec![PLUGINS.into()],
            network: None,
        });
    })
}

async fn attach(network: &Network, group: LeaseRequest) -> (Group, Attached) {
    let netns = new_netns();
    let lease = network.lease(group).await.unwrap();
    assert_eq!(lease.address, None, "the plugins choose");
    let attached = network.attach(&lease.uid, netns.as_fd()).await.unwrap();
    let IpAddr::V4(address) = attached.addresses[0] else {
        panic!("{attached:?}")
    };
    (
        Group {
            uid: lease.uid,
            netns,
            address,
        },
        attached,
    )
}

#[test]
fn privileged_cni_add_check_and_del() {
    on_a_host(|| async {
        let host = cni_host(|_| {});
        assert!(check(&host.config).iter().all(|finding| finding.ok));
        let network = host.open().await;
        let (a, attached) = attach(&network, request("shop", "a")).await;
        let dns = attached.dns.clone().unwrap();
        assert_eq!(
            (dns.searches, dns.servers),
            (vec!["lan".to_owned()], vec!["10.97.0.1".parse().unwrap()])
        );
        assert!(inside(&a.netns, || run("ip", "link show eth0")).contains("0a:58:0a:61:00:02"));
        a.serve_tcp(80);
        assert_eq!(
            connect((a.address, 80).into()).unwrap(),
            IpAddr::from([10, 97, 0, 1])
        );

        let again = network.attach(&a.uid, a.netns.as_fd()).await.unwrap();
        assert_eq!(again, attached, "what stands is kept");
        network
            .check_attached(&a.uid, a.netns.as_fd())
            .await
            .unwrap();
        a.ip("addr flush dev eth0");
        assert!(
            network
                .check_attached(&a.uid, a.netns.as_fd())
                .await
                .is_err()
        );

        network.detach(&a.uid, Some(a.netns.as_fd())).await.unwrap();
        network.detach(&a.uid, Some(a.netns.as_fd())).await.unwrap();
        assert!(!inside(&a.netns, || run("ip", "-brief link")).contains("eth0"));
        assert_eq!(addresses_in_use(&host), 0);
        network.release(&a.uid).await.unwrap();
        assert_eq!(network.lease_of(&a.uid), None);
    });
}

/// What host-local has given out.
fn addresses_in_use(host: &Host) -> usize {
    let dir = host.config.state_dir.join("ipam/test");
    let names = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("10."))
        .count()
}

#[test]
fn privileged_cni_failed_add_is_cleared() {
    on_a_host(|| async {
        let host = cni_host(|list| list["plugins"][1]["mac"] = json!("no mac"));
        let network = host.open().await;
        let netns = new_netns();
        let lease = network.lease(request("shop", "a")).await.unwrap();
        let error = network.attach(&lease.uid, netns.as_fd()).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("CNI plugin tuning failed to ADD"),
            "{error}"
        );
        assert!(!inside(&netns, || run("ip", "-brief link")).contains("eth0"));
        assert_eq!(addresses_in_use(&host), 0);
    });
}

#[test]
fn privileged_cni_leftovers_of_a_crash_are_cleared() {
    on_a_host(|| async {
        let host = cni_host(|_| {});
        let network = host.open().await;
        let (live, attached) = attach(&network, request("shop", "live")).await;
        let gone = network.lease(request("shop", "gone")).await.unwrap();
        let netns = new_netns();
        // Its address is the plugin's to choose, the Ethernet address is another.
        network.attach(&gone.uid, netns.as_fd()).await.unwrap();
        assert_eq!(addresses_in_use(&host), 2);
        drop((network, netns));
        let network = host.open().await;
        let address = network.address_of(&live.uid).unwrap();
        assert_eq!(address, Some(live.address.into()));
        network
            .reconcile(std::slice::from_ref(&live.uid), &[])
            .await
            .unwrap();
        assert_eq!(network.address_of(&gone.uid).unwrap(), None);
        assert_eq!(addresses_in_use(&host), 1);
        assert_eq!(network.lease_of(&gone.uid), None);
        assert_eq!(
            network.attach(&live.uid, live.netns.as_fd()).await.unwrap(),
            attached
        );
    });
}

#[test]
fn privileged_cni_without_a_list_says_so() {
    on_a_host(|| async {
        let host = cni_host(|_| {});
        let mut config = host.config.clone();
        if let Mode::Cni(cni) = &mut config.mode {
            cni.network = Some("other".to_owned());
        }
        let error = Network::open(config.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        assert!(!check(&config)[0].ok);
    });
}
