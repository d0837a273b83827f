//! What the scenarios look at: pods that say who they are and who asks, the Services that lead to them,
//! and how both are asked.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use burstlet_testkit::image::{Entry, ImageBuilder};
use burstlet_tests::fetch;
use serde_json::Value;

use super::names::Names;
use super::world::World;
use crate::cluster::Cluster;
use crate::kubectl::{Kubectl, PATIENCE};
use crate::node::{IMAGE, Node};
use crate::pods::{pod, running, template};
use crate::programs;

/// The pod that asks. It serves, too, by the Service `mirror`.
pub(super) const CLIENT: &str = "client";
/// The image of the pod that asks: busybox and a client on client-go.
const CLIENT_IMAGE: &str = "localhost/client:1";
/// Where a server says who it is and who asks.
pub(super) const WHO: &str = "/cgi-bin/who";
/// The first address of what the node is allotted is its own, as pods see it.
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// Answers in a row of which some would come from another pod, if any could.
const MANY: u8 = 16;

/// Says at port 8080 who it is and who asks, and at 9000 what it is told. It is ready while a file is
/// there.
const SERVE: &str = "mkdir -p /tmp/w/cgi-bin; who=/tmp/w/cgi-bin/who; echo '#!/bin/sh' >$who; \
    echo 'printf \"Content-Type: text/plain\\r\\n\\r\\n$(hostname) $REMOTE_ADDR\\n\"' >>$who; \
    chmod +x $who; touch /tmp/ready; nc -ll -p 9000 -e cat & exec httpd -f -p 0.0.0.0:8080 -h /tmp/w";
const READINESS: &str = "readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, \
    periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 1}";

/// Everything that a scenario looks at.
pub(super) struct Site<'c> {
    pub(super) admin: Kubectl,
    pub(super) node: &'c Node,
    pub(super) world: &'c World,
    pub(super) names: Names<'c>,
}

/// What a server has said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Answer {
    /// Which pod it is.
    pub(super) pod: String,
    /// Who it was asked by.
    pub(super) from: IpAddr,
}

/// Makes the pods and their Services.
pub(super) fn populate(cluster: &Cluster, node: &Node) {
    let client = fs::read(programs::go_client()).unwrap();
    let image = ImageBuilder::busybox().unwrap();
    let image = image.layer(vec![Entry::file("bin/client", client).mode(0o755)]);
    let archive = image.build().unwrap().oci_archive(CLIENT_IMAGE).unwrap();
    node.borrow().ok_with(&["import", "-"], &archive);
    let admin = cluster.admin();
    let asking = pod(CLIENT, SERVE, "").replace(IMAGE, CLIENT_IMAGE);
    let labelled = format!("metadata: {{name: {CLIENT}, labels: {{app: {CLIENT}}}}}");
    admin.apply(&asking.replace(&format!("metadata: {{name: {CLIENT}}}"), &labelled));
    admin.apply(include_str!("services.yaml"));
    admin.apply(&workload("Deployment", "web", ""));
    admin.apply(&workload("StatefulSet", "db", "  serviceName: db\n"));
    running(&admin, CLIENT);
    for workload in ["deployment/web", "statefulset/db"] {
        admin.run(&["rollout", "status", workload, "--timeout=60s"]);
    }
}

/// Two pods that serve, with more lines of the `spec`.
fn workload(kind: &str, name: &str, more: &str) -> String {
    let template = template(SERVE, 6);
    format!(
        "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  replicas: 2\n{more}  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec:\n{template}        {READINESS}\n"
    )
}

impl<'c> Site<'c> {
    pub(super) fn new(
        world: &'c World,
        cluster: &Cluster,
        node: &'c Node,
        names: Names<'c>,
    ) -> Self {
        Self {
            admin: cluster.admin(),
            node,
            world,
            names,
        }
    }

    /// Runs a command in a pod.
    pub(super) fn inside(&self, pod: &str, command: &[&str]) -> Result<String, String> {
        self.admin
            .try_run(&[&["exec", pod, "--"], command].concat())
    }

    /// What the client is told there, once it is.
    pub(super) fn answer(&self, host: &str) -> Answer {
        let url = format!("http://{host}{WHO}");
        let get = ["timeout", "5", "wget", "-q", "-O", "-", &url];
        until(&url, || parse(&self.inside(CLIENT, &get)?))
    }

    /// What the host is told there, once it is.
    pub(super) fn answer_to_host(&self, server: SocketAddr) -> Answer {
        until(&server.to_string(), || asked(server))
    }

    /// What another machine is told there, once it is what was expected.
    pub(super) fn answer_outside(
        &self,
        server: SocketAddr,
        is_expected: impl Fn(&Answer) -> bool,
    ) -> Answer {
        until(&server.to_string(), || {
            let answer = self.world.outside(|| asked(server))?;
            match is_expected(&answer) {
                true => Ok(answer),
                false => Err(format!("{answer:?}")),
            }
        })
    }

    /// Waits until these, and no others, answer the client there.
    pub(super) fn answered_by(&self, host: &str, pods: &[&str]) {
        let expected: BTreeSet<&str> = pods.iter().copied().collect();
        let ask = format!("timeout 5 wget -q -O - http://{host}{WHO} || echo nobody -");
        let script = format!("for i in $(seq {MANY}); do {ask}; done");
        until(host, || {
            let said = self.inside(CLIENT, &["sh", "-c", &script])?;
            let seen = said.lines().filter_map(|line| line.split(' ').next());
            let is_so = seen.collect::<BTreeSet<_>>() == expected;
            if is_so { Ok(()) } else { Err(said) }
        });
    }

    /// The pods of a workload, by their names.
    pub(super) fn pods_of(&self, app: &str) -> Vec<Value> {
        let label = format!("app={app}");
        let mut pods = self.admin.get(&["pods", "-l", &label]).unwrap();
        let Value::Array(pods) = pods["items"].take() else {
            panic!("no list: {pods}");
        };
        pods
    }

    /// The address of a Service.
    pub(super) fn address_of(&self, service: &str) -> Ipv4Addr {
        let service = self.admin.get(&["service", service]).unwrap();
        let address = service["spec"]["clusterIP"].as_str().unwrap();
        address.parse().unwrap()
    }

    /// Changes a Service.
    pub(super) fn patch(&self, service: &str, spec: &str) {
        let patch = format!("{{\"spec\": {spec}}}");
        self.admin.run(&["patch", "service", service, "-p", &patch]);
    }
}

/// The name of an object.
pub(super) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// The address of a pod.
pub(super) fn ip_of(pod: &Value) -> IpAddr {
    pod["status"]["podIP"].as_str().unwrap().parse().unwrap()
}

/// Asks again and again until it is answered as it should be.
fn until<T>(what: &str, ask: impl Fn() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(said) => assert!(Instant::now() < deadline, "{what}: {said}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn asked(server: SocketAddr) -> Result<Answer, String> {
    parse(&fetch(server, WHO).map_err(|error| error.to_string())?)
}

fn parse(said: &str) -> Result<Answer, String> {
    let parts = said.trim().split_once(' ');
    let answer = parts.and_then(|(pod, from)| {
        Some(Answer {
            pod: pod.to_owned(),
            from: from.parse().ok()?,
        })
    });
    answer.ok_or_else(|| format!("{said:?}"))
}
