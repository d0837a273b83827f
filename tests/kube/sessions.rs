//! What users are promised of sessions that are large, long, or cut: every byte arrives, nothing
//! stays behind, and a container does not care who looked at it.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use burstlet_tests::Person;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::Node;
use crate::pods::{pod, running};
use crate::streams::protocols;

/// What goes through one session, in both directions.
const LARGE_BYTES: usize = 200_000_000;
/// It goes in pieces of this size.
const PIECE_BYTES: usize = 1 << 16;

/// 200 MB go through a command and come back as they were, both directions at once.
pub(crate) fn large(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("pipe", "exec sleep 1000", ""));
    running(&admin, "pipe");
    for kubectl in protocols(cluster) {
        let mut child = kubectl
            .command(&["exec", "-i", "pipe", "--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || {
            for piece in Pieces::new() {
                input.write_all(&piece).unwrap();
            }
        });
        let mut output = child.stdout.take().unwrap();
        for (index, expected) in Pieces::new().enumerate() {
            let mut piece = vec![0; expected.len()];
            output.read_exact(&mut piece).unwrap();
            assert!(piece == expected, "piece {index} is another");
        }
        let mut more = Vec::new();
        output.read_to_end(&mut more).unwrap();
        assert!(more.is_empty(), "{} bytes too many", more.len());
        feeder.join().unwrap();
        assert!(child.wait().unwrap().success());
    }
    admin.run(&["delete", "pod", "pipe"]);
}

/// Bytes that look random and are the same each time.
struct Pieces {
    left: usize,
    state: u64,
}

impl Pieces {
    fn new() -> Self {
        Self {
            left: LARGE_BYTES,
            state: 0x9E37_79B9_7F4A_7C15,
        }
    }
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let len = self.left.min(PIECE_BYTES);
        self.left -= len;
        let mut piece = vec![0; len];
        for word in piece.chunks_mut(8) {
            // Xorshift, by George Marsaglia.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            word.copy_from_slice(&self.state.to_le_bytes()[..word.len()]);
        }
        (len > 0).then_some(piece)
    }
}

/// A client joins the streams of a container, types, leaves, and comes back to the same shell.
pub(crate) fn attach(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("plain", "cat", "    stdin: true\n"));
    let shell = pod("shell", "exec sh", "    stdin: true\n    tty: true\n");
    admin.apply(&shell);
    running(&admin, "plain");
    running(&admin, "shell");
    for (turn, kubectl) in protocols(cluster).iter().enumerate() {
        let mut child = kubectl
            .command(&["attach", "-i", "plain"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let word = format!("hello {turn}\n");
        input.write_all(word.as_bytes()).unwrap();
        let mut heard = vec![0; word.len()];
        output.read_exact(&mut heard).unwrap();
        assert_eq!(String::from_utf8(heard).unwrap(), word);
        child.kill().unwrap();
        child.wait().unwrap();

        let mut person = Person::at(&kubectl.command(&["attach", "-it", "shell"]), "");
        // The prompt came before anybody was there; another is asked for.
        person.sees("If you don't see a command prompt");
        person.types(&format!("turn={turn}$turn; echo turn-$turn-\n"));
        person.sees(if turn == 0 { "turn-0-" } else { "turn-10-" });
        drop(person);
    }
    let restarts = |name: &str| restarts(&admin, name);
    assert_eq!((restarts("plain"), restarts("shell")), (0, 0));
    admin.run(&["delete", "pod", "plain", "shell"]);
}

/// A tree of files is copied into a pod and back, and is the same.
pub(crate) fn copies(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("files", "exec sleep 1000", ""));
    running(&admin, "files");
    let scratch = tempfile::tempdir_in(cluster.scratch()).unwrap();
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("deep/er/still")).unwrap();
    fs::write(tree.join("empty"), b"").unwrap();
    fs::write(tree.join("deep/a name with spaces"), b"text\n").unwrap();
    fs::write(tree.join("deep/er/still/large"), vec![7; 3_000_000]).unwrap();
    for (turn, kubectl) in protocols(cluster).iter().enumerate() {
        let there = format!("files:/tmp/copy-{turn}");
        let back = scratch.path().join(format!("back-{turn}"));
        kubectl.run(&["cp", tree.to_str().unwrap(), &there]);
        kubectl.run(&["cp", &there, back.to_str().unwrap()]);
        assert_eq!(files(&back), files(&tree));
    }
    admin.run(&["delete", "pod", "files"]);
}

/// Every file below a directory, with its contents.
fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let listed = Command::new("find")
        .current_dir(root)
        .args([".", "-type", "f"])
        .output()
        .unwrap();
    let mut names: Vec<String> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    names.sort();
    let read = |name: String| {
        let contents = fs::read(root.join(&name)).unwrap();
        (name, contents)
    };
    names.into_iter().map(read).collect()
}

/// A client that is killed leaves no process behind; one whose agent is started again is told, and
/// the container has not noticed.
pub(crate) fn cut(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("steady", "exec sleep 1000", ""));
    running(&admin, "steady");
    let processes = |seconds: &str| {
        let listed = node.borrow().ctl(&["exec", "steady", "--", "ps"]);
        let command = format!("sleep {seconds}");
        let mut lines = listed.stdout.lines();
        (listed.code == Some(0)).then(|| lines.any(|line| line.ends_with(&command)))
    };
    for (turn, kubectl) in protocols(cluster).iter().enumerate() {
        let marker = format!("770{turn}");
        let begin = || {
            let command = kubectl
                .command(&["exec", "-i", "steady", "--", "sleep", &marker])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            let child = command.unwrap();
            admin.wait_for("the command runs", || processes(&marker) == Some(true));
            child
        };
        let mut killed = begin();
        killed.kill().unwrap();
        killed.wait().unwrap();
        admin.wait_for("the command has gone with its client", || {
            processes(&marker) == Some(false)
        });

        let told = begin();
        node.borrow_mut().stop();
        let told = told.wait_with_output().unwrap();
        node.borrow_mut().launch();
        assert!(!told.status.success());
        admin.wait_for("its command has gone with the agent", || {
            processes(&marker) == Some(false)
        });
        let why = String::from_utf8(told.stderr).unwrap();
        assert!(why.contains("the agent goes down"), "{why}");
        admin.wait_for("the next session begins", || {
            kubectl.try_run(&["exec", "steady", "--", "true"]).is_ok()
        });
    }
    assert_eq!(restarts(&admin, "steady"), 0);
    admin.run(&["delete", "pod", "steady"]);
}

fn restarts(admin: &Kubectl, name: &str) -> u64 {
    let pod: Value = admin.get(&["pod", name]).unwrap();
    let status = &pod["status"]["containerStatuses"][0];
    status["restartCount"].as_u64().unwrap()
}
