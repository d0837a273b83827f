//! What is promised of names, and of the API server's Service.

use std::net::IpAddr;

use serde_json::Value;

use super::names::ADDRESS;
use super::site::{CLIENT, Site, ip_of, name_of};
use crate::allotted::{SELF_TEST, says};
use crate::cluster::API_SERVICE;
use crate::node::{NAME, condition};
use crate::pods::running;

/// The headless Service of a StatefulSet tells the addresses of its pods, and of each by its own name;
/// also when it has another one.
pub(super) fn pods_of_a_set_have_names(site: &Site<'_>) {
    let told = |name: &str, addresses: &[IpAddr]| {
        let name = format!("{name}.default.svc.cluster.local");
        site.admin.wait_for(&name, || {
            let said = site.inside(CLIENT, &["nslookup", "-type=a", &name]);
            let mut answers = answers(&said.unwrap_or_default());
            answers.sort();
            answers == addresses
        });
    };
    let pods = site.pods_of("db");
    let mut addresses: Vec<IpAddr> = pods.iter().map(ip_of).collect();
    for pod in &pods {
        told(&format!("{}.db", name_of(pod)), &[ip_of(pod)]);
        let answer = site.answer(&format!("{}.db:8080", name_of(pod)));
        assert_eq!(answer.pod, name_of(pod));
    }
    addresses.sort();
    told("db", &addresses);
    let before = ip_of(&pods[1]);
    site.admin.run(&["delete", "pod", "db-1"]);
    let after = ip_of(&running(&site.admin, "db-1"));
    assert_ne!(after, before, "an address rests");
    told("db-1.db", &[after]);
    assert_eq!(site.answer("db-1.db:8080").pod, "db-1");
}

/// The addresses that `nslookup` prints after the server's own.
fn answers(said: &str) -> Vec<IpAddr> {
    let lines = said.lines().skip_while(|line| !line.starts_with("Name:"));
    let addresses = lines.filter_map(|line| line.strip_prefix("Address: "));
    addresses
        .filter_map(|text| text.trim().parse().ok())
        .collect()
}

/// A pod reaches the API server by the name of its Service, trusts it by what its account brings, and is
/// known by its token.
pub(super) fn pods_reach_the_api_server(site: &Site<'_>) {
    let name = "kubernetes.default.svc.cluster.local";
    site.admin.wait_for(name, || {
        let said = site.inside(CLIENT, &["nslookup", "-type=a", name]);
        answers(&said.unwrap_or_default()) == [IpAddr::from(API_SERVICE)]
    });
    let said = site.inside(CLIENT, &["client", "whoami"]).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    let user = &said["status"]["userInfo"]["username"];
    assert_eq!(user, "system:serviceaccount:default:default", "{said:#}");
}

/// The node says that names are told, and when they are not.
pub(super) fn the_node_says_whether_they_are_told(site: &Site<'_>) {
    let told = |status: &str| {
        let said = site.admin.wait_until(&["node", NAME], status, |node| {
            node.is_some_and(|node| says(node, SELF_TEST, status))
        });
        condition(&said.unwrap(), SELF_TEST)["message"].to_string()
    };
    assert!(told("False").contains("answers"));
    site.names.stop();
    let trouble = told("True");
    assert!(trouble.contains(&format!("{ADDRESS}:53")), "{trouble}");
    site.names.start();
    told("False");
}
