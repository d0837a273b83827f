//! kube-proxy on the host of the scenarios, as kubeadm configures it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use burstlet_tests::fetch;

use crate::cluster::{Beside, Cluster, PODS};
use crate::node::NAME;
use crate::programs;

/// Whose identity it has; every cluster binds its role to this user.
const USER: &str = "system:kube-proxy";
/// Where it says that it has done what there was to do.
const HEALTH: ([u8; 4], u16) = ([127, 0, 0, 1], 10256);
/// How what leads Services is named in either mode. The chain KUBE-FIREWALL stays: it is a kubelet's, too.
const MARKS: [&str; 3] = ["KUBE-SERVICES", "KUBE-POSTROUTING", "kube-proxy"];

/// A running kube-proxy.
pub(super) struct Proxy {
    running: Option<Beside>,
    /// The tables of rules that were there before.
    before: BTreeSet<String>,
}

impl Proxy {
    /// Starts it and waits until Services lead somewhere.
    pub(super) fn start(cluster: &Cluster, mode: &str) -> Self {
        let before = tables();
        let config = configuration(cluster, mode);
        let args = [format!("--config={}", config.display())];
        let running = cluster.start_beside(&programs::kube_proxy(), &args);
        let proxy = Self {
            running: Some(running),
            before,
        };
        cluster.admin().wait_for("kube-proxy is well", || {
            fetch(HEALTH.into(), "/healthz").is_ok()
        });
        proxy
    }

    /// Ends it as an operator does who wants nothing of it left, and looks whether it is so.
    pub(super) fn finish(mut self) {
        drop(self.running.take());
        let cleaned = Command::new(programs::kube_proxy())
            .arg("--cleanup")
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&cleaned.stderr);
        assert!(cleaned.status.success(), "{complaints}");
        let rules = nft(&["list", "ruleset"]);
        for mark in MARKS {
            assert!(!rules.contains(mark), "{mark} in {rules}");
        }
        // Tables of the program iptables stay, and are this host's.
        for table in tables().difference(&self.before) {
            let words: Vec<&str> = table.split(' ').collect();
            nft(&[&["delete"], &words[..]].concat());
        }
    }
}

fn configuration(cluster: &Cluster, mode: &str) -> PathBuf {
    let identity = cluster.kubeconfig("kube-proxy", USER, &[]);
    let path = cluster.scratch().join("kube-proxy.yaml");
    let text = include_str!("proxy.yaml")
        .replace("MODE", mode)
        .replace("NODE", NAME)
        .replace("PODS", PODS)
        .replace("KUBECONFIG", identity.to_str().unwrap());
    fs::write(&path, text).unwrap();
    path
}

/// The tables of rules, each with its family.
fn tables() -> BTreeSet<String> {
    nft(&["list", "tables"])
        .lines()
        .map(str::to_owned)
        .collect()
}

fn nft(args: &[&str]) -> String {
    let done = Command::new("nft").args(args).output().unwrap();
    let complaints = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "nft {args:?}: {complaints}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}
