use std::collections::BTreeSet;
use std::time::Duration;

use super::HttpGet;

/// What happens when a container of the group ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// It is started again.
    Always,
    /// It is started again unless it exited with 0.
    OnFailure,
    /// It stays as it is.
    Never,
}

impl RestartPolicy {
    /// Whether what ended with this code is started again.
    #[must_use]
    pub const fn restarts(self, code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

/// A container's own word on whether it is started again, which counts before its group's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRestart {
    /// What happens where no rule says anything.
    pub policy: RestartPolicy,
    /// After what ends it is started again whatever its policy says; the first that speaks of an end
    /// counts.
    pub rules: Vec<RestartRule>,
}

/// What follows from some ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartRule {
    /// From which.
    pub ends: Ends,
    /// What is started again.
    pub action: RestartAction,
}

/// What a rule starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartAction {
    /// The container that ended.
    Container,
    /// Every container of the group, from the first init container on.
    All,
}

/// Ends by their exit codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Those with one of these codes.
    In(BTreeSet<i32>),
    /// Those with none of these codes.
    NotIn(BTreeSet<i32>),
}

impl OwnRestart {
    /// Whether what ended with this code is started again.
    #[must_use]
    pub fn restarts(&self, code: i32) -> bool {
        self.action(code).is_some() || self.policy.restarts(code)
    }

    /// What the rules start again after an end with this code, if any of them speaks of it.
    #[must_use]
    pub fn action(&self, code: i32) -> Option<RestartAction> {
        let rule = self.rules.iter().find(|rule| rule.ends.include(code));
        rule.map(|rule| rule.action)
    }
}

impl Ends {
    fn include(&self, code: i32) -> bool {
        match self {
            Self::In(codes) => codes.contains(&code),
            Self::NotIn(codes) => !codes.contains(&code),
        }
    }
}

/// The wait between restarts of one container: the first restart is immediate, then `initial`,
/// doubling up to `max`, forgotten after the container has run for `reset_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
    /// A run this long makes the next failure the first again.
    pub reset_after: Duration,
}

impl Default for Backoff {
    /// Kubernetes' values: 10 s doubling to 5 min, forgotten after 10 min of running.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(10),
            max: Duration::from_secs(300),
            reset_after: Duration::from_secs(600),
        }
    }
}

/// Hooks around a container's life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// Run right after the start; the next container waits for it, and its failure ends this one.
    pub post_start: Option<Hook>,
    /// Run before the stop signal, within the grace period.
    pub pre_stop: Option<Hook>,
    /// Replaces the image's stop signal; SIGTERM if neither says one.
    pub stop_signal: Option<Signal>,
}

/// A hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What it does.
    pub action: HookAction,
}

/// What a hook does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAction {
    /// Runs a command in the container; exit 0 is success.
    Exec(Vec<String>),
    /// Makes a request to the container.
    HttpGet(HttpGet),
    /// Waits.
    Sleep {
        /// Seconds.
        duration_s: u32,
    },
}

/// A signal number that a container may be sent: 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(u8);

impl Signal {
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGKILL.
    pub const KILL: Self = Self(9);

    /// Takes a signal number.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if matches!(number, 1..=64) {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Reads `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` or `RTMIN+3`, as Docker does.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Self::new(number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(Self(*number));
        }
        let (base, offset) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(plus), _) => (
                34i16,
                if plus.is_empty() {
                    0
                } else {
                    plus.strip_prefix('+')?.parse().ok()?
                },
            ),
            (_, Some(minus)) => (
                64,
                if minus.is_empty() {
                    0
                } else {
                    -minus.strip_prefix('-')?.parse::<i16>().ok()?
                },
            ),
            _ => return None,
        };
        let number = base.checked_add(offset)?;
        (34..=64).contains(&number).then_some(Self(number as u8))
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// The standard signals of Linux on x86-64 and arm64.
const NAMES: [(&str, u8); 32] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];
