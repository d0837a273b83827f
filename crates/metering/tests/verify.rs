//! `hack/verify-ledger`, which shares no line with this crate, comes to the same chain and the same
//! sums, finds every change, and lets a tenant check his own records without seeing others'.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use burstlet_metering::chain::head52;
use burstlet_metering::ledger::{Directory, Inspected, Options, Receipt, Writer, scan};
use burstlet_metering::record::{
    Allocation, BootId, Close, Entry, Fact, Gap, GapReason, Moment, Opened, Pull, Restart,
    Scheduling, SessionFact, SessionId, State, Used,
};
use burstlet_metering::sessions::Sessions;
use burstlet_metering::{Hex, extract};
use burstlet_model::{
    BootTime, Bytes, ContainerName, GroupName, GroupUid, MilliCpu, Name, Namespace, Stamp, WallTime,
};
use serde_json::Value;

const S: u64 = 1_000_000_000;

fn at(ns: u64) -> Moment {
    Moment {
        boot_id: BootId([4; 16]),
        stamp: Stamp {
            boot: BootTime(ns),
            wall: WallTime(1_700_000_000_000_000_000 + i64::try_from(ns).unwrap()),
        },
    }
}

fn opened(namespace: &str) -> SessionFact {
    SessionFact::Opened(Box::new(Opened {
        group: GroupName {
            namespace: Namespace::new(namespace).unwrap(),
            name: Name::new("web").unwrap(),
        },
        owner: "käthe".to_owned(),
        tags: BTreeMap::from([
            ("cost".to_owned(), "7".to_owned()),
            ("a".to_owned(), "€".to_owned()),
        ]),
        images: vec!["docker.io/library/web:1".to_owned()],
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        scheduling: Scheduling::Spot,
        isolation: "container".to_owned(),
        allocation: Allocation {
            cpu: MilliCpu(1500),
            memory: Bytes(3 << 30),
            ephemeral: Bytes(20),
            gpus: 1,
            gpu_model: "a100".to_owned(),
            ports: 2,
            volumes: Bytes(9),
        },
    }))
}

/// One life with everything that can be said of it, from `begin` on.
fn life(namespace: &str, uid: &str, begin: u64) -> Vec<Entry> {
    let id = SessionId {
        uid: GroupUid::new(uid).unwrap(),
        start: 1,
    };
    let container = ContainerName::new("main").unwrap();
    let used = |cpu_us, is_final| {
        SessionFact::Used(Used {
            cpu_us,
            memory_byte_ns: 1 << 100,
            memory_sampled_ns: 5 * S,
            memory_peak: 1 << 20,
            net_received: 10,
            net_sent: 20,
            is_final,
        })
    };
    let pull = Pull {
        number: 1,
        image: "docker.io/library/web:1".to_owned(),
        ns: 2 * S,
        bytes: 12345,
    };
    let smaller = Allocation {
        cpu: MilliCpu(250),
        ..Allocation::default()
    };
    let gap = Gap {
        from: BootTime(begin + 30 * S),
        to: BootTime(begin + 40 * S),
        reason: GapReason::KeeperLost,
    };
    let facts = [
        (0, opened(namespace)),
        (S, SessionFact::Entered(State::Pulling)),
        (3 * S, SessionFact::Pulled(pull)),
        (3 * S + 7, SessionFact::Entered(State::Running)),
        (9 * S, SessionFact::Adopted),
        (10 * S, used(5_000_000, false)),
        (11 * S, SessionFact::Resized(smaller)),
        (20 * S, SessionFact::Entered(State::BackOff)),
        (
            22 * S,
            SessionFact::Restarted(Restart {
                container,
                number: 1,
            }),
        ),
        (22 * S, SessionFact::Entered(State::Running)),
        (33 * S, SessionFact::Entered(State::Terminating)),
        (30 * S, SessionFact::Closed(Close::Lost)),
        (30 * S, SessionFact::Missed(gap)),
        (31 * S, used(9_000_001, true)),
    ];
    let entry = |(after, fact)| Entry {
        at: at(begin + after),
        fact: Fact::Session {
            id: id.clone(),
            fact,
        },
    };
    facts.into_iter().map(entry).collect()
}

fn options() -> Options {
    let mut now = 0;
    Options {
        clock: Box::new(move || {
            now += 1000;
            at(now)
        }),
        key: [5; 32],
        version: "test".to_owned(),
        segment_bytes: 3000,
    }
}

/// A ledger of two tenants over several segments, the wall clock set in between.
fn ledger(path: &Path) -> Receipt {
    let directory = Directory::open(path).unwrap();
    let (mut writer, _) = Writer::open(directory, options(), Box::new(|_| {})).unwrap();
    let (ours, theirs) = (life("ours", "a", 0), life("theirs", "b", 5 * S));
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        let stepped = Entry {
            at: at(ours.at.stamp.boot.0 + 3),
            fact: Fact::ClockStepped,
        };
        for result in writer.commit(vec![vec![ours], vec![theirs, stepped]]) {
            result.unwrap();
        }
    }
    let unfinished = life("ours", "c", 50 * S);
    writer
        .commit(vec![unfinished.into_iter().take(4).collect()])
        .pop()
        .unwrap()
        .unwrap();
    writer.close().unwrap()
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/verify-ledger")
}

/// Runs the script; gives its exit code and what it printed.
fn verify(args: &[&str]) -> (i32, Value) {
    let output = Command::new("python3")
        .arg(script())
        .args(args)
        .output()
        .unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("Traceback"), "{stderr}");
    (output.status.code().unwrap(), told)
}

fn published(receipt: Receipt) -> String {
    format!("{}:{}", receipt.seq, Hex(&receipt.head))
}

#[test]
fn the_script_comes_to_the_same_chain_and_the_same_sums() {
    let path = tempfile::tempdir().unwrap();
    let receipt = ledger(path.path());
    let (code, told) = verify(&[path.path().to_str().unwrap(), "--head", &published(receipt)]);
    assert_eq!((code, &told["whole"]), (0, &Value::Bool(true)), "{told}");
    assert_eq!(told["head52"].as_u64(), Some(head52(&receipt.head)));
    let mut sessions = Sessions::default();
    scan(&Inspected::new(path.path()), |entered| {
        sessions.apply(entered.record);
    })
    .unwrap();
    assert_eq!(sessions.iter().count(), 3);
    for session in sessions.iter() {
        let theirs = &told["sessions"][session.id().to_string()];
        for state in State::ALL {
            let ours = session.quantities(Moment::default(), |s| s == state);
            let had = &theirs["had"][state.as_str()];
            let number = |value: &Value| value.as_str().map_or(0u128, |text| text.parse().unwrap());
            assert_eq!(number(&theirs["ns"][state.as_str()]), ours.ns, "{state:?}");
            assert_eq!(number(&had["cpu_milli_ns"]), ours.cpu_milli_ns);
            assert_eq!(number(&had["memory_byte_ns"]), ours.memory_byte_ns);
            assert_eq!(number(&had["gpu_ns"]), ours.gpu_ns);
            assert_eq!(number(&had["port_ns"]), ours.port_ns);
        }
        let cpu_us = theirs["used"]["cpu_us"].as_str().unwrap_or("0");
        assert_eq!(cpu_us, session.used().cpu_us.to_string());
        assert_eq!(theirs["restarts"].as_u64(), Some(session.restarts()));
        let closed = session.closed().map(|closed| closed.reason.as_str());
        assert_eq!(theirs["closed"].as_str(), closed);
    }
}

#[test]
fn the_script_finds_every_change() {
    let path = tempfile::tempdir().unwrap();
    let receipt = ledger(path.path());
    let directory = path.path().to_str().unwrap();
    let mut names: Vec<_> = std::fs::read_dir(path.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains("segment-"))
        .collect();
    names.sort();
    assert!(names.len() > 2);
    for name in &names {
        let whole = std::fs::read(name).unwrap();
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        // Every byte is changed by the crate's own tests; here one of each region of each frame.
        for at in (1..76).step_by(30).chain((128..used).step_by(331)) {
            let mut changed = whole.clone();
            changed[at] ^= 4;
            std::fs::write(name, changed).unwrap();
            let (code, told) = verify(&[directory]);
            assert_eq!(code, 1, "byte {at} of {}: {told}", name.display());
        }
        std::fs::remove_file(name).unwrap();
        assert_eq!(verify(&[directory]).0, 1, "{} gone", name.display());
        std::fs::write(name, whole).unwrap();
    }
    let later = Receipt {
        seq: receipt.seq + 1,
        ..receipt
    };
    let other = Receipt {
        head: [1; 32],
        ..receipt
    };
    assert_eq!(verify(&[directory, "--head", &published(receipt)]).0, 0);
    assert_eq!(
        verify(&[directory, "--head", &published(later)]).0,
        1,
        "cut off"
    );
    assert_eq!(
        verify(&[directory, "--head", &published(other)]).0,
        1,
        "written anew"
    );
}

#[test]
fn a_tenant_checks_his_own_records_and_sees_no_others() {
    let path = tempfile::tempdir().unwrap();
    let receipt = ledger(path.path());
    let ours = Namespace::new("ours").unwrap();
    let mut text = Vec::new();
    extract(&Inspected::new(path.path()), &ours, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let hex = |text: &str| Hex(text.as_bytes()).to_string();
    assert!(text.contains(&hex("ours")) && !text.contains(&hex("theirs")));
    let file = path.path().join("extract");
    let check = |text: &str, head: Receipt| {
        std::fs::write(&file, text).unwrap();
        verify(&[
            "--extract",
            file.to_str().unwrap(),
            "--head",
            &published(head),
        ])
    };
    let (code, told) = check(&text, receipt);
    assert_eq!(code, 0, "{told}");
    assert_eq!(told["sessions"].as_object().unwrap().len(), 2);
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate().skip(2).step_by(4) {
        let without = [&lines[..number], &lines[number + 1..]].concat().join("\n");
        assert_eq!(check(&without, receipt).0, 1, "without {line}");
        let flipped = match line.strip_suffix('0') {
            Some(rest) => format!("{rest}1"),
            None => format!("{}0", &line[..line.len() - 1]),
        };
        let changed = [&lines[..number], &[flipped.as_str()], &lines[number + 1..]].concat();
        assert_eq!(check(&changed.join("\n"), receipt).0, 1, "{line}");
    }
}

#[test]
fn what_cannot_be_checked_is_said_so() {
    let path = tempfile::tempdir().unwrap();
    assert_eq!(verify(&[path.path().to_str().unwrap()]).0, 2);
    assert_eq!(verify(&["/nonexistent"]).0, 2);
    assert_eq!(verify(&["--extract", "/nonexistent"]).0, 2);
}
