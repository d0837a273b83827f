//! What a group's status means for `run`. Pure.

use burstlet_proto::v1::container_status::State;
use burstlet_proto::v1::{ContainerGroup, ContainerTerminated, GroupStatus};

use crate::error::Exit;
use crate::human::clean;

/// Reasons of waiting that do not end by waiting; docker fails for them as well.
const HOPELESS: [&str; 8] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
    "SignatureValidationFailed",
];

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing yet; the text says why, if there is something to say.
    Waiting(String),
    /// It runs, for the n-th time.
    Running { run: u32 },
    /// It ran and ended, and will not run again.
    Ended { run: u32, exit: Exit },
    /// It cannot run.
    Broken { message: String, exit: Exit },
}

/// Reads the status for one container.
pub(super) fn seen(group: &ContainerGroup, container: &str) -> Seen {
    let Some(status) = &group.status else {
        return Seen::Waiting(String::new());
    };
    let found = status
        .container_statuses
        .iter()
        .find(|c| c.name == container);
    let state = found.and_then(|c| c.state.as_ref().map(|state| (c.restart_count, state)));
    match state {
        Some((_, State::Waiting(waiting))) if HOPELESS.contains(&waiting.reason.as_str()) => {
            broken(&waiting.reason, &waiting.message, Exit::OWN_FAILURE)
        }
        Some((run, State::Running(_))) => Seen::Running { run },
        Some((run, State::Terminated(ended))) => terminated(run, ended),
        _ if matches!(status.phase.as_str(), "Failed" | "Stopped" | "Succeeded") => {
            broken(&status.reason, &status.message, Exit::OWN_FAILURE)
        }
        _ => Seen::Waiting(queue_notice(status)),
    }
}

fn terminated(run: u32, ended: &ContainerTerminated) -> Seen {
    match ended.reason.as_str() {
        "StartError" => broken(&ended.reason, &ended.message, start_error(&ended.message)),
        _ => Seen::Ended {
            run,
            exit: Exit::of_container(ended.exit_code),
        },
    }
}

/// A start error is a program that is not there or one that cannot be executed; the kernel's own
/// words tell which.
fn start_error(message: &str) -> Exit {
    const MISSING: [&str; 5] = [
        "no such file",
        "not found",
        "not a directory",
        "too many levels",
        "name too long",
    ];
    let message = message.to_ascii_lowercase();
    match MISSING.iter().any(|words| message.contains(words)) {
        true => Exit::NOT_FOUND,
        false => Exit::CANNOT_INVOKE,
    }
}

fn broken(reason: &str, message: &str, exit: Exit) -> Seen {
    let message = match (reason, message) {
        ("", message) => clean(message),
        (reason, "") => clean(reason),
        (reason, message) => format!("{}: {}", clean(reason), clean(message)),
    };
    Seen::Broken { message, exit }
}

fn queue_notice(status: &GroupStatus) -> String {
    match status.phase.as_str() {
        "Queued" => {
            format!(
                "waits for room, at place {}: {}",
                status.queue_position,
                clean(&status.message)
            )
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use burstlet_proto::v1::{ContainerRunning, ContainerStatus, ContainerWaiting};

    use super::*;

    fn check(phase: &str, state: Option<State>, expected: &Seen) {
        let container = ContainerStatus {
            name: "main".to_owned(),
            restart_count: 2,
            state,
            ..ContainerStatus::default()
        };
        let status = GroupStatus {
            phase: phase.to_owned(),
            queue_position: 3,
            message: "needs 4 cores".to_owned(),
            container_statuses: vec![container],
            ..GroupStatus::default()
        };
        let group = ContainerGroup {
            status: Some(status),
            ..ContainerGroup::default()
        };
        assert_eq!(&seen(&group, "main"), expected);
    }

    fn ended(code: i32, reason: &str, message: &str) -> Option<State> {
        Some(State::Terminated(ContainerTerminated {
            exit_code: code,
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..ContainerTerminated::default()
        }))
    }

    fn waiting(reason: &str) -> Option<State> {
        let message = "why".to_owned();
        Some(State::Waiting(ContainerWaiting {
            reason: reason.to_owned(),
            message,
        }))
    }

    #[test]
    fn the_container_s_state_decides() {
        let nothing = Seen::Waiting(String::new());
        check("Pending", None, &nothing);
        check("Pending", waiting("ContainerCreating"), &nothing);
        check("Running", waiting("CrashLoopBackOff"), &nothing);
        let notice = "waits for room, at place 3: needs 4 cores";
        check("Queued", None, &Seen::Waiting(notice.to_owned()));
        let running = Some(State::Running(ContainerRunning::default()));
        check("Running", running, &Seen::Running { run: 2 });
        check(
            "Succeeded",
            ended(0, "Completed", ""),
            &Seen::Ended {
                run: 2,
                exit: Exit(0),
            },
        );
        check(
            "Failed",
            ended(7, "Error", ""),
            &Seen::Ended {
                run: 2,
                exit: Exit(7),
            },
        );
        check(
            "Failed",
            ended(137, "OOMKilled", ""),
            &Seen::Ended {
                run: 2,
                exit: Exit(137),
            },
        );
    }

    #[test]
    fn what_cannot_start_has_docker_s_codes() {
        let broken = |message: &str, code| Seen::Broken {
            message: message.to_owned(),
            exit: Exit(code),
        };
        check(
            "Pending",
            waiting("ErrImagePull"),
            &broken("ErrImagePull: why", 125),
        );
        check("Failed", None, &broken("needs 4 cores", 125));
        for (message, code) in [
            ("exec \"x\": No such file or directory", 127),
            ("exec \"/etc\": Permission denied (os error 13)", 126),
            ("exec: Exec format error", 126),
            ("exec: \"x\": executable file not found in $PATH", 127),
        ] {
            let state = ended(128, "StartError", message);
            check(
                "Failed",
                state,
                &broken(&format!("StartError: {message}"), code),
            );
        }
    }
}
