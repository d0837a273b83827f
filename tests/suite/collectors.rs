//! The names under which collectors of logs find what containers write: links as a kubelet lays them
//! out, read as Fluent Bit and Vector read them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use burstlet_tests::{Agent, wait_for};

use super::{agent_with, create};

const NEVER: &str = "  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n";
/// More than one file of a log takes and less than two do.
const LINES: usize = 1300;
const SIZES: &str = "bytes_max = \"128Ki\"\nfiles_max = 3\n";

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A collector that reads a file by its name to the end, and goes on with the next one when the
/// name stands for another.
struct Collector {
    path: PathBuf,
    file: BufReader<File>,
    seen: String,
}

impl Collector {
    fn open(path: PathBuf) -> Self {
        let file = BufReader::new(File::open(&path).unwrap());
        let seen = String::new();
        Self { path, file, seen }
    }

    fn is_rotated(&self) -> bool {
        let inode = |found: std::io::Result<fs::Metadata>| found.ok().map(|found| found.ino());
        let now = inode(fs::metadata(&self.path));
        now.is_some() && now != inode(self.file.get_ref().metadata())
    }

    /// Reads what there is; gives how often each stream has said a whole line.
    fn read(&mut self) -> (usize, usize) {
        let rotated = self.is_rotated();
        self.read_file();
        if rotated {
            self.file = BufReader::new(File::open(&self.path).unwrap());
            self.read_file();
        }
        let of = |stream| self.lines(stream).len();
        (of("stdout"), of("stderr"))
    }

    fn read_file(&mut self) {
        while self.file.read_line(&mut self.seen).unwrap() > 0 {}
    }

    /// What a stream has said, put together from `TIME STREAM F|P TEXT`.
    fn lines(&self, stream: &str) -> Vec<String> {
        let (mut lines, mut begun) = (Vec::new(), String::new());
        for record in self.seen.split_inclusive('\n') {
            let Some(record) = record.strip_suffix('\n') else {
                continue;
            };
            let mut words = record.splitn(4, ' ');
            let mut word = || words.next().unwrap_or_else(|| panic!("{record:?}"));
            let (time, of, tag, text) = (word(), word(), word(), word());
            assert!(time.ends_with('Z') && time.contains('T'), "{record:?}");
            if of != stream {
                continue;
            }
            begun.push_str(text);
            match tag {
                "F" => lines.push(std::mem::take(&mut begun)),
                other => assert_eq!(other, "P", "{record:?}"),
            }
        }
        lines
    }
}

/// The container's link, by the form that Fluent Bit's filter for Kubernetes takes names apart by.
fn link_of(dir: &Path, group: &str) -> PathBuf {
    let begin = format!("{group}_default_main-");
    let found = names(dir).into_iter().find_map(|name| {
        Some((
            name.strip_prefix(&begin)?.strip_suffix(".log")?.to_owned(),
            name.clone(),
        ))
    });
    let (id, name) = found.unwrap_or_else(|| panic!("{group} is not in {:?}", names(dir)));
    assert!(
        id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{name}"
    );
    dir.join(name)
}

fn uid(agent: &Agent, name: &str) -> String {
    agent.group(name)["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn collectors_find_every_line_over_rotations_until_the_group_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let links = dir.path().join("log");
    let mut agent = agent_with(&format!("[logs]\nlink_dir = {links:?}\n{SIZES}"));
    let script = format!(
        "echo begin; echo oops >&2; while [ ! -e /go ]; do sleep 0.05; done; \
         i=0; while [ $i -lt {LINES} ]; do echo \"line $i of a log that is rotated while somebody reads it\"; i=$((i+1)); done; \
         head -c 40000 /dev/zero | tr '\\0' x; echo; echo end; sleep 1000"
    );
    create(&agent, "web", &script, NEVER);
    agent.wait_until("web", "running", |g| g["status"]["phase"] == "Running");
    let containers = links.join("containers");
    let mut collector = Collector::open(link_of(&containers, "web"));
    wait_for("both streams are read", || collector.read() == (1, 1));
    agent.ok(&["exec", "web", "--", "touch", "/go"]);
    wait_for("all is written", || {
        agent.ok(&["logs", "--tail", "1", "web"]).trim() == "end"
    });
    assert!(collector.is_rotated(), "the log is too short for this test");
    let (out, _) = collector.read();
    let lines = collector.lines("stdout");
    assert_eq!(out, LINES + 3, "{:?}", lines.last());
    assert_eq!(lines[0], "begin");
    for (number, line) in lines[1..=LINES].iter().enumerate() {
        assert!(line.starts_with(&format!("line {number} of")), "{line}");
    }
    assert_eq!(lines[LINES + 1], "x".repeat(40_000));
    assert_eq!(collector.lines("stderr"), ["oops"]);

    // The names are there for whoever looks by the pod, and go on over the agent's death.
    let pod = links
        .join("pods")
        .join(format!("default_web_{}", uid(&agent, "web")));
    assert_eq!(names(&pod.join("main")), ["0.log"]);
    agent.crash();
    agent.launch();
    assert_eq!(link_of(&containers, "web"), collector.path);
    agent.ok(&["rm", "-f", "web"]);
    wait_for("the names are gone", || {
        names(&containers).is_empty() && names(&links.join("pods")).is_empty()
    });
    agent.finish();
}
