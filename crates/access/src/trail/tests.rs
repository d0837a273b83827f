use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::identity::Identity;

fn config(dir: &Path, bytes_max: u64) -> TrailConfig {
    TrailConfig {
        dir: dir.join("audit"),
        bytes_max,
        files_max: 3,
    }
}

fn entry(call: &str) -> Entry {
    Entry::new(WallTime(1_700_000_000_000_000_000), Event::Call, call, "OK")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn an_entry_is_a_line_that_only_its_owner_reads() {
    let dir = tempfile::tempdir().unwrap();
    let trail = Trail::open(config(dir.path(), 1 << 20)).unwrap();
    trail.write(&entry("a/B").by(&Identity::of_socket(0))).await;
    let path = dir.path().join("audit/audit.log");
    let expected = serde_json::json!({
        "seq": 1, "prev": "0".repeat(64), "at": "2023-11-14T22:13:20Z", "event": "call", "who": "uid:0", "proof": "socket",
        "role": "admin", "call": "a/B", "code": "OK",
    });
    assert_eq!(lines(&path), [expected]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&dir.path().join("audit")), 0o700);
}

#[tokio::test]
async fn so_many_files_are_kept_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (line, _) = Head::default().tie(&entry("call-00").json());
    let trail = Trail::open(config(dir.path(), 2 * line.len() as u64)).unwrap();
    for number in 0..9 {
        trail.put(&entry(&format!("call-{number:02}")));
    }
    trail.settle().await;
    let calls = |name: &str| -> Vec<String> {
        let found = lines(&dir.path().join("audit").join(name));
        let call = |line: &Value| line["call"].as_str().unwrap().to_owned();
        found.iter().map(call).collect()
    };
    assert_eq!(calls("audit.log"), ["call-08"]);
    assert_eq!(calls("audit.log.1"), ["call-06", "call-07"]);
    assert_eq!(calls("audit.log.2"), ["call-04", "call-05"]);
    assert_eq!(fs::read_dir(dir.path().join("audit")).unwrap().count(), 3);
}

#[tokio::test]
async fn a_line_that_was_cut_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit/audit.log");
    fs::create_dir(dir.path().join("audit")).unwrap();
    fs::write(&path, "{\"at\":\"20").unwrap();
    let trail = Trail::open(config(dir.path(), 1 << 20)).unwrap();
    trail.write(&entry("a/B")).await;
    let text = fs::read_to_string(&path).unwrap();
    let whole: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(whole["call"], "a/B");
}

#[tokio::test]
async fn a_trail_that_had_a_gap_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let trail = Trail::open(config(dir.path(), 1)).unwrap();
    trail.write(&entry("first")).await;
    trail.write(&entry("second")).await;
    // The next needs a new file, and the place of the oldest is taken by a directory.
    let blocked = dir.path().join("audit/audit.log.2");
    fs::create_dir_all(blocked.join("in-the-way")).unwrap();
    trail.write(&entry("third")).await;
    trail.write(&entry("fourth")).await;
    fs::remove_dir_all(&blocked).unwrap();
    trail.write(&entry("fifth")).await;
    let read = |name: &str| lines(&dir.path().join("audit").join(name));
    assert_eq!(read("audit.log")[0]["call"], "fifth");
    let gap = &read("audit.log.1")[0];
    assert_eq!(
        (&gap["event"], &gap["entries"]),
        (&"lost".into(), &2.into())
    );
    assert_eq!(read("audit.log.2")[0]["call"], "second");
}
