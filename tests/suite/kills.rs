//! The agent is killed at any moment, again and again, while groups start, run, log and end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use burstlet_tests::crashing::{Client, Dice, Survivor, number_from};
use burstlet_tests::{Agent, PATIENCE};
use serde_json::Value;

use super::{agent, create, group, state};

/// How often, unless `BURSTLET_TEST_KILLS` says otherwise.
const KILLS: u64 = 200;
/// Groups that are under way at the same time.
const WORKERS: u64 = 3;
/// An agent lives less long than this.
const LIFE_MS_MAX: u64 = 400;
/// One of so many is killed before it is up.
const EARLY_ONE_IN: u64 = 4;
/// Lines that each group logs.
const LINES: u64 = 40;
const NEVER: &str = "  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n";

/// What the groups do and how it went.
#[derive(Default)]
struct Work {
    is_over: AtomicBool,
    groups: AtomicU64,
}

impl Work {
    /// One group after the other, each with an end and words of its own.
    fn go_on(&self, client: &Client, worker: u64) {
        for number in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("g{worker}-{number}");
            let code = (worker * 7 + number) % 100;
            one_group(client, &name, code);
            self.groups.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A group that says its lines and ends with `code`, once.
fn one_group(client: &Client, name: &str, code: u64) {
    let script = format!(
        "i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo $i of {name}; [ $((i % 10)) = 0 ] && sleep 0.1; done; exit {code}"
    );
    client.create(name, &group(name, &script, NEVER));
    let ended = wait_for_end(client, name);
    assert_eq!(
        state(&ended)["terminated"]["exitCode"]
            .as_u64()
            .unwrap_or(0),
        code,
        "{ended:#}"
    );
    assert_eq!(
        state(&ended)["restartCount"].as_u64().unwrap_or(0),
        0,
        "{ended:#}"
    );
    let logs = client.persist(&["logs", name]);
    let expected: String = (1..=LINES).map(|i| format!("{i} of {name}\n")).collect();
    assert_eq!(logs, expected);
    client.remove(name);
}

/// Agents may go before they have begun it: it is waited for as long as there are kills.
fn wait_for_end(client: &Client, name: &str) -> Value {
    let mut deadline = Instant::now() + 4 * PATIENCE;
    let mut seen = None;
    loop {
        let group = client.group(name);
        let phase = group.as_ref().map(|g| g["status"]["phase"].clone());
        match phase.as_ref().and_then(Value::as_str) {
            Some("Succeeded" | "Failed") => return group.unwrap(),
            Some(_) if phase != seen => {
                seen = phase;
                deadline = Instant::now() + 4 * PATIENCE;
            }
            _ => {}
        }
        assert!(Instant::now() < deadline, "{name} does not end: {group:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Kills agents at moments that the dice choose. That one is up it says itself: asking for it takes
/// longer than it lives.
fn kill(agent: &mut Agent, dice: &mut Dice, kills: u64) {
    for _ in 0..kills {
        agent.spawn("");
        let is_early = dice.roll(EARLY_ONE_IN) == 0;
        if !is_early {
            assert_eq!(agent.told().trim(), "READY=1", "{}", agent.log());
        }
        std::thread::sleep(Duration::from_millis(dice.roll(LIFE_MS_MAX)));
        agent.crash();
    }
    agent.launch();
}

#[test]
fn kills_at_any_moment_lose_and_leave_nothing() {
    let mut agent = agent();
    let quick = "  terminationGracePeriodSeconds: 0\n";
    create(&agent, "survivor", Survivor::SCRIPT, quick);
    let survivor = Survivor::new(&agent, "survivor");
    one_group(&agent.client(), "first", 3);
    let inventory = agent.inventory(&survivor);
    let (mut dice, work, begun) = (Dice::seeded(), Work::default(), Instant::now());
    let kills = number_from("BURSTLET_TEST_KILLS", KILLS);
    let client = agent.client();
    agent.crash();
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (work, client) = (&work, &client);
            scope.spawn(move || work.go_on(client, worker));
        }
        // Whatever happens here, the workers end.
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            kill(&mut agent, &mut dice, kills);
        }));
        work.is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = killed {
            std::panic::resume_unwind(panic);
        }
    });
    let (groups, took) = (work.groups.into_inner(), begun.elapsed().as_secs());
    println!("{kills} kills, {groups} groups, {took} s");
    assert!(groups >= WORKERS, "{groups}");
    survivor.check(&agent);
    survivor.check_log(&agent);
    agent.assert_holds_only(&inventory, &survivor);
    agent.ok(&["rm", "-f", "survivor"]);
    agent.finish();
}
