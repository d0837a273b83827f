//! Not a test: the cluster stays for a person until it is told to go, by `hack/kube`.

use nix::sys::signal::{SigSet, Signal};

use crate::cluster::Cluster;
use crate::node::Node;

/// Says how to get there, and waits for the end.
///
/// The signals are blocked only here: whatever is started inherits the mask, and what runs by now has
/// to hear them. They stay blocked, so that nobody cuts the tidying up short.
pub(crate) fn until_told(cluster: &Cluster, _: &Node) {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    signals.thread_block().unwrap();
    println!("process {}", std::process::id());
    println!("export PATH={}:$PATH", cluster.programs().display());
    println!("export KUBECONFIG={}", cluster.admin().config().display());
    signals.wait().unwrap();
}
