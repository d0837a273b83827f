//! What users are promised of costs: a pod says what it costs, without many writes.

use std::time::{Duration, Instant};

use burstlet_tests::repository;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{Node, condition};
use crate::pods::{phase, pod, running};
use crate::writes;

/// The condition.
const COST: &str = "burstlet.dev/Cost";
/// A pod's cost is not said more often.
const PERIOD: Duration = Duration::from_secs(60);

/// A pod says what it costs with the write that says that it runs, after a minute what it has cost until
/// then, and with its end what it came to.
pub(crate) fn are_said(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    give_prices(node);
    let began = Instant::now();
    let script = "while [ ! -e /tmp/end ]; do sleep 0.2; done";
    let more = "    resources: {requests: {cpu: 500m, memory: 256M}}\n  restartPolicy: Never\n";
    admin.apply(&pod("costly", script, more));
    let first = cost(&running(&admin, "costly"));
    // Half a core and 256 MB, by the book.
    assert!(
        first.ends_with(" USD so far, 0.021389 USD an hour"),
        "{first}"
    );
    let before = writes::statuses(cluster, "costly");
    let later = changed(&admin, &first);
    assert!(
        began.elapsed() > PERIOD,
        "{later} after {:?}",
        began.elapsed()
    );
    assert_eq!(writes::statuses(cluster, "costly"), before + 1, "{later}");
    admin.run(&["exec", "costly", "--", "touch", "/tmp/end"]);
    let ended = admin.wait_until(&["pod", "costly"], "ended", |pod| phase(pod) == "Succeeded");
    let said = condition(&ended.unwrap(), COST).clone();
    assert_eq!(
        (&said["status"], &said["reason"]),
        (&"False".into(), &"Ended".into())
    );
    let bill = node.borrow().group("costly")["status"]["cost"].take();
    let sum: f64 = bill["cost"].as_str().unwrap().parse().unwrap();
    let message = said["message"].as_str().unwrap();
    let told: f64 = message
        .strip_suffix(" USD in all")
        .unwrap()
        .parse()
        .unwrap();
    assert!((told - sum).abs() < 1e-6, "{message} of {bill}");
    admin.run(&["delete", "pod", "costly"]);
}

/// Starts the agent again with a price book.
fn give_prices(node: &Node) {
    let path = node.borrow().config();
    let before = std::fs::read_to_string(&path).unwrap();
    let book = repository().join("runtime-config/books/example.toml");
    let book = book.canonicalize().unwrap();
    let section = format!("[billing]\nprice_books = [{book:?}]\n");
    std::fs::write(&path, format!("{before}\n{section}")).unwrap();
    node.borrow_mut().crash();
    node.borrow_mut().launch();
}

/// Waits until something else is said of the pod's cost.
fn changed(admin: &Kubectl, before: &str) -> String {
    let deadline = Instant::now() + 3 * PERIOD;
    loop {
        let now = cost(&admin.get(&["pod", "costly"]).unwrap());
        if now != before {
            return now;
        }
        assert!(Instant::now() < deadline, "it stays {before}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// What a pod says of its cost while that lasts.
fn cost(pod: &Value) -> String {
    let said = condition(pod, COST);
    assert_eq!(said["status"], "True", "{pod}");
    said["message"].as_str().unwrap().to_owned()
}
