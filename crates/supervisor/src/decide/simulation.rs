//! Whole lives of groups on a machine that does what dice say, without a runtime: whatever
//! succeeds, fails, ends, hangs or is asked for, in whatever order, the rules hold.

use std::collections::BTreeMap;

use burstlet_model::spec::{
    Ends, GroupSpec, Hook, HookAction, OwnRestart, RestartAction, RestartPolicy, RestartRule,
    Signal,
};
use burstlet_model::status::{ExitStatus, ImagePull, Phase};
use burstlet_model::{Digest, ErrorKind, MilliCpu, Stamp, WallTime};
use burstlet_testkit::spec::{container, ephemeral, group, probe};
use proptest::prelude::*;

use super::*;
use crate::host::{HostError, ProbeResult, Pulled, Resized, Sandbox, Started};
use crate::meter::rules::Book;
use crate::seen::{ContainerSeen, Outcome};

/// Rounds of judging at one moment.
const ROUNDS_MAX: usize = 64;
/// Steps in which a machine on which all goes well must get rid of a group.
const STEPS_TO_GO_MAX: usize = 500;

/// A source of decisions: what proptest gives, then zeros, which mean that all goes well.
struct Dice(std::vec::IntoIter<u8>);

impl Dice {
    fn roll(&mut self, sides: u8) -> u8 {
        self.0.next().map_or(0, |n| n % sides)
    }

    fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

struct World {
    spec: GroupSpec,
    seen: Seen,
    now: u64,
    /// Effects under way.
    under_way: Vec<Action>,
    /// Processes that run, by container, with their attempt.
    running: BTreeMap<usize, u32>,
    sandbox: bool,
    /// The largest number of a run that has been started, by container.
    attempts: BTreeMap<usize, u32>,
    restarts: BTreeMap<usize, u32>,
    phase: Phase,
    /// Somebody asked for something since the phase was looked at.
    asked: bool,
    book: Book,
}

impl World {
    fn new(spec: GroupSpec) -> Self {
        let mut seen = Seen::new(&spec, stamp(1));
        seen.place = Some(Place::Admitted);
        Self {
            spec,
            seen,
            now: 1,
            under_way: Vec::new(),
            running: BTreeMap::new(),
            sandbox: false,
            attempts: BTreeMap::new(),
            restarts: BTreeMap::new(),
            phase: Phase::Queued,
            asked: false,
            book: Book::new(),
        }
    }

    /// Judges until there is nothing to do; gives when to judge again.
    fn judge(&mut self) -> Option<BootTime> {
        let now = stamp(self.now);
        for _ in 0..ROUNDS_MAX {
            let decision = next(&self.spec, &self.seen, now.boot);
            if decision.actions.is_empty() {
                if let Some(at) = decision.wake_at {
                    assert!(at > now.boot, "asks to be woken in the past");
                }
                self.check(decision.wake_at);
                return decision.wake_at;
            }
            for action in decision.actions {
                self.begin(action, now);
            }
        }
        panic!("does not come to a decision: {:?}", self.seen);
    }

    fn begin(&mut self, action: Action, now: Stamp) {
        match &action {
            Action::Start { container, attempt } => self.check_start(*container, *attempt),
            Action::DestroySandbox => assert!(self.running.is_empty(), "destroyed with processes"),
            Action::BeginAgain => {
                let lasting = self.spec.lasting_containers().count();
                assert!(
                    self.running.keys().all(|index| *index >= lasting),
                    "begun beside the old"
                );
            }
            Action::Remove => assert!(!self.sandbox, "removed with a sandbox"),
            _ => {}
        }
        self.seen.begin(&self.spec, &action, now);
        if matches!(action, Action::End { .. }) {
            self.asked = true;
        }
        let needs_no_machine = matches!(
            action,
            Action::Admit
                | Action::Stop { .. }
                | Action::BeginAgain
                | Action::End { .. }
                | Action::Settle
        );
        if !needs_no_machine {
            self.under_way.push(action);
        }
        // Pulls of an ending group are dropped.
        if self.seen.ending.is_some() {
            self.under_way.retain(|a| !matches!(a, Action::Pull { .. }));
        }
    }

    fn check_start(&self, container: usize, attempt: u32) {
        assert!(!self.running.contains_key(&container), "two runs at once");
        let starts =
            |a: &Action| matches!(a, Action::Start { container: c, .. } if *c == container);
        assert!(!self.under_way.iter().any(starts), "started twice");
        assert!(
            self.attempts.get(&container) < Some(&attempt),
            "a run's number is used twice"
        );
        assert!(self.sandbox, "started without a sandbox");
        let inits = self.spec.init_containers.len();
        if container >= inits + self.spec.containers.len() {
            let again = self.attempts.contains_key(&container);
            return assert!(!again, "an ephemeral container runs twice");
        }
        let passed = self
            .seen
            .containers
            .iter()
            .take(inits)
            .all(ContainerSeen::lets_pass);
        let first = !self.seen.has_run_main();
        assert!(
            container < inits || !first || passed,
            "main before init is done"
        );
    }

    fn check(&mut self, wake_at: Option<BootTime>) {
        let status = self.seen.status(&self.spec);
        let settled = self.phase.is_at_rest();
        assert!(
            !settled || self.asked || status.phase == self.phase,
            "rest is not for good"
        );
        self.phase = status.phase;
        self.asked = false;
        if status.phase.is_at_rest() {
            assert!(
                self.running.is_empty() && !self.sandbox,
                "at rest with something left"
            );
            assert!(!status.ready);
        }
        for (index, container) in status.all_containers().enumerate() {
            let before = self.restarts.insert(index, container.restart_count);
            assert!(before <= Some(container.restart_count), "restarts fall");
        }
        let (last, closed) = match status.sessions.split_last() {
            Some((last, before)) => (Some(last), before),
            None => (None, [].as_slice()),
        };
        let mut end = Stamp::default();
        for session in closed {
            assert!(session.opened >= end && session.closed >= Some(session.opened));
            end = session.closed.unwrap();
        }
        assert!(
            last.is_none_or(|session| session.opened >= end),
            "sessions overlap"
        );
        if !self.running.is_empty() {
            assert!(
                last.is_some_and(|s| s.closed.is_none()),
                "a process runs for free"
            );
        }
        let runs = !self.running.is_empty();
        self.book.look(&self.seen, stamp(self.now), runs);
        let idle = self.under_way.is_empty() && self.running.is_empty();
        if self.seen.stage == Stage::Live && idle {
            assert!(wake_at.is_some(), "stalled: {:?}", self.seen);
        }
    }

    /// One thing happens.
    fn step(&mut self, dice: &mut Dice) {
        let wake_at = self.judge();
        let commands = match dice.roll(8) {
            7 => dice.roll(7) + 1,
            _ => 0,
        };
        match commands {
            1 => return self.ask(|seen, now| seen.end(Cause::Stop, Duration::from_secs(5), now)),
            2 => return self.ask(|seen, now| seen.end(Cause::Restart, Duration::ZERO, now)),
            3 => return self.start_again(),
            4 => return self.lose_keeper(),
            5 => return self.change(other_image),
            6 => return self.change(one_more),
            7 => return self.change(other_size),
            _ => {}
        }
        let ends = usize::from(dice.roll(3) == 2) * self.running.len();
        if ends > 0 {
            let nth = usize::from(dice.roll(8)) % ends;
            let (container, _) = self.running.iter().nth(nth).unwrap();
            let code = dice.roll(2).into();
            return self.exit(*container, code);
        }
        if self.under_way.is_empty() {
            let at = wake_at.map_or(self.now + 1, |at| at.0);
            self.now = self.now.max(at);
            return;
        }
        let nth = usize::from(dice.roll(8)) % self.under_way.len();
        let action = self.under_way.remove(nth);
        self.now += u64::from(dice.roll(4)) * 1_000_000_000;
        let fails = dice.roll(5) == 4;
        self.complete(action, fails);
    }

    fn ask(&mut self, ask: impl FnOnce(&mut Seen, Stamp)) {
        if self.phase.is_at_rest() || self.phase == Phase::Terminating {
            return;
        }
        self.asked = true;
        ask(&mut self.seen, stamp(self.now));
    }

    fn start_again(&mut self) {
        if self.phase.is_at_rest() {
            self.asked = true;
            self.seen.start_again(stamp(self.now));
            self.seen.place = Some(Place::Admitted);
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut GroupSpec)) {
        if self.phase == Phase::Terminating {
            return;
        }
        let mut spec = self.spec.clone();
        change(&mut spec);
        let change = crate::change::of_pod(&self.spec, &spec).unwrap();
        self.spec = spec;
        self.seen.change(&self.spec, &change, stamp(self.now));
    }

    fn lose_keeper(&mut self) {
        if self.sandbox {
            self.running.clear();
            self.learn(Outcome::KeeperLost);
        }
    }

    fn exit(&mut self, container: usize, code: i32) {
        let Some(attempt) = self.running.remove(&container) else {
            return;
        };
        let exit = ExitStatus {
            code,
            signal: None,
            reason: String::new(),
            message: String::new(),
            started_at: None,
            finished_at: stamp(self.now),
        };
        self.learn(Outcome::Exited {
            container,
            attempt,
            exit,
        });
    }

    fn complete(&mut self, action: Action, fails: bool) {
        let failure = || HostError::new(ErrorKind::Unavailable, "StartError", "dice");
        let done = || if fails { Err(failure()) } else { Ok(()) };
        let attempt = |seen: &Seen, container: usize| seen.containers[container].attempt.unwrap();
        let outcome = match action {
            Action::Pull { image } => Outcome::Pulled {
                launch: self.seen.launch,
                image,
                result: done().map(|()| pulled()),
            },
            Action::CreateSandbox => {
                self.sandbox = true;
                Outcome::Sandbox(done().map(|()| sandbox(self.now)))
            }
            Action::Renew => Outcome::Renewed(done()),
            Action::Resize => Outcome::Resized(done().map(|()| resized(self.now))),
            Action::Start { container, attempt } => {
                let lost = !self.sandbox || self.seen.sandbox.state == SandboxState::Lost;
                self.attempts.insert(container, attempt);
                if !fails && !lost {
                    self.running.insert(container, attempt);
                }
                let result = match fails || lost {
                    true => Err(failure()),
                    false => Ok(started(self.now)),
                };
                Outcome::Started {
                    container,
                    attempt,
                    result,
                }
            }
            Action::PostStart { container } => Outcome::PostStart {
                container,
                attempt: attempt(&self.seen, container),
                result: done(),
            },
            Action::PreStop { container, .. } => Outcome::PreStop {
                container,
                attempt: attempt(&self.seen, container),
                result: done(),
            },
            Action::Signal { container } => Outcome::Signalled {
                container,
                result: done(),
            },
            Action::Kill { container } => {
                if !fails {
                    self.exit(container, 137);
                }
                Outcome::Signalled {
                    container,
                    result: done(),
                }
            }
            Action::Probe { container, probe } => Outcome::Probed {
                container,
                attempt: attempt(&self.seen, container),
                probe,
                crowded: false,
                result: Ok(match fails {
                    true => ProbeResult::Failure("dice".to_owned()),
                    false => ProbeResult::Success,
                }),
            },
            Action::DestroySandbox => {
                self.sandbox &= fails;
                Outcome::Destroyed(done())
            }
            Action::Remove => Outcome::Removed(done()),
            other => panic!("{other:?} needs no machine"),
        };
        self.learn(outcome);
    }

    fn learn(&mut self, outcome: Outcome) {
        self.seen.apply(&self.spec, outcome, stamp(self.now));
    }
}

fn other_image(spec: &mut GroupSpec) {
    let container = spec.containers.last_mut().unwrap();
    let others = ["one", "other"].map(|name| name.parse().unwrap());
    let next = others.into_iter().find(|image| *image != container.image);
    container.image = next.unwrap();
}

/// More or less for all.
fn other_size(spec: &mut GroupSpec) {
    for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
        let cpu = &mut container.resources.requests.cpu;
        *cpu = Some(MilliCpu(cpu.map_or(100, |milli| milli.0 * 2 % 700)));
    }
}

fn one_more(spec: &mut GroupSpec) {
    let name = format!("look-{}", spec.ephemeral_containers.len());
    spec.ephemeral_containers.push(ephemeral(&name));
}

fn stamp(nanos: u64) -> Stamp {
    Stamp {
        boot: BootTime(nanos),
        wall: WallTime(0),
    }
}

fn pulled() -> Pulled {
    Pulled {
        manifest: Digest::new(format!("sha256:{}", "0".repeat(64))).unwrap(),
        took: ImagePull {
            image: String::new(),
            bytes: 1,
            layers_cached: 0,
            layers: 1,
            duration: Duration::ZERO,
            unpack: Duration::ZERO,
        },
    }
}

fn sandbox(now: u64) -> Sandbox {
    Sandbox {
        ip: None,
        created: stamp(now),
        network_ready: stamp(now),
        processors: None,
    }
}

fn resized(now: u64) -> Resized {
    Resized {
        at: stamp(now),
        processors: None,
    }
}

fn started(now: u64) -> Started {
    Started {
        pid: 1,
        created: stamp(now),
        started: stamp(now),
        user: (0, 0, Vec::new()),
        stop_signal: Signal::TERM,
    }
}

fn some_spec(dice: &mut Dice) -> GroupSpec {
    let mains = ["a", "b", "c"].iter().take(1 + usize::from(dice.roll(3)));
    let mut spec = group("g", mains.map(|name| container(name)).collect());
    let inits = ["i", "j"].iter().take(dice.roll(3).into());
    spec.init_containers = inits.map(|name| container(name)).collect();
    spec.restart_policy = match dice.roll(3) {
        0 => RestartPolicy::Always,
        1 => RestartPolicy::OnFailure,
        _ => RestartPolicy::Never,
    };
    spec.active_deadline_s = (dice.roll(4) == 3).then_some(100);
    let inits = spec.init_containers.len();
    let all = spec.init_containers.iter_mut().chain(&mut spec.containers);
    for (index, container) in all.enumerate() {
        container.restart_always = index < inits && dice.roll(2) == 1;
        container.restart = (dice.roll(4) == 3).then(|| OwnRestart {
            policy: RestartPolicy::Never,
            rules: vec![RestartRule {
                ends: Ends::In([1].into()),
                action: match dice.roll(2) {
                    0 => RestartAction::Container,
                    _ => RestartAction::All,
                },
            }],
        });
        container.resize_policy.cpu_restarts = dice.roll(2) == 1;
        let hook = || Hook {
            action: HookAction::Sleep { duration_s: 1 },
        };
        container.lifecycle.post_start = (dice.roll(4) == 3).then(hook);
        container.lifecycle.pre_stop = (dice.roll(4) == 3).then(hook);
        container.startup_probe = (dice.roll(4) == 3).then(|| probe("up"));
        container.liveness_probe = (dice.roll(4) == 3).then(|| probe("alive"));
        container.readiness_probe = (dice.roll(4) == 3).then(|| probe("ready"));
    }
    spec
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_rules_hold_whatever_happens(rolls in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut dice = Dice(rolls.into_iter());
        let mut world = World::new(some_spec(&mut dice));
        while !dice.is_empty() {
            world.step(&mut dice);
        }
        // From here on all goes well, and the group is to go.
        world.asked = true;
        let now = stamp(world.now);
        world.seen.end(Cause::Delete, Duration::from_secs(5), now);
        let mut steps = 0;
        while world.seen.stage != Stage::Gone {
            world.step(&mut dice);
            steps += 1;
            prop_assert!(steps < STEPS_TO_GO_MAX, "does not go: {:?}", world.seen);
        }
        prop_assert!(world.running.is_empty() && !world.sandbox);
    }
}
