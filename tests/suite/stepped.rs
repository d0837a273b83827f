//! Memory that a group is charged for over time, beside what a program in it says that it held: a
//! load in steps, whose integral is a formula.

use burstlet_tests::Agent;
use serde_json::{Value, json};

use super::hostile::{agent_with, hostile_group, wait_for_log};
use super::ledger::settled;
use super::{create_json, full_or, with_spec};

const SECOND_NS: f64 = 1e9;
const MIB: f64 = 1_048_576.0;
/// Between two samples, as the agent takes them.
const PERIOD_S: f64 = 1.0;
/// How long nothing is held before the first step and after the last: what changes lies between two
/// samples, then.
const REST_S: f64 = 3.0;
/// What the group holds beside, at most: its keeper, the program, its tables of pages, what the
/// kernel charges ahead.
const BESIDE_BYTES: f64 = 6.0 * MIB;
/// By how much a minute's integral may be wrong, held to by who has the machine for himself: on a
/// busy one samples are late.
const ERROR_MAX: f64 = 0.02;
/// How late a sample may be read after its turn, for the bound on the longest pause.
const LATE_S: f64 = 0.5;

/// What was held at a moment, as the program has it.
#[derive(Clone, Copy)]
struct Told {
    at_s: f64,
    bytes: f64,
}

/// Up, a little down, a little up, and down: the less is changed beside what is held, the less a
/// sample that comes late matters.
fn steps() -> Vec<String> {
    let lasts_ms = full_or(20_000, 4000);
    let rest_ms = (REST_S * 1000.0) as u32;
    let held = [256, 224, 256].map(|mebibytes| format!("{mebibytes}:{lasts_ms}"));
    let rest = format!("0:{rest_ms}");
    let rest = std::slice::from_ref(&rest);
    [rest, &held, rest].concat()
}

fn told(logs: &str) -> Vec<Told> {
    let line = |line: &str| {
        let (at, bytes) = line.split_once(' ')?;
        Some(Told {
            at_s: at.parse::<f64>().ok()? / SECOND_NS,
            bytes: bytes.parse().ok()?,
        })
    };
    logs.lines()
        .map(|text| line(text).unwrap_or_else(|| panic!("{text:?} of {logs}")))
        .collect()
}

/// Between two words of the program what is held changes evenly.
fn integral(told: &[Told]) -> f64 {
    let part = |two: &[Told]| (two[0].bytes + two[1].bytes) / 2.0 * (two[1].at_s - two[0].at_s);
    told.windows(2).map(part).sum()
}

/// What the ledger has of the group's memory when its counters were read for the last time.
struct Charged {
    byte_s: f64,
    sampled_s: f64,
    samples: f64,
    peak: f64,
}

fn charged(agent: &Agent, uid: &str) -> Charged {
    let session = settled(agent, uid);
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let used = |name: &str| number(&session["used"][name]);
    Charged {
        byte_s: used("memory_byte_ns") / SECOND_NS,
        sampled_s: used("memory_sampled_ns") / SECOND_NS,
        samples: session["memory_samples"].as_u64().unwrap() as f64,
        peak: used("memory_peak"),
    }
}

/// What the integral may be wrong by, by the rule that samples are taken and summed by: half of each
/// change over the longest pause, what nobody looked at, and what is held beside.
fn bound(told: &[Told], charged: &Charged) -> f64 {
    let changes = told
        .windows(2)
        .map(|two| (two[1].bytes - two[0].bytes).abs());
    let pauses = charged.samples - 1.0;
    let longest = charged.sampled_s - (pauses - 1.0) * PERIOD_S + LATE_S;
    let life = told.last().unwrap().at_s - told[0].at_s;
    let most = told.iter().map(|told| told.bytes).fold(0.0, f64::max);
    // What was not sampled was rest, if it was no longer than that.
    let unseen = Some(life - charged.sampled_s).filter(|unseen| *unseen > REST_S);
    let unseen = most * unseen.unwrap_or(0.0);
    changes.sum::<f64>() * longest / 2.0 + unseen + BESIDE_BYTES * charged.sampled_s
}

#[test]
fn memory_of_a_stepped_load_is_integrated_as_well_as_samples_can() {
    let agent = agent_with("");
    let script = format!("exec /incontainer hold {}", steps().join(" "));
    let group = hostile_group("load", &script);
    create_json(&agent, &with_spec(group, "restartPolicy", json!("Never")));
    // In its full form it takes longer than anything else is waited for.
    agent.ok(&["wait", "load", "--for", "finished", "--timeout", "3m"]);
    let ended = |group: &Value| group["status"]["phase"] == "Succeeded";
    let group = agent.wait_until("load", "ended", ended);
    let told = told(&wait_for_log(&agent, "load", " 0\n"));
    let charged = charged(&agent, group["metadata"]["uid"].as_str().unwrap());

    let truth = integral(&told);
    let error = charged.byte_s - truth;
    let bound = bound(&told, &charged);
    let text = format!(
        "{:.1} MiB·s charged for {:.1}, {:+.2} %, bound {:.2} %, {} samples over {:.2} s",
        charged.byte_s / MIB,
        truth / MIB,
        error / truth * 100.0,
        bound / truth * 100.0,
        charged.samples,
        charged.sampled_s
    );
    eprintln!("{text}");
    assert!(error.abs() <= bound, "{text}");
    assert!(charged.byte_s <= charged.peak * charged.sampled_s, "{text}");
    assert!(charged.peak >= 256.0 * MIB, "{}", charged.peak);
    let is_full = full_or(1, 0) == 1;
    if is_full {
        assert!(error.abs() <= truth * ERROR_MAX, "{text}");
    }
    agent.ok(&["rm", "load"]);
    agent.finish();
}
