//! `burstctl` beyond the daily verbs: forwarded ports, copies with links, round trips, and what it
//! tells of itself.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use burstlet_tests::{Agent, PATIENCE, command};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{agent, create_json, shell_group, with_container, with_spec};

/// Connections at the same time through one forwarded port.
const CONNECTIONS: usize = 64;

/// `burstctl port-forward`; dropping it ends it.
struct Forward {
    child: Child,
    /// The local addresses, in the order of the ports.
    addresses: Vec<String>,
}

impl Forward {
    fn start(agent: &Agent, args: &[&str], ports: usize) -> Self {
        let mut command = agent.ctl_command(&[&["port-forward"], args].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = |line: String| line.split_whitespace().next().unwrap().to_owned();
        let addresses = lines.take(ports).map(|line| address(line.unwrap()));
        Self {
            addresses: addresses.collect(),
            child,
        }
    }

    /// Ends it and gives what it complained about.
    fn end(mut self) -> String {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).unwrap();
        let mut text = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is served at `/`, or an empty text if the connection is cut.
fn fetch(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn ports_are_forwarded_for_many_at_once() {
    let agent = agent();
    let serve = "mkdir -p /tmp/w; echo inside >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w";
    let probe = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    create_json(
        &agent,
        &with_container(shell_group("web", serve), "readinessProbe", probe),
    );
    agent.ok(&["wait", "web", "--for", "ready", "--timeout", "30s"]);
    let forward = Forward::start(&agent, &["web", ":8080", ":81"], 2);
    let [open, closed] = forward.addresses.as_slice() else {
        panic!("{:?}", forward.addresses)
    };
    // All stand before the first asks.
    let streams: Vec<_> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(open).unwrap())
        .collect();
    for mut stream in streams {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("inside\n"), "{answer}");
    }
    assert_eq!(fetch(closed), "", "nobody listens there");
    assert!(fetch(open).ends_with("inside\n"), "the other port goes on");
    let complaints = forward.end();
    assert!(complaints.contains("port 81"), "{complaints}");
    agent.ok(&["rm", "-f", "web"]);
    agent.finish();
}

#[test]
fn copies_keep_links() {
    let agent = agent();
    create_json(&agent, &shell_group("files", "sleep 1000"));
    agent.ok(&["wait", "files", "--for", "ready", "--timeout", "30s"]);
    let tree = agent.scratch().join("tree");
    fs::create_dir_all(tree.join("inner")).unwrap();
    fs::write(tree.join("file"), "contents").unwrap();
    fs::hard_link(tree.join("file"), tree.join("inner/same")).unwrap();
    std::os::unix::fs::symlink("../file", tree.join("inner/link")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", tree.join("far")).unwrap();
    agent.ok(&["cp", tree.to_str().unwrap(), "files:/tmp/tree"]);
    let look = "cd /tmp/tree; cat inner/link; readlink inner/link; readlink far; cat inner/same";
    let seen = agent.ok(&["exec", "files", "--", "sh", "-c", look]);
    assert_eq!(seen, "contents../file\n/etc/hostname\ncontents");

    let link = "cd /tmp/tree; rm inner/same; ln file inner/same";
    agent.ok(&["exec", "files", "--", "sh", "-c", link]);
    let back = agent.scratch().join("back");
    agent.ok(&["cp", "files:/tmp/tree", back.to_str().unwrap()]);
    assert_eq!(
        fs::read_to_string(back.join("inner/link")).unwrap(),
        "contents"
    );
    let target = fs::read_link(back.join("far")).unwrap();
    assert_eq!(target.to_str(), Some("/etc/hostname"));
    let inode = |path: &str| fs::metadata(back.join(path)).unwrap().ino();
    assert_eq!(
        inode("file"),
        inode("inner/same"),
        "one file with two names"
    );

    // Single files, and a name of their own at the other side.
    let single = agent.scratch().join("file");
    fs::write(&single, "single").unwrap();
    agent.ok(&["cp", single.to_str().unwrap(), "files:/tmp/other"]);
    let copy = agent.scratch().join("copy");
    agent.ok(&["cp", "files:/tmp/other", copy.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(copy).unwrap(), "single");
    let absent = agent.ctl(&["cp", "files:/no/such", "/tmp"]);
    assert_eq!(absent.code, Some(1), "{absent:?}");
    agent.ok(&["rm", "-f", "files"]);
    agent.finish();
}

/// A group that uses much of what a specification offers.
fn rich() -> Value {
    let probe = json!({"exec": {"command": ["true"]}, "periodSeconds": 5});
    let group = shell_group("rich", "exec sleep 1000");
    let group = with_container(group, "readinessProbe", probe);
    let group = with_container(group, "env", json!([{"name": "A", "value": "b c"}]));
    let group = with_container(
        group,
        "ports",
        json!([{"containerPort": 80, "name": "web"}]),
    );
    let limits = json!({"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m"}});
    let group = with_container(group, "resources", limits);
    let mounts = json!([{"name": "conf", "mountPath": "/conf", "readOnly": true}]);
    let group = with_container(group, "volumeMounts", mounts);
    let conf = json!([{"name": "conf", "configMap": {"data": {"key": "value"}}}]);
    let mut group = with_spec(group, "volumes", conf);
    group["metadata"]["labels"] = json!({"app": "rich"});
    group["metadata"]["annotations"] = json!({"note": "a\nb"});
    with_spec(
        group,
        "hostAliases",
        json!([{"ip": "192.0.2.1", "hostnames": ["far"]}]),
    )
}

#[test]
fn exports_make_the_same_specification() {
    let agent = agent();
    create_json(&agent, &rich());
    agent.ok(&["wait", "rich", "--for", "ready", "--timeout", "30s"]);
    let first = agent.group("rich");
    for command in [
        &["stats", "--no-stream", "--containers", "rich"][..],
        &["top", "rich"],
    ] {
        let text = agent.ok(command);
        assert!(
            text.contains("main") && text.contains("iB"),
            "{command:?}: {text}"
        );
    }
    for output in ["yaml", "json"] {
        let text = agent.ok(&["export", "rich", "-o", output]);
        agent.ok_with(&["validate", "-f", "-"], text.as_bytes());
        agent.ok(&["rm", "-f", "rich"]);
        agent.ok_with(&["create", "-f", "-"], text.as_bytes());
        let again = agent.group("rich");
        assert_eq!(again["spec"], first["spec"], "{output}: {text}");
        for key in ["labels", "annotations", "namespace"] {
            assert_eq!(
                again["metadata"][key], first["metadata"][key],
                "{output}: {key}"
            );
        }
    }
    agent.ok(&["rm", "-f", "rich"]);
    agent.finish();
}

#[test]
fn it_tells_of_itself_and_of_the_node() {
    let agent = Agent::start();
    let seen: Value = serde_json::from_str(&agent.ok(&["doctor", "-o", "json"])).unwrap();
    let findings = seen["findings"].as_array().unwrap();
    let named = |what: &str| findings.iter().any(|finding| finding["what"] == what);
    for what in ["kernel", "overlayfs", "cgroups", "open files", "launcher"] {
        assert!(named(what), "{what}: {seen:#}");
    }
    assert!(agent.ok(&["doctor"]).contains("STATE"));
    agent.finish();
    let pages = tempfile::tempdir().unwrap();
    let written = command("burstctl")
        .arg("man")
        .arg("--dir")
        .arg(pages.path())
        .status();
    assert!(written.unwrap().success());
    let page = fs::read_to_string(pages.path().join("burstctl-run.1")).unwrap();
    assert!(page.contains(".TH burstctl-run 1"), "{page}");
    let completion = |shell: &str| {
        let output = command("burstctl")
            .args(["completion", shell])
            .output()
            .unwrap();
        assert!(output.status.success(), "{shell}: {output:?}");
        output.stdout
    };
    for shell in ["zsh", "fish"] {
        let script = String::from_utf8(completion(shell)).unwrap();
        assert!(script.contains("port-forward"), "{shell}: {script}");
    }
    // A shell that has the script completes verbs.
    let file = pages.path().join("completion");
    fs::write(&file, completion("bash")).unwrap();
    let script = format!(
        ". {}; COMP_WORDS=(burstctl port-f); COMP_CWORD=1; _burstctl burstctl port-f burstctl; echo \"${{COMPREPLY[@]}}\"",
        file.display()
    );
    let completed = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&completed.stdout),
        "port-forward\n",
        "{completed:?}"
    );
}
