//! What is promised of the Helm chart: it is sound, everything that it makes is taken by the API
//! server, and gives the leave that it is for and no more.

use std::process::Command;

use burstlet_tests::repository;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{IMAGE, NAME, Node, ask_as};
use crate::pods::running;
use crate::programs;

/// Everything that can be switched on.
const ALL: &str = "bootstrap.enabled=true,apiServer.enabled=true,monitoring.enabled=true,\
                   dashboards.enabled=true,monitoring.nodes[0].name=burst-1,\
                   monitoring.nodes[0].address=192.0.2.10";
/// What the account of the chart is called.
const READER: &str = "bills-nodes";
/// The Prometheus operator's kinds, which no cluster has by itself.
const OPERATORS: &str = "monitoring.coreos.com/v1";

/// A pod that goes where its class leads it.
const CLASSED: &str = "
apiVersion: v1
kind: Pod
metadata: {name: classed}
spec:
  runtimeClassName: burstlet
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: IMAGE, imagePullPolicy: Never, command: [sleep, '1000']}
";

/// The chart is installed, and its pieces do what they are for.
pub(crate) fn it_does_what_it_is_for(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let nodeless = helm(&["template", "--set=monitoring.enabled=true"]).unwrap_err();
    assert!(nodeless.contains("monitoring.nodes is empty"), "{nodeless}");
    helm(&["lint", "--strict", "--set", ALL]).unwrap();
    let all = helm(&["template", "bills", "--set", ALL]).unwrap();
    let (operators, own): (Vec<&str>, Vec<&str>) = all
        .split("\n---\n")
        .partition(|object| object.contains(OPERATORS));
    assert_eq!(operators.len(), 2, "a monitor and rules: {operators:?}");
    let own = own.join("\n---\n");
    admin.apply(&own);
    leads_pods(&admin);
    reads_metrics(cluster, &admin);
    // The account takes its token with it.
    let deleted = admin.feed(&["delete", "--ignore-not-found", "-f", "-"], own.as_bytes());
    assert_eq!(deleted.code, Some(0), "{}", deleted.stderr);
}

/// The class brings the toleration.
fn leads_pods(admin: &Kubectl) {
    // Its rights to use a new class are looked at by an informer.
    admin.wait_for("the class is known", || {
        let pod = CLASSED.replace("IMAGE", IMAGE);
        let asked = ["create", "--dry-run=server", "-f", "-"];
        admin.feed(&asked, pod.as_bytes()).code == Some(0)
    });
    admin.apply(&CLASSED.replace("IMAGE", IMAGE));
    let pod = running(admin, "classed");
    assert_eq!(pod["spec"]["nodeName"], NAME);
    admin.run(&["delete", "pod", "classed"]);
}

/// The account reads the bill, and looks at nothing else.
fn reads_metrics(cluster: &Cluster, admin: &Kubectl) {
    let token = admin.run(&["create", "token", READER]);
    let ca = format!("--certificate-authority={}", cluster.authority());
    let token = format!("--token={}", token.trim());
    let ask = |path: &str| ask_as(admin, &cluster.nobody(), &[&ca, &token], path);
    admin.wait_for("the account's role counts", || {
        ask("/metrics/billing").is_ok()
    });
    for path in ["/pods", "/stats/summary", "/exec/default/box/main"] {
        let why = ask(path).unwrap_err();
        assert!(why.to_lowercase().contains("forbidden"), "{path}: {why}");
    }
}

/// Runs Helm on the chart.
fn helm(args: &[&str]) -> Result<String, String> {
    let ended = Command::new(programs::helm())
        .args(args)
        .arg(repository().join("runtime-config/helm/burstlet"))
        .output()
        .unwrap();
    match ended.status.success() {
        true => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned()),
    }
}
