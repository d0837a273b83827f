//! Each rule as a table: a group in some state, and what is to be done.

use burstlet_model::spec::{
    ContainerSpec, Ends, GroupSpec, Hook, HookAction, OwnRestart, RestartAction, RestartPolicy,
    RestartRule,
};
use burstlet_model::status::{ExitStatus, Phase};
use burstlet_model::{Digest, Stamp, WallTime};
use burstlet_testkit::spec::{container, ephemeral, group, probe};

use super::*;
use crate::host::Started;
use crate::seen::{ImageState, Outcome, Run, TERM_TO_KILL_MIN};

fn at(seconds: u64) -> Stamp {
    Stamp {
        boot: BootTime(seconds * 1_000_000_000),
        wall: WallTime(0),
    }
}

fn exit(code: i32, started: u64, finished: u64) -> ExitStatus {
    ExitStatus {
        code,
        signal: None,
        reason: String::new(),
        message: String::new(),
        started_at: Some(at(started)),
        finished_at: at(finished),
    }
}

fn started(seconds: u64) -> Started {
    Started {
        pid: 1,
        created: at(seconds),
        started: at(seconds),
        user: (0, 0, Vec::new()),
        stop_signal: burstlet_model::spec::Signal::TERM,
    }
}

/// Admitted at 0, all images here, the sandbox up; nothing has been started.
fn launched(spec: &GroupSpec) -> Seen {
    let mut seen = Seen::new(spec, at(0));
    seen.begin(spec, &Action::Admit, at(0));
    let digest = Digest::new(format!("sha256:{}", "0".repeat(64))).unwrap();
    for image in &mut seen.images {
        image.state = ImageState::Here(digest.clone());
    }
    seen.sandbox.state = SandboxState::Up;
    seen
}

/// Starts a container at a time.
fn run(spec: &GroupSpec, seen: &mut Seen, container: usize, seconds: u64) {
    let attempt = seen.containers[container].attempt.map_or(0, |n| n + 1);
    let start = Action::Start { container, attempt };
    seen.begin(spec, &start, at(seconds));
    let result = Ok(started(seconds));
    let outcome = Outcome::Started {
        container,
        attempt,
        result,
    };
    seen.apply(spec, outcome, at(seconds));
}

fn end(spec: &GroupSpec, seen: &mut Seen, container: usize, exit: ExitStatus) {
    let now = exit.finished_at;
    let outcome = Outcome::Exited {
        container,
        attempt: seen.containers[container].attempt.unwrap(),
        exit,
    };
    seen.apply(spec, outcome, now);
}

fn check(spec: &GroupSpec, seen: &Seen, now: u64, actions: &[Action], wake_at: Option<u64>) {
    let decision = next(spec, seen, at(now).boot);
    assert_eq!(decision.actions, actions, "at {now}");
    assert_eq!(decision.wake_at, wake_at.map(|s| at(s).boot), "at {now}");
}

const fn start(container: usize, attempt: u32) -> Action {
    Action::Start { container, attempt }
}

fn sidecar(name: &str) -> ContainerSpec {
    let mut sidecar = container(name);
    sidecar.restart_always = true;
    sidecar
}

#[test]
fn who_is_restarted() {
    use RestartPolicy::{Always, Never, OnFailure};
    const NEVER: [bool; 2] = [false, false];
    // Kind by place: 0 init, 1 sidecar, 2 main, 3 ephemeral. Codes 0 and 1.
    let table = [
        (Always, [[false, true], [true, true], [true, true], NEVER]),
        (
            OnFailure,
            [[false, true], [true, true], [false, true], NEVER],
        ),
        (Never, [NEVER, [true, true], NEVER, NEVER]),
    ];
    for (policy, rows) in table {
        let mut spec = group("g", vec![container("main")]);
        spec.init_containers = vec![container("init"), sidecar("side")];
        spec.ephemeral_containers = vec![ephemeral("look")];
        spec.restart_policy = policy;
        let mut seen = launched(&spec);
        // Even if somebody asked for it.
        seen.containers[3].restart_asked = true;
        for (place, row) in rows.iter().enumerate() {
            for (code, expected) in (0..).zip(row) {
                let again = restart_at(&spec, &seen.containers[place], &exit(code, 0, 1));
                assert_eq!(again.is_some(), *expected, "{policy:?} {place} {code}");
            }
        }
    }
}

#[test]
fn nothing_depends_on_an_ephemeral_container() {
    let mut spec = group("g", vec![container("main")]);
    spec.restart_policy = RestartPolicy::Never;
    spec.init_containers = vec![container("init")];
    spec.ephemeral_containers = vec![ephemeral("look")];
    let mut seen = launched(&spec);
    // It waits for no init container,
    check(&spec, &seen, 0, &[start(0, 0), start(2, 0)], None);
    run(&spec, &mut seen, 0, 0);
    run(&spec, &mut seen, 2, 0);
    end(&spec, &mut seen, 0, exit(0, 0, 1));
    // the main container does not wait for it,
    check(&spec, &seen, 1, &[start(1, 0)], None);
    assert!(seen.is_initialized() && seen.phase() == Phase::Pending);
    run(&spec, &mut seen, 1, 1);
    assert!(seen.is_ready());
    // its failure is nobody's,
    end(&spec, &mut seen, 2, exit(7, 0, 2));
    assert!(seen.is_ready() && seen.phase() == Phase::Running);
    check(&spec, &seen, 2, &[], None);
    // and the end of the main one is the group's.
    end(&spec, &mut seen, 1, exit(0, 1, 3));
    let ends = Action::End {
        cause: Cause::Completed,
        grace: Duration::from_secs(10),
    };
    check(&spec, &seen, 3, &[ends], None);
    assert!(seen.has_succeeded());
}

#[test]
fn an_ephemeral_container_is_stopped_with_its_group() {
    let mut spec = group("g", vec![container("main")]);
    spec.ephemeral_containers = vec![ephemeral("look")];
    let mut seen = launched(&spec);
    run(&spec, &mut seen, 0, 0);
    run(&spec, &mut seen, 1, 0);
    seen.end(Cause::Stop, Duration::from_secs(10), at(1));
    for action in next(&spec, &seen, at(1).boot).actions {
        seen.begin(&spec, &action, at(1));
    }
    let signals = [0, 1].map(|container| Action::Signal { container });
    check(&spec, &seen, 1, &signals, None);
    for action in signals {
        seen.begin(&spec, &action, at(1));
    }
    end(&spec, &mut seen, 0, exit(0, 0, 2));
    check(&spec, &seen, 2, &[], Some(11));
    end(&spec, &mut seen, 1, exit(0, 0, 3));
    check(&spec, &seen, 3, &[Action::DestroySandbox], None);
}

#[test]
fn all_are_killed_and_then_begin_again() {
    let mut spec = group("g", vec![container("main"), container("other")]);
    spec.init_containers = vec![container("init"), sidecar("side")];
    spec.ephemeral_containers = vec![ephemeral("look")];
    spec.containers[0].restart = Some(OwnRestart {
        policy: RestartPolicy::Never,
        rules: vec![RestartRule {
            ends: Ends::In([0].into()),
            action: RestartAction::All,
        }],
    });
    let mut seen = launched(&spec);
    run(&spec, &mut seen, 0, 0);
    end(&spec, &mut seen, 0, exit(0, 0, 1));
    for container in 1..5 {
        run(&spec, &mut seen, container, 1);
    }
    end(&spec, &mut seen, 2, exit(0, 1, 2));
    let stops = [1, 3].map(|container| Action::Stop {
        container,
        cause: StopCause::Together,
        grace: Duration::ZERO,
    });
    check(&spec, &seen, 2, &stops, None);
    for action in stops {
        seen.begin(&spec, &action, at(2));
    }
    let kills = [1, 3].map(|container| Action::Kill { container });
    check(&spec, &seen, 2, &kills, None);
    for action in kills {
        seen.begin(&spec, &action, at(2));
    }
    end(&spec, &mut seen, 1, exit(137, 1, 3));
    check(&spec, &seen, 3, &[], Some(12));
    end(&spec, &mut seen, 3, exit(137, 1, 4));
    // What somebody looks with stays.
    check(&spec, &seen, 4, &[Action::BeginAgain], None);
    seen.begin(&spec, &Action::BeginAgain, at(4));
    check(&spec, &seen, 4, &[start(0, 1)], None);
    assert!(seen.is_initialized() && seen.phase() == Phase::Running);
}

#[test]
fn a_restart_waits_from_the_end_and_the_first_does_not() {
    let spec = group("g", vec![container("main")]);
    let mut seen = launched(&spec);
    for (attempt, wait) in [
        (0, 0),
        (1, 10),
        (2, 20),
        (3, 40),
        (4, 80),
        (5, 160),
        (6, 300),
    ] {
        let begin = u64::from(attempt) * 1000;
        run(&spec, &mut seen, 0, begin);
        end(&spec, &mut seen, 0, exit(0, begin, begin + 5));
        let due = begin + 5 + wait;
        check(&spec, &seen, due, &[start(0, attempt + 1)], None);
        if wait > 0 {
            check(&spec, &seen, due - 1, &[], Some(due));
        }
    }
}

#[test]
fn main_containers_wait_for_init_containers_and_started_sidecars() {
    let mut side = sidecar("side");
    side.startup_probe = Some(probe("up"));
    let mut spec = group("g", vec![container("a"), container("b")]);
    spec.init_containers = vec![container("init"), side];
    let mut seen = launched(&spec);
    check(&spec, &seen, 0, &[start(0, 0)], None);
    run(&spec, &mut seen, 0, 0);
    check(&spec, &seen, 1, &[], None);
    end(&spec, &mut seen, 0, exit(0, 0, 2));
    check(&spec, &seen, 2, &[start(1, 0)], None);
    run(&spec, &mut seen, 1, 2);
    let container = 1;
    let kind = ProbeKind::Startup;
    let try_it = Action::Probe {
        container,
        probe: kind,
    };
    check(&spec, &seen, 2, std::slice::from_ref(&try_it), None);
    seen.begin(&spec, &try_it, at(2));
    let outcome = Outcome::Probed {
        container,
        attempt: 0,
        probe: kind,
        crowded: false,
        result: Ok(crate::host::ProbeResult::Success),
    };
    seen.apply(&spec, outcome, at(3));
    check(&spec, &seen, 3, &[start(2, 0)], None);
    run(&spec, &mut seen, 2, 3);
    assert_eq!(seen.phase(), Phase::Pending, "b has not run");
    check(&spec, &seen, 3, &[start(3, 0)], None);
    run(&spec, &mut seen, 3, 3);
    assert_eq!(seen.phase(), Phase::Running);
    // A sidecar is restarted, and holds nobody up any more.
    end(&spec, &mut seen, 2, exit(1, 3, 4));
    end(&spec, &mut seen, 1, exit(0, 2, 4));
    check(&spec, &seen, 4, &[start(1, 1)], None);
    run(&spec, &mut seen, 1, 4);
    let actions = next(&spec, &seen, at(5).boot).actions;
    assert!(actions.contains(&start(2, 1)), "{actions:?}");
}

#[test]
fn how_groups_end() {
    type Change = fn(&GroupSpec, &mut Seen);
    let table: [(&str, Change, Cause); 5] = [
        (
            "all done",
            |spec, seen| end(spec, seen, 1, exit(0, 0, 1)),
            Cause::Completed,
        ),
        (
            "keeper gone",
            |spec, seen| seen.apply(spec, Outcome::KeeperLost, at(1)),
            Cause::KeeperLost,
        ),
        (
            "machine started anew",
            |_, seen| seen.sandbox.state = SandboxState::Vanished,
            Cause::KeeperLost,
        ),
        (
            "hopeless",
            |_, seen| {
                let trouble = crate::backoff::Trouble {
                    reason: "No".to_owned(),
                    message: "never".to_owned(),
                };
                seen.sandbox.hopeless = Some(trouble);
            },
            Cause::Unrunnable(crate::backoff::Trouble {
                reason: "No".to_owned(),
                message: "never".to_owned(),
            }),
        ),
        (
            "init failed",
            |_, seen| {
                (seen.containers[1].ran, seen.containers[1].in_round) = (false, false);
                seen.containers[1].run = Run::Waiting;
                seen.containers[0].run = Run::Ended(exit(1, 0, 1));
            },
            Cause::InitFailed,
        ),
    ];
    for (name, change, expected) in table {
        let mut spec = group("g", vec![container("main")]);
        spec.init_containers = vec![container("init")];
        spec.restart_policy = RestartPolicy::Never;
        let mut seen = launched(&spec);
        run(&spec, &mut seen, 0, 0);
        end(&spec, &mut seen, 0, exit(0, 0, 0));
        run(&spec, &mut seen, 1, 0);
        change(&spec, &mut seen);
        let actions = next(&spec, &seen, at(1).boot).actions;
        match actions.as_slice() {
            [Action::End { cause, .. }] => assert_eq!(*cause, expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn the_deadline_counts_from_the_session() {
    let mut spec = group("g", vec![container("main")]);
    spec.active_deadline_s = Some(30);
    let mut seen = launched(&spec);
    run(&spec, &mut seen, 0, 0);
    check(&spec, &seen, 29, &[], Some(30));
    let grace = Duration::from_secs(10);
    let cause = Cause::DeadlineExceeded;
    check(&spec, &seen, 30, &[Action::End { cause, grace }], None);
}

#[test]
fn one_stop_step_by_step() {
    let mut main = container("main");
    main.lifecycle.pre_stop = Some(Hook {
        action: HookAction::Sleep { duration_s: 1 },
    });
    let spec = group("g", vec![main]);
    let mut seen = launched(&spec);
    run(&spec, &mut seen, 0, 0);
    seen.end(Cause::Stop, Duration::from_secs(10), at(100));
    let stop = Action::Stop {
        container: 0,
        cause: StopCause::Group,
        grace: Duration::ZERO,
    };
    check(&spec, &seen, 101, std::slice::from_ref(&stop), None);
    seen.begin(&spec, &stop, at(101));
    let pre_stop = Action::PreStop {
        container: 0,
        timeout: Duration::from_secs(9),
    };
    check(&spec, &seen, 101, std::slice::from_ref(&pre_stop), None);
    seen.begin(&spec, &pre_stop, at(101));
    check(&spec, &seen, 102, &[], Some(110));
    let signal = Action::Signal { container: 0 };
    check(&spec, &seen, 110, std::slice::from_ref(&signal), None);
    seen.begin(&spec, &signal, at(110));
    let last = 110 + TERM_TO_KILL_MIN.as_secs();
    check(&spec, &seen, 111, &[], Some(last));
    let kill = Action::Kill { container: 0 };
    check(&spec, &seen, last, std::slice::from_ref(&kill), None);
    seen.begin(&spec, &kill, at(last));
    check(&spec, &seen, last, &[], Some(last + 10));
    end(&spec, &mut seen, 0, exit(137, 0, last + 1));
    check(&spec, &seen, last + 1, &[Action::DestroySandbox], None);
}

#[test]
fn a_grace_of_zero_kills_at_once() {
    let spec = group("g", vec![container("main")]);
    let mut seen = launched(&spec);
    run(&spec, &mut seen, 0, 0);
    seen.end(Cause::Stop, Duration::from_secs(10), at(1));
    for action in next(&spec, &seen, at(1).boot).actions {
        seen.begin(&spec, &action, at(1));
    }
    seen.begin(&spec, &Action::Signal { container: 0 }, at(1));
    seen.end(Cause::Delete, Duration::ZERO, at(2));
    check(&spec, &seen, 2, &[Action::Kill { container: 0 }], None);
    assert_eq!(seen.phase(), Phase::Terminating);
}

#[test]
fn a_wish_for_less_does_not_replace_one_for_more() {
    let table = [
        (Cause::Completed, Cause::Stop, Phase::Stopping),
        (Cause::Stop, Cause::Delete, Phase::Terminating),
        (Cause::Delete, Cause::Stop, Phase::Terminating),
        (Cause::Stop, Cause::KeeperLost, Phase::Stopping),
        (Cause::Restart, Cause::Stop, Phase::Stopping),
    ];
    for (first, second, phase) in table {
        let spec = group("g", vec![container("main")]);
        let mut seen = launched(&spec);
        run(&spec, &mut seen, 0, 0);
        seen.end(first.clone(), Duration::from_secs(10), at(1));
        seen.end(second.clone(), Duration::from_secs(20), at(2));
        assert_eq!(seen.phase(), phase, "{first:?} {second:?}");
        assert_eq!(
            seen.ending.unwrap().deadline,
            at(11).boot,
            "grace only shrinks"
        );
    }
}

#[test]
fn time_to_live_counts_only_for_what_finished() {
    let mut spec = group("g", vec![container("main")]);
    spec.ttl_after_finished_s = Some(60);
    let mut seen = launched(&spec);
    seen.finished_at = Some(at(10));
    for (phase, wake_at) in [
        (Phase::Succeeded, Some(70)),
        (Phase::Failed, Some(70)),
        (Phase::Stopped, None),
    ] {
        seen.stage = Stage::Resting(phase);
        check(&spec, &seen, 11, &[], wake_at);
    }
}
