//! The agent dies, and effects fail, at every point that there is. After each the next agent comes
//! up, the group that runs beside has noticed nothing, what was acknowledged is there, and nothing
//! is left on the host or on disk that was not there before.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

use burstlet_failpoint::Point;
use burstlet_testkit::image::{Entry, ImageBuilder, Packing};
use burstlet_tests::crashing::{Client, Inventory, Survivor, number_from, wait_for};
use burstlet_tests::{Agent, PATIENCE};
use serde_json::{Value, json};

use super::{agent, create, shell_group, state, with_container, with_spec};

/// How often the agent dies at each point, unless `BURSTLET_TEST_ROUNDS` says otherwise.
const ROUNDS: u64 = 1;
/// Points that fail in one life. They lie far apart in it, so that none waits for the retry of
/// another.
const FAILURES_PER_LIFE: usize = 5;
/// The last point of the usual run; those of a group's removal come in longer ones.
const LAST: Point = Point::DetachBegun;
const NAME: &str = "life";
const EXTRA: &str = "localhost/extra:1";

/// An agent that is hurt again and again, and what must stay as it is.
struct Patient {
    agent: Agent,
    client: Client,
    survivor: Survivor,
    inventory: Inventory,
    archive: Vec<u8>,
    /// The group was acknowledged, and nobody asked for its end.
    is_owed: bool,
}

impl Patient {
    fn new() -> Self {
        let agent = agent();
        let quick = "  terminationGracePeriodSeconds: 0\n";
        create(&agent, "survivor", Survivor::SCRIPT, quick);
        let survivor = Survivor::new(&agent, "survivor");
        let client = agent.client();
        let image = ImageBuilder::default().layer(vec![Entry::file("etc/extra", "extra")]);
        let image = image.packing(Packing::None);
        let archive = image.build().unwrap().docker_archive(EXTRA).unwrap();
        let mut patient = Self {
            inventory: agent.inventory(&survivor),
            agent,
            client,
            survivor,
            archive,
            is_owed: false,
        };
        // What one life leaves for the next, such as an empty directory of logs, is no leak.
        patient.live().unwrap();
        patient.inventory = patient.agent.inventory(&patient.survivor);
        patient
    }

    /// A life that passes every point. Gives how the agent ended if it did.
    fn live(&mut self) -> Result<(), ExitStatus> {
        let archive = std::mem::take(&mut self.archive);
        let imported = self.step("import", |client| {
            client.once(&["import", "-"], &archive).code == Some(0)
        });
        self.archive = archive;
        imported?;
        let text = definition().to_string();
        self.step("create", |client| {
            let made = client.once(&["create", "-f", "-"], text.as_bytes());
            made.code == Some(0) || client.group(NAME).is_some()
        })?;
        self.is_owed = true;
        self.step("running", is_running)?;
        self.is_owed = false;
        self.step("stop", |client| {
            client.once(&["stop", NAME], b"").code == Some(0)
        })?;
        self.step("rm", |client| {
            client.once(&["rm", "-f", NAME], b"").code == Some(0)
        })?;
        self.step("rmi", is_removed)
    }

    /// Tries until it is done, or the agent has ended.
    fn step(&mut self, what: &str, done: impl Fn(&Client) -> bool) -> Result<(), ExitStatus> {
        let deadline = Instant::now() + 2 * PATIENCE;
        while !done(&self.client) {
            if let Some(status) = self.agent.ended() {
                return Err(status);
            }
            assert!(Instant::now() < deadline, "{what}\n{}", self.agent.log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Ok(())
    }

    /// The next agent: nothing is lost, and nothing is left.
    fn recover(&mut self) {
        self.agent.crash();
        self.agent.launch();
        if std::mem::take(&mut self.is_owed) {
            let client = self.client.clone();
            wait_for("what was acknowledged", || {
                is_running(&client).then_some(())
            });
        }
        self.client.remove(NAME);
        // What was received of an image is kept for whoever wants it again.
        wait_for("the image is imported", || {
            let imported = self.client.once(&["import", "-"], &self.archive);
            (imported.code == Some(0)).then_some(())
        });
        wait_for("the image is gone", || {
            is_removed(&self.client).then_some(())
        });
        self.survivor.check(&self.agent);
        self.agent
            .assert_holds_only(&self.inventory, &self.survivor);
    }

    fn die_at(&mut self, point: Point) {
        self.agent.crash();
        let since = self.agent.log_end();
        let armed = format!("{}=1*return(crash)", point.name());
        let status = match self.agent.launch_armed(&armed) {
            Some(status) => status,
            None => match self.live() {
                Err(status) => status,
                // Some of it is done behind the scenes.
                Ok(()) => self.agent.wait_for_end(),
            },
        };
        assert_eq!(status.signal(), Some(9), "{point:?}\n{}", self.agent.log());
        assert!(self.has_met(since, point), "{point:?}");
        self.recover();
    }

    /// Lives though each of these points fails once.
    fn live_through(&mut self, points: &[Point]) {
        self.agent.crash();
        let since = self.agent.log_end();
        let arms = points.iter().map(|p| format!("{}=1*return", p.name()));
        let arms: Vec<String> = arms.collect();
        assert_eq!(self.agent.launch_armed(&arms.join(";")), None);
        let lived = self.live();
        assert_eq!(lived, Ok(()), "{points:?}\n{}", self.agent.log());
        for point in points {
            wait_for(point.name(), || self.has_met(since, *point).then_some(()));
        }
        self.recover();
    }

    fn fail_to_start_at(&mut self, point: Point) {
        self.agent.crash();
        let armed = format!("{}=return", point.name());
        let status = self.agent.launch_armed(&armed).unwrap();
        assert_eq!(status.code(), Some(1), "{point:?}\n{}", self.agent.log());
        self.recover();
    }

    fn has_met(&self, since: u64, point: Point) -> bool {
        let told = format!("failpoint {} does", point.name());
        self.agent.has_logged(since, &told)
    }

    fn finish(self) {
        self.survivor.check_log(&self.agent);
        self.agent.ok(&["rm", "-f", "survivor"]);
        self.agent.finish();
    }
}

/// A group with all that leaves traces: volumes, a signal to wait for, and a port.
fn definition() -> Value {
    let script = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let group = shell_group(NAME, script);
    let mounts = json!([
        {"name": "data", "mountPath": "/data"},
        {"name": "settings", "mountPath": "/settings"},
    ]);
    let group = with_container(group, "volumeMounts", mounts);
    let data = json!({"name": "data", "emptyDir": {}});
    let settings = json!({"name": "settings", "configMap": {"data": {"key": "value"}}});
    let group = with_spec(group, "volumes", json!([data, settings]));
    with_spec(group, "terminationGracePeriodSeconds", json!(5))
}

fn is_running(client: &Client) -> bool {
    let group = client.group(NAME);
    group.is_some_and(|group| !state(&group)["running"].is_null())
}

fn is_removed(client: &Client) -> bool {
    let outcome = client.once(&["rmi", EXTRA], b"");
    outcome.code == Some(0) || outcome.stderr.contains("no image")
}

/// The points up to the last of the usual run, or those whose names begin with one of the words in
/// `BURSTLET_TEST_POINTS`.
fn points() -> Vec<Point> {
    let Ok(wanted) = std::env::var("BURSTLET_TEST_POINTS") else {
        let all = Point::ALL.iter().copied();
        let last = all.clone().position(|point| point == LAST).unwrap();
        return all.take(last + 1).collect();
    };
    let is_wanted = |point: &Point| {
        let mut words = wanted.split(',');
        words.any(|word| point.name().starts_with(word))
    };
    let points: Vec<Point> = Point::ALL.iter().copied().filter(is_wanted).collect();
    assert!(!points.is_empty(), "no point begins with {wanted}");
    points
}

fn is_of_the_start(point: Point) -> bool {
    point.name().starts_with("start-")
}

#[test]
fn a_crash_at_any_point_loses_nothing_and_leaves_nothing() {
    let mut patient = Patient::new();
    let begun = Instant::now();
    let rounds = number_from("BURSTLET_TEST_ROUNDS", ROUNDS);
    let points = points();
    for _ in 0..rounds {
        for point in &points {
            patient.die_at(*point);
        }
    }
    let (points, took) = (points.len(), begun.elapsed().as_secs());
    println!("{points} points, {rounds} crashes at each, {took} s");
    patient.finish();
}

#[test]
fn a_failure_at_any_point_is_told_or_tried_again() {
    let mut patient = Patient::new();
    let begun = Instant::now();
    let fallible = Point::ALL.iter().copied().filter(|point| point.may_fail());
    let (starts, others): (Vec<Point>, Vec<Point>) = fallible.partition(|p| is_of_the_start(*p));
    let rounds = number_from("BURSTLET_TEST_ROUNDS", ROUNDS);
    let lives = others.len().div_ceil(FAILURES_PER_LIFE);
    for _ in 0..rounds {
        for point in &starts {
            patient.fail_to_start_at(*point);
        }
        for life in 0..lives {
            let points = others.iter().skip(life).step_by(lives);
            patient.live_through(&points.copied().collect::<Vec<_>>());
        }
    }
    let (points, took) = (starts.len() + others.len(), begun.elapsed().as_secs());
    println!("{points} points, {rounds} failures at each, {took} s");
    patient.finish();
}
