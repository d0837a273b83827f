//! What users are promised of `kubectl debug`: a container is added to a pod that runs and looks
//! into it, a copy of a pod with a helper beside it runs, and debugging of the node itself is refused
//! with its reason.

use burstlet_tests::Person;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{IMAGE, NAME, Node};
use crate::pods::{gone, phase, pod, running};

/// Looks around, and goes on until it is told to end.
const LOOK: &str =
    "ps; until test -e /stop; do sleep 0.1; done; echo last >/dev/termination-log; exit 7";

/// Adds containers to one pod.
struct Debugged<'k> {
    admin: &'k Kubectl,
    pod: &'k str,
}

impl Debugged<'_> {
    /// Adds a container that runs `script`.
    fn add(&self, name: &str, options: &[&str], script: &str) {
        let (container, image) = (format!("--container={name}"), format!("--image={IMAGE}"));
        let usual = [
            &*container,
            &image,
            "--image-pull-policy=Never",
            "--profile=baseline",
        ];
        let begin = ["debug", self.pod, "--attach=false"];
        let command = ["--", "sh", "-c", script];
        let all = [&begin[..], &usual, options, &command].concat();
        self.admin.run(&all);
    }

    /// The status of one of them, once it is as it should be.
    fn status(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let pod = self.admin.wait_until(&["pod", self.pod], what, |pod| {
            pod.is_some_and(|pod| is_so(status_of(pod, name)))
        });
        status_of(&pod.unwrap(), name).clone()
    }

    fn runs(&self, name: &str) -> Value {
        self.status(name, "running", |status| {
            status["state"]["running"]["startedAt"].is_string()
        })
    }

    /// How it ended.
    fn ended(&self, name: &str) -> Value {
        let over = |status: &Value| status["state"]["terminated"].is_object();
        self.status(name, "over", over)["state"]["terminated"].clone()
    }

    /// What it waits for, once that is told.
    fn waits(&self, name: &str, reasons: &[&str]) -> String {
        let waits = |status: &Value| {
            let reason = status["state"]["waiting"]["reason"].as_str();
            reason.is_some_and(|reason| reasons.contains(&reason))
        };
        let status = self.status(name, "waiting", waits);
        let message = status["state"]["waiting"]["message"].as_str();
        message.unwrap_or_default().to_owned()
    }

    fn exec(&self, name: &str, script: &str) -> String {
        let exec = ["exec", self.pod, "-c", name, "--", "sh", "-c", script];
        self.admin.run(&exec)
    }

    /// Makes a file that a container waits for to end.
    fn end(&self, name: &str, file: &str) {
        let exec = ["exec", self.pod, "-c", name, "--", "touch", file];
        // The command may be killed with the container, whose end shows that it was run.
        let _ = self.admin.try_run(&exec);
    }

    fn logs(&self, name: &str) -> Result<String, String> {
        self.admin.try_run(&["logs", self.pod, "-c", name])
    }
}

fn status_of<'p>(pod: &'p Value, name: &str) -> &'p Value {
    const NONE: &Value = &Value::Null;
    let all = pod["status"]["ephemeralContainerStatuses"].as_array();
    let mut all = all.into_iter().flatten();
    all.find(|status| status["name"] == name).unwrap_or(NONE)
}

/// A container that is added runs beside the others, sees the processes of the one that it targets,
/// runs once, and neither the pod nor its end depend on it.
pub(crate) fn looks_into_a_pod(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("looked-into", "exec sleep 4321", ""));
    let before = running(&admin, "looked-into");
    let debugged = Debugged {
        admin: &admin,
        pod: "looked-into",
    };
    debugged.add("peer", &["--target=main"], LOOK);
    debugged.add("alone", &[], LOOK);
    debugged.runs("peer");
    debugged.runs("alone");
    let sees = |name: &str| {
        debugged
            .logs(name)
            .is_ok_and(|log| log.contains("sleep 4321"))
    };
    admin.wait_for("it sees the processes of its target", || sees("peer"));
    admin.wait_for("it looks around", || {
        debugged.logs("alone").is_ok_and(|log| log.contains("ps"))
    });
    assert!(!sees("alone"), "{:?}", debugged.logs("alone"));
    let first = "tr '\\0' ' ' </proc/1/cmdline; hostname";
    assert_eq!(
        debugged.exec("peer", first).trim(),
        "sleep 4321 looked-into"
    );
    assert!(
        debugged.exec("alone", first).ends_with("looked-into\n"),
        "one host name for all"
    );
    debugged.end("peer", "/stop");
    let ended = debugged.ended("peer");
    assert_eq!(
        (&ended["exitCode"], &ended["message"]),
        (&7.into(), &"last\n".into())
    );
    told(&admin, "peer");
    typed_at(&debugged);
    let after = running(&admin, "looked-into");
    let main = |pod: &Value| pod["status"]["containerStatuses"][0].clone();
    assert_eq!(main(&after), main(&before), "nothing happens to the others");
    assert_eq!(phase(Some(&after)), "Running");
    assert_eq!(status_of(&after, "peer")["restartCount"], 0);
    debugged.runs("alone");
    admin.run(&["delete", "pod", "looked-into"]);
    gone(&admin, "looked-into");
    let left = node.borrow().ctl(&["get", "looked-into"]);
    assert_ne!(left.code, Some(0), "{left:?}");
}

/// Events tell of it by its place in the pod.
fn told(admin: &Kubectl, container: &str) {
    let path = format!(
        "--field-selector=involvedObject.fieldPath=spec.ephemeralContainers{{{container}}}"
    );
    let is_there = |events: &Value, reason: &str| {
        let mut events = events["items"].as_array().into_iter().flatten();
        events.any(|event| event["reason"] == reason)
    };
    admin.wait_until(&["events", &path], "told", |events| {
        let reasons = ["Pulled", "Created", "Started"];
        reasons
            .iter()
            .all(|reason| is_there(events.unwrap(), reason))
    });
}

/// A person has a terminal in one, as `kubectl debug` makes it by default; it ends when he leaves.
fn typed_at(debugged: &Debugged<'_>) {
    let image = format!("--image={IMAGE}");
    let usual = ["--image-pull-policy=Never", "--container=shell"];
    let into = ["debug", "-it", debugged.pod, &image, "--target=main"];
    let all = [&into[..], &usual, &["--", "sh"]].concat();
    let mut person = Person::at(&debugged.admin.command(&all), "");
    person.sees("If you don't see a command prompt");
    person.types("tr '\\0' '-' </proc/1/cmdline; tty\n");
    person.sees("sleep-4321-");
    person.sees("/dev/pts/");
    person.types("exit 5\n");
    assert_eq!(debugged.ended("shell")["exitCode"], 5);
    drop(person);
}

/// One that cannot be waits and says why; the pod goes on, and others are added all the same.
pub(crate) fn says_why_it_cannot(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("closed", "exec sleep 1000", ""));
    running(&admin, "closed");
    let debugged = Debugged {
        admin: &admin,
        pod: "closed",
    };
    debugged.add("strong", &["--profile=sysadmin"], LOOK);
    // Nobody listens there.
    let nowhere = [
        "--image=127.0.0.1:1/missing:1",
        "--image-pull-policy=Always",
    ];
    debugged.add("imageless", &nowhere, LOOK);
    debugged.add("late", &[], LOOK);
    debugged.runs("late");
    let config = "CreateContainerConfigError";
    let why = debugged.waits("strong", &[config]);
    assert!(why.contains("securityContext.privileged"), "{why}");
    let log = debugged.logs("strong").unwrap_err();
    assert!(
        log.contains("is waiting to start: CreateContainerConfigError"),
        "{log}"
    );
    debugged.waits("imageless", &["ErrImagePull", "ImagePullBackOff"]);
    let after = running(&admin, "closed");
    assert_eq!(phase(Some(&after)), "Running");
    admin.run(&["delete", "pod", "closed"]);
    gone(&admin, "closed");
}

/// One outlives the agent, and its end is known to the next; one that is added meanwhile comes.
pub(crate) fn outlives_the_agent(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let until_told = "until test -e /go; do sleep 0.1; done";
    admin.apply(&pod("watched", until_told, ""));
    running(&admin, "watched");
    let debugged = Debugged {
        admin: &admin,
        pod: "watched",
    };
    debugged.add("peer", &["--target=main"], LOOK);
    let before = debugged.runs("peer");
    node.borrow_mut().crash();
    debugged.add("late", &["--target=main"], LOOK);
    node.borrow_mut().launch();
    debugged.runs("late");
    assert_eq!(debugged.runs("peer"), before, "it was started again");
    debugged.end("peer", "/stop");
    assert_eq!(debugged.ended("peer")["exitCode"], 7);
    node.borrow_mut().crash();
    node.borrow_mut().launch();
    running(&admin, "watched");
    // What it looked into ends, and with that its processes.
    debugged.end("main", "/go");
    assert_eq!(debugged.ended("late")["exitCode"], 137);
    assert_eq!(debugged.ended("peer")["exitCode"], 7);
    admin.run(&["delete", "pod", "watched"]);
    gone(&admin, "watched");
}

/// A copy has one more container, which sees the processes of the others.
pub(crate) fn copies(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("broken", "exec sleep 1234", ""));
    running(&admin, "broken");
    let image = format!("--image={IMAGE}");
    admin.run(&[
        "debug",
        "broken",
        "--copy-to=looked-at",
        "--container=helper",
        &image,
        "--image-pull-policy=Never",
        // The default profile asks for a capability that the operator would have to allow.
        "--profile=baseline",
        "--attach=false",
        "--",
        "sleep",
        "1000",
    ]);
    running(&admin, "looked-at");
    let seen = ["exec", "looked-at", "-c", "helper", "--", "ps"];
    admin.wait_for("the helper sees the other process", || {
        admin.run(&seen).contains("sleep 1234")
    });
    admin.run(&["delete", "pod", "broken", "looked-at"]);
}

/// A pod that would have the node's own namespaces is refused, and says what it asked for.
pub(crate) fn nodes_are_refused(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let (node, image) = (format!("node/{NAME}"), format!("--image={IMAGE}"));
    admin.run(&["debug", &node, &image, "--attach=false"]);
    let pods = admin.wait_until(&["pods"], "refused", |pods| {
        debugger(pods.unwrap()).is_some_and(|pod| phase(Some(pod)) == "Failed")
    });
    let pods = pods.unwrap();
    let pod = debugger(&pods).unwrap();
    let why = pod["status"]["message"].as_str().unwrap();
    assert!(why.contains("spec.hostPID"), "{why}");
    admin.run(&["delete", "pod", pod["metadata"]["name"].as_str().unwrap()]);
}

/// `kubectl` makes up its name.
fn debugger(pods: &Value) -> Option<&Value> {
    let mut pods = pods["items"].as_array()?.iter();
    pods.find(|pod| {
        let name = pod["metadata"]["name"].as_str();
        name.is_some_and(|name| name.starts_with("node-debugger-"))
    })
}
