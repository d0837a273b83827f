//! `hack/verify-ledger`, which shares no line with this crate, comes to the same chain and the same
//! sums, finds every change, and lets a tenant check his own records without seeing others'.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod life;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use burstlet_metering::chain::head52;
use burstlet_metering::ledger::{Directory, Found, Inspected, Receipt, Shown, Writer, scan};
use burstlet_metering::money::Money;
use burstlet_metering::record::{BootId, Entry, Fact, Moment, State};
use burstlet_metering::retire::retiring;
use burstlet_metering::sessions::{Sessions, Window};
use burstlet_metering::usage::{Dimension, Filter};
use burstlet_metering::{Hex, Meter, extract};
use burstlet_model::{Namespace, Stamp, WallTime};
use serde_json::Value;

use life::{S, at, books, ledger, life, options};

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
    scan(&Inspected::new(path.path()), |found| {
        if let Found::Record(entered) = found {
            sessions.apply(entered.record);
        }
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

/// What each namespace owes, as this crate has it: by price, and how long it was billed in all.
fn bill(path: &Path) -> BTreeMap<String, (BTreeMap<String, Money>, u64)> {
    let meter = Meter::new(BootId([4; 16]), [], Vec::new());
    scan(&Inspected::new(path), |found| {
        if let Found::Record(entered) = found {
            meter.apply(Shown::Record(entered.record)).unwrap();
        }
    })
    .unwrap();
    // What lasts is counted as far as it is written down.
    let (filter, by) = (Filter::default(), [Dimension::Namespace]);
    let report = meter.report(Stamp::default(), Window::ALL, &filter, &by);
    let namespaces = report.unwrap().into_iter().map(|(keys, sums)| {
        let mut costs = BTreeMap::new();
        for ((_, _, sku), sum) in &sums.skus {
            let cost = costs.entry(sku.clone()).or_insert(Money::ZERO);
            *cost = *cost + sum.cost;
        }
        (keys[0].clone(), (costs, sums.time.total_ns()))
    });
    namespaces.collect()
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn the_script_comes_to_the_same_bill() {
    let path = tempfile::tempdir().unwrap();
    ledger(path.path());
    check_bill(path.path(), &["ours", "theirs"]);
}

/// One group is older than the books; the clock goes back before them when the other is created.
#[test]
fn the_script_charges_by_the_same_book_when_the_clock_is_set_back() {
    let path = tempfile::tempdir().unwrap();
    let directory = Directory::open(path.path()).unwrap();
    let (mut writer, _) = Writer::open(directory, options(), Box::new(|_| {})).unwrap();
    let mut old = life("old", "a", S);
    let later = old.split_off(5);
    let installed = books().map(|book| Entry {
        at: at(8 * S),
        fact: Fact::BookInstalled(book.to_record()),
    });
    let mut set_back = life("back", "b", 40 * S);
    for entry in &mut set_back {
        entry.at.stamp.wall.0 -= 365 * 24 * 3600 * S as i64;
    }
    for entry in [old, installed.into(), later, set_back]
        .into_iter()
        .flatten()
    {
        writer.commit(vec![vec![entry]]).pop().unwrap().unwrap();
    }
    writer.close().unwrap();
    check_bill(path.path(), &["back", "old"]);
}

/// Compares what the namespaces, which are these, owe.
fn check_bill(path: &Path, namespaces: &[&str]) {
    let (code, told) = verify(&[path.to_str().unwrap()]);
    assert_eq!(code, 0, "{told}");
    let bill = bill(path);
    assert!(bill.keys().eq(namespaces), "{bill:?}");
    for (namespace, (costs, billed_ns)) in bill {
        let theirs = &told["bill"][&namespace];
        assert_eq!(theirs["currency"], "EUR");
        let found = theirs["cost"].as_object().unwrap();
        assert_eq!(found.len(), costs.len(), "{theirs}");
        for (sku, cost) in costs {
            assert_eq!(text(&found[&sku]), cost.to_string(), "{namespace} {sku}");
            assert!(cost > Money::ZERO, "{sku}");
        }
        let seconds = theirs["seconds"].as_object().unwrap().values();
        let nanos = seconds.map(|value| {
            let (whole, fraction) = text(value).split_once('.').unwrap_or((text(value), "0"));
            whole.parse::<u64>().unwrap() * S + format!("{fraction:0<9}").parse::<u64>().unwrap()
        });
        assert_eq!(nanos.sum::<u64>(), billed_ns, "{namespace}");
    }
}

/// Segments go, and chain, bill and extract are as before; what is carried on is as provable as a
/// record.
#[test]
fn the_script_follows_a_ledger_behind_retired_segments() {
    let path = tempfile::tempdir().unwrap();
    let before = ledger(path.path());
    let opened = Directory::open(path.path()).unwrap();
    let (mut writer, _) = Writer::open(opened, options(), Box::new(|_| {})).unwrap();
    for entry in life("theirs", "d", 60 * S) {
        let results = writer.commit(vec![vec![entry]]);
        assert!(results.iter().all(Result::is_ok));
    }
    writer.close().unwrap();
    drop(writer);
    let directory = path.path().to_str().unwrap();
    let (_, whole) = verify(&[directory]);
    let files = Inspected::new(path.path());
    let found = retiring(&files, &[], WallTime(i64::MAX), [8; 16])
        .unwrap()
        .unwrap();
    assert!(!found.summed.is_empty(), "no session became a sum");
    let opened = Directory::open(path.path()).unwrap();
    let (mut writer, _) = Writer::open(opened, options(), Box::new(|_| {})).unwrap();
    writer.retire(&found.carried).unwrap();
    let after = writer.close().unwrap();
    drop(writer);

    let archive = path.path().join("archive");
    let archive = archive.to_str().unwrap();
    let (code, told) = verify(&[directory, "--head", &published(after)]);
    assert_eq!((code, &told["bill"]), (0, &whole["bill"]), "{told}");
    assert!(told["sessions"].as_object().unwrap().len() < 4);
    let old = published(Receipt { seq: 3, ..before });
    assert_eq!(
        verify(&[directory, "--head", &old]).0,
        1,
        "it can only be checked with the archive"
    );
    let (code, told) = verify(&[directory, "--archive", archive]);
    assert_eq!((code, &told["bill"]), (0, &whole["bill"]), "{told}");
    assert_eq!(
        verify(&[directory, "--archive", archive, "--head", &old]).0,
        1,
        "{old} is wrong"
    );

    let mut extracted = Vec::new();
    let ours = Namespace::new("ours").unwrap();
    extract(&files, &ours, &mut extracted).unwrap();
    let extracted = String::from_utf8(extracted).unwrap();
    let file = path.path().join("extract");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        verify(&[
            "--extract",
            file.to_str().unwrap(),
            "--head",
            &published(after),
        ])
    };
    let (code, told) = check(&extracted);
    assert_eq!(code, 0, "{told}");
    assert!(told["sessions"]["c#1"].is_object(), "{told}");
    assert!(!extracted.contains(&Hex(b"theirs").to_string()));
    let lines: Vec<&str> = extracted.lines().collect();
    let carried = |line: &&str| {
        ["carried ", "c ", "l "]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let last = lines.iter().rposition(carried).unwrap();
    for number in [2, 3, 9, last] {
        let without = [&lines[..number], &lines[number + 1..]].concat();
        assert_eq!(check(&without.join("\n")).0, 1, "without {}", lines[number]);
    }
    for name in [
        format!("carried-{:010}", found.carried.segment),
        "archive/segment-0000000001".to_owned(),
    ] {
        let place = path.path().join(&name);
        let bytes = std::fs::read(&place).unwrap();
        for at in [30, 70, 200, 700] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&place, changed).unwrap();
            let (code, told) = verify(&[directory, "--archive", archive]);
            assert_eq!(code, 1, "byte {at} of {name}: {told}");
        }
        std::fs::write(&place, bytes).unwrap();
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
