//! The golden vectors: what published prices come to, to the last digit. The tables beside this file
//! are checked twice, here by the rating and by `golden/check.py`, which shares no code with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use burstlet_metering::book::{Amounts, Book, SECOND_NS, Shelf};
use burstlet_metering::money::{Decimal, Money};
use burstlet_metering::rating::{Segment, Timeline, rate};
use burstlet_metering::record::{Allocation, Opened, Scheduling, State};
use burstlet_metering::sessions::Window;
use burstlet_model::{Bytes, GroupName, MilliCpu, Name, Namespace, WallTime};

/// A moment at which every book of the tables is in force.
const START: i64 = 1_780_000_000_000_000_000;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn book(name: &str) -> Book {
    let text = std::fs::read_to_string(golden().join(format!("books/{name}.toml"))).unwrap();
    Book::parse(&text).unwrap()
}

fn rows(name: &str) -> Vec<BTreeMap<String, String>> {
    let rows = csv::Reader::from_path(golden().join(name))
        .unwrap()
        .into_deserialize();
    let rows: Vec<_> = rows.map(Result::unwrap).collect();
    assert!(!rows.is_empty(), "{name} is empty");
    rows
}

fn pairs(text: &str) -> BTreeMap<&str, &str> {
    text.split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .collect()
}

/// A decimal number of seconds.
fn ns(text: &str) -> u64 {
    Decimal::parse(text).unwrap().in_parts(SECOND_NS).unwrap()
}

fn opened(attributes: &str, amounts: &str) -> Opened {
    let attributes = pairs(attributes);
    let amounts = pairs(amounts);
    let word = |key: &str| attributes.get(key).copied().unwrap_or("").to_owned();
    let count = |key: &str| {
        amounts
            .get(key)
            .map_or(0, |text| text.parse::<u64>().unwrap())
    };
    Opened {
        group: GroupName {
            namespace: Namespace::new("default").unwrap(),
            name: Name::new("golden").unwrap(),
        },
        owner: String::new(),
        tags: BTreeMap::new(),
        images: Vec::new(),
        os: word("os"),
        arch: word("arch"),
        scheduling: match attributes.get("scheduling") {
            Some(&"spot") => Scheduling::Spot,
            _ => Scheduling::OnDemand,
        },
        isolation: word("isolation"),
        allocation: Allocation {
            cpu: MilliCpu(count("cpu")),
            memory: Bytes(count("memory")),
            ephemeral: Bytes(count("ephemeral")),
            gpus: u32::try_from(count("gpus")).unwrap(),
            gpu_model: word("gpu_model"),
            ports: u32::try_from(count("ports")).unwrap(),
            volumes: Bytes(count("volume")),
        },
    }
}

fn state(word: &str) -> State {
    State::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
        .unwrap()
}

/// `Pulling:5 Running:2`, one after the other.
fn timeline<'a>(opened: &'a Opened, session: &str) -> Timeline<'a> {
    let mut from = START;
    let segment = |step: &str| {
        let (word, length) = step.split_once(':').unwrap();
        let until = from + i64::try_from(ns(length)).unwrap();
        let span = Window {
            from: WallTime(from),
            to: WallTime(until),
        };
        from = until;
        Segment {
            state: state(word),
            span,
            amounts: Amounts::from(&opened.allocation),
        }
    };
    Timeline {
        opened,
        segments: session.split_whitespace().map(segment).collect(),
        has_book: false,
    }
}

#[test]
fn costs_are_those_of_the_table() {
    for row in rows("costs.csv") {
        let shelf = Shelf::always(book(&row["book"]));
        let opened = opened(&row["attributes"], &row["amounts"]);
        let repeat: i64 = row["repeat"].parse().unwrap();
        let (mut cost, mut time) = (Money::ZERO, 0);
        for session in row["sessions"].split('|') {
            let rated = rate(&timeline(&opened, session), &shelf, Window::ALL).unwrap();
            cost = cost + rated.cost();
            time += rated.time.total_ns();
        }
        let id = &row["id"];
        assert_eq!(cost.times(repeat).unwrap().to_string(), row["cost"], "{id}");
        assert_eq!(time * repeat.unsigned_abs(), ns(&row["seconds"]), "{id}");
    }
}

#[test]
fn billed_amounts_are_those_of_the_table() {
    for row in rows("amounts.csv") {
        let count = |key: &str| row[key].parse::<u64>().unwrap();
        let asked = Amounts {
            cpu_milli: count("cpu"),
            memory: count("memory"),
            ..Amounts::default()
        };
        let billed = book(&row["book"]).billed(asked);
        let found = (billed.cpu_milli, billed.memory);
        assert_eq!(
            found,
            (count("billed_cpu"), count("billed_memory")),
            "{row:?}"
        );
    }
}

#[test]
fn windows_are_cut_as_the_table_has_it() {
    for row in rows("windows.csv") {
        let shelf = Shelf::always(book(&row["book"]));
        let opened = opened("os=linux", "cpu=1000 memory=1000000000");
        let timeline = timeline(&opened, &row["sessions"]);
        let cuts = row["cuts"]
            .split_whitespace()
            .map(|cut| START + i64::try_from(ns(cut)).unwrap());
        let ends: Vec<i64> = [i64::MIN]
            .into_iter()
            .chain(cuts)
            .chain([i64::MAX])
            .collect();
        let expected: Vec<u64> = row["seconds"].split_whitespace().map(ns).collect();
        let windows = ends.windows(2).map(|ends| Window {
            from: WallTime(ends[0]),
            to: WallTime(ends[1]),
        });
        let found: Vec<u64> = windows
            .map(|window| rate(&timeline, &shelf, window).unwrap().time.total_ns())
            .collect();
        assert_eq!(found, expected, "{}", row["id"]);
    }
}

#[test]
fn another_program_comes_to_the_same() {
    let output = Command::new("python3")
        .arg(golden().join("check.py"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
