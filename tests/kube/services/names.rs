//! CoreDNS, in either of the places where clusters have it: on the host, or in a pod that asks the API
//! server by its Service, with the token of its account. Its own Service has the same address in both.

use std::cell::RefCell;
use std::fs;

use burstlet_testkit::image::{Entry, ImageBuilder, Packing};

use super::world::HOST;
use crate::cluster::{Beside, Cluster};
use crate::node::Node;
use crate::programs;

/// The address of its Service.
pub(super) const ADDRESS: &str = "10.97.0.10";
/// Its image.
const IMAGE: &str = "localhost/coredns:1";
/// The user that it is where it is no pod.
const USER: &str = "coredns";
/// What it may look at, wherever it is.
const ROLE: &str = include_str!("names.yaml");
const IN_A_POD: &str = include_str!("names-pod.yaml");
const ON_THE_HOST: &str = include_str!("names-host.yaml");

/// Where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Host,
    Pod,
}

/// The cluster's name server.
pub(super) struct Names<'c> {
    cluster: &'c Cluster,
    place: Place,
    /// On the host.
    running: RefCell<Option<Beside>>,
}

impl<'c> Names<'c> {
    /// What it needs wherever it is.
    pub(super) fn prepare(cluster: &Cluster, node: &Node) {
        let program = fs::read(programs::coredns()).unwrap();
        let image = ImageBuilder::default()
            .layer(vec![Entry::file("coredns", program).mode(0o755)])
            .entrypoint(&["/coredns"])
            .packing(Packing::None);
        let archive = image.build().unwrap().oci_archive(IMAGE).unwrap();
        node.borrow().ok_with(&["import", "-"], &archive);
        cluster.admin().apply(ROLE);
    }

    /// Brings it there and starts it.
    pub(super) fn install(cluster: &'c Cluster, place: Place) -> Self {
        let names = Self {
            cluster,
            place,
            running: RefCell::default(),
        };
        cluster.admin().apply(&names.objects());
        names.start();
        names
    }

    /// Starts it.
    pub(super) fn start(&self) {
        match self.place {
            Place::Pod => self.scale("1"),
            Place::Host => {
                let identity = self.cluster.kubeconfig("coredns", USER, &[]);
                let path = self.cluster.scratch().join("Corefile");
                let text = include_str!("Corefile")
                    .replace("WHERE", &format!("bind {HOST}"))
                    .replace("IDENTITY", &format!("kubeconfig {}", identity.display()));
                fs::write(&path, text).unwrap();
                let args = ["-conf".to_owned(), path.display().to_string()];
                let running = self.cluster.start_beside(&programs::coredns(), &args);
                *self.running.borrow_mut() = Some(running);
            }
        }
    }

    /// Stops it; nobody answers.
    pub(super) fn stop(&self) {
        match self.place {
            Place::Pod => self.scale("0"),
            Place::Host => drop(self.running.borrow_mut().take()),
        }
    }

    /// Stops it and takes it away.
    pub(super) fn remove(&self) {
        self.stop();
        let admin = self.cluster.admin();
        let deleted = admin.feed(&["delete", "-f", "-"], self.objects().as_bytes());
        assert_eq!(deleted.code, Some(0), "{}", deleted.stderr);
    }

    fn objects(&self) -> String {
        let text = match self.place {
            Place::Pod => IN_A_POD,
            Place::Host => ON_THE_HOST,
        };
        // The lines of the file in the map are indented.
        let file = include_str!("Corefile").replace('\n', "\n    ");
        let file = file.replace("WHERE", "").replace("IDENTITY", "");
        text.replace("COREFILE", &file)
            .replace("IMAGE", IMAGE)
            .replace("HOST", &HOST.to_string())
            .replace("ADDRESS", ADDRESS)
    }

    fn scale(&self, replicas: &str) {
        let replicas = format!("--replicas={replicas}");
        let deployment = ["scale", "-n", "kube-system", "deployment/coredns"];
        let admin = self.cluster.admin();
        admin.run(&[&deployment[..], &[replicas.as_str()]].concat());
    }
}
