//! What users are promised of the streams between them and their pods: `kubectl` logs and exec work
//! as on a kubelet, in both of its protocols.

use std::process::Command;

use burstlet_tests::Person;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{NAME, Node};
use crate::pods::{gone, phase, pod, running};

/// `kubectl` with one protocol, and with the other.
pub(crate) fn protocols(cluster: &Cluster) -> [Kubectl; 2] {
    ["false", "true"].map(|websockets| {
        let admin = cluster.admin();
        let admin = admin.with("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets);
        admin.with("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
    })
}

/// The log of a pod that goes on, of one that has ended, of a run before, and of none.
pub(crate) fn logs(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    // What comes by two streams has no order between them.
    let script = "echo one; echo two; echo three; exec sleep 1000";
    admin.apply(&pod("talker", script, ""));
    admin.apply(&pod("failing", "echo run; exit 3", ""));
    let ended = pod(
        "ended",
        "echo done >&2; sleep 1",
        "  restartPolicy: Never\n",
    );
    admin.apply(&ended);
    running(&admin, "talker");
    admin.wait_until(&["pod", "ended"], "started", |pod| {
        pod.is_some_and(|pod| !["", "Pending"].contains(&phase(Some(pod))))
    });
    let lines = |args: &[&str]| admin.run(&[&["logs", "talker"], args].concat());
    admin.wait_for("the last line", || lines(&[]) == "one\ntwo\nthree\n");
    assert_eq!(lines(&["--tail=1"]), "three\n");
    assert_eq!(lines(&["--limit-bytes=5"]), "one\nt");
    assert_eq!(lines(&["--since=1h", "--tail=2"]), "two\nthree\n");
    assert_eq!(lines(&["--since-time=2999-01-01T00:00:00Z"]), "");
    let prefixed = lines(&["--all-containers", "--prefix", "--tail=1"]);
    assert_eq!(prefixed, "[pod/talker/main] three\n");
    let stamped = lines(&["--timestamps", "--tail=1"]);
    let (time, text) = stamped.split_once(' ').unwrap();
    assert!(time.len() == 30 && time.ends_with('Z'), "{stamped}");
    assert_eq!(text, "three\n");
    assert_eq!(admin.run(&["logs", "-f", "ended"]), "done\n");
    admin.wait_until(&["pod", "failing"], "started again", |pod| {
        let status = &pod.unwrap()["status"]["containerStatuses"][0];
        status["restartCount"].as_u64() > Some(0)
    });
    assert_eq!(admin.run(&["logs", "failing", "--previous"]), "run\n");
    refusals(&admin);
    admin.run(&["delete", "pod", "talker", "failing", "ended"]);
}

fn refusals(admin: &Kubectl) {
    let previous = admin.refused(&["logs", "talker", "--previous"]);
    let expected = "previous terminated container \"main\" in pod \"talker\" not found";
    assert!(previous.contains(expected), "{previous}");
    let missing = pod("imageless", "", "").replace("sample:1", "missing:1");
    admin.apply(&missing);
    let waiting = |pod: Option<&Value>| {
        let state = &pod.unwrap()["status"]["containerStatuses"][0]["state"];
        state["waiting"]["reason"] == "ErrImageNeverPull"
    };
    admin.wait_until(&["pod", "imageless"], "without an image", waiting);
    let refused = admin.refused(&["logs", "imageless"]);
    let expected = "container \"main\" in pod \"imageless\" is waiting to start: ErrImageNeverPull";
    assert!(refused.contains(expected), "{refused}");
    admin.run(&["delete", "pod", "imageless"]);
    gone(admin, "imageless");
}

/// A command in a pod has its streams, a terminal if one is asked for, and an exit code.
pub(crate) fn commands(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("box", "exec sleep 1000", ""));
    running(&admin, "box");
    for kubectl in protocols(cluster) {
        exit_codes(&kubectl);
        streams(&kubectl);
        let mut person = Person::at(&kubectl.command(&["exec", "-it", "box", "--", "sh"]), "");
        person.sees("# ");
        person.types("stty size; tty; sleep 1000\n");
        person.sees("/dev/pts/");
        person.types("\x03");
        person.types("exit 6\n");
        person.leaves(6);
    }
    admin.run(&["delete", "pod", "box"]);
}

/// A command's terminal is as large as the person's, and becomes what that becomes.
pub(crate) fn resized(cluster: &Cluster, _: &Node) {
    /// Changes the terminal's size when the file is there.
    const RESIZED: &str = "stty rows 40 cols 100; { until test -e \"$0\"; do sleep 0.1; done; \
                           stty -F /dev/tty rows 50 cols 120; } & exec \"$@\"";
    let admin = cluster.admin();
    admin.apply(&pod("box", "exec sleep 1000", ""));
    running(&admin, "box");
    for (number, kubectl) in protocols(cluster).into_iter().enumerate() {
        let now = cluster.scratch().join(format!("resize-{number}"));
        let exec = kubectl.command(&["exec", "-it", "box", "--", "sh"]);
        let mut terminal = Command::new("sh");
        terminal.args(["-c", RESIZED]).arg(&now);
        terminal.arg(exec.get_program()).args(exec.get_args());
        let values = exec.get_envs();
        terminal.envs(values.filter_map(|(name, value)| Some((name, value?))));
        let mut person = Person::at(&terminal, "");
        person.sees("# ");
        person.types("stty size\n");
        person.sees("40 100");
        std::fs::write(&now, "").unwrap();
        let wait = "until test \"$(stty size)\" = '50 120'; do sleep 0.1; done";
        person.types(&format!("{wait}; echo it is lar''ger\n"));
        person.sees("it is larger");
        person.types("exit 6\n");
        person.leaves(6);
    }
    admin.run(&["delete", "pod", "box"]);
}

/// An API server that does not hand WebSockets on makes SPDY of them.
pub(crate) fn translated(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("box", "exec sleep 1000", ""));
    running(&admin, "box");
    let declare = |features: &str| {
        let status = format!("{{\"status\":{{\"declaredFeatures\":{features}}}}}");
        admin.run(&["patch", "node", NAME, "--subresource=status", "-p", &status]);
    };
    declare("[]");
    let [_, websockets] = protocols(cluster);
    exit_codes(&websockets);
    streams(&websockets);
    declare("[\"ExtendWebSocketsToKubelet\"]");
    admin.run(&["delete", "pod", "box"]);
}

/// Input, output and errors are told apart, and none is lost at the end.
fn streams(kubectl: &Kubectl) {
    let exec = |script: &str, stdin: &[u8]| {
        kubectl.feed(&["exec", "-i", "box", "--", "sh", "-c", script], stdin)
    };
    let both = exec("cat; echo err >&2", b"to and fro");
    assert_eq!(both.stdout, b"to and fro");
    assert_eq!((both.code, both.stderr.as_str()), (Some(0), "err\n"));
    let many = exec("head -c 300000 /dev/zero; exit 9", b"");
    assert_eq!((many.code, many.stdout.len()), (Some(9), 300_000));
}

fn exit_codes(kubectl: &Kubectl) {
    for (script, code) in [("true", 0), ("exit 1", 1), ("kill -9 $$", 137)] {
        let ended = kubectl.feed(&["exec", "box", "--", "sh", "-c", script], b"");
        assert_eq!(ended.code, Some(code), "{script}: {}", ended.stderr);
    }
    let missing = kubectl.refused(&["exec", "box", "--", "no-such-program"]);
    assert!(missing.contains("no-such-program"), "{missing}");
    let container = kubectl.refused(&["exec", "box", "-c", "other", "--", "true"]);
    assert!(container.contains("other"), "{container}");
    let pod = kubectl.refused(&["exec", "no-such-pod", "--", "true"]);
    assert!(pod.contains("not found"), "{pod}");
}
