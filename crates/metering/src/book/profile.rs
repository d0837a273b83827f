//! Which states of a session are billed, and how their time is rounded.

use super::unit::SECOND_NS;
use crate::record::State;

/// States that are billed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BilledStates {
    /// From the start of the first pull to the exit of the last process.
    Aci,
    /// The same without the time in which images are pulled.
    Fal,
    /// From the start of the first init container.
    Autopilot,
    /// Only while a process exists.
    Running,
}

impl BilledStates {
    /// How many sets there are.
    pub(crate) const COUNT: usize = 4;
    pub(crate) const SETS: [Self; Self::COUNT] =
        [Self::Aci, Self::Fal, Self::Autopilot, Self::Running];
    const ALL: [(&'static str, Self); Self::COUNT] = [
        ("aci", Self::Aci),
        ("fal", Self::Fal),
        ("autopilot", Self::Autopilot),
        ("running", Self::Running),
    ];

    /// The set of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, states)| *states)
    }

    /// Its name in a book.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL[self.index()].0
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Whether time in a state is billed.
    #[must_use]
    pub const fn bills(self, state: State) -> bool {
        let (pulling, starting) = (
            matches!(state, State::Pulling),
            matches!(state, State::Starting),
        );
        let init = matches!(state, State::Init);
        let executes = matches!(state, State::Running | State::Terminating);
        let waits = matches!(state, State::BackOff);
        match self {
            Self::Aci => pulling || starting || init || executes || waits,
            Self::Fal => starting || init || executes || waits,
            Self::Autopilot => init || executes || waits,
            Self::Running => init || executes,
        }
    }
}

/// A named rule of billing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What it was chosen by.
    pub name: String,
    /// What is billed.
    pub states: BilledStates,
    /// A session's time is rounded up to this; one nanosecond is not at all.
    pub quantum_ns: u64,
    /// A session that was billed at all is billed for this long.
    pub minimum_ns: u64,
    /// Whether amounts are rounded up to the steps of that cloud where the book has none.
    pub(super) stepped: bool,
}

impl Profile {
    /// The names of the profiles.
    pub const NAMES: [&'static str; 5] = ["exact", "aci", "fargate", "autopilot", "running"];

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        use BilledStates::{Aci, Autopilot, Running};
        let (states, quantum_ns, minimum_ns, stepped) = match name {
            "exact" => (Aci, 1, 0, false),
            "aci" => (Aci, SECOND_NS, 0, true),
            "fargate" => (Aci, SECOND_NS, 60 * SECOND_NS, false),
            "autopilot" => (Autopilot, SECOND_NS, 0, false),
            "running" => (Running, 1, 0, false),
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            states,
            quantum_ns,
            minimum_ns,
            stepped,
        })
    }

    /// How much time is billed of a session that has been in billed states this long.
    ///
    /// Windows bill the difference between their ends, so that however a session is cut, its
    /// pieces sum to what the whole is billed: rounding happens once per session.
    #[must_use]
    pub fn billed_ns(&self, elapsed_ns: u64) -> u64 {
        if elapsed_ns == 0 {
            return 0;
        }
        let quanta = elapsed_ns.div_ceil(self.quantum_ns.max(1));
        let rounded = quanta.saturating_mul(self.quantum_ns.max(1));
        rounded.max(self.minimum_ns)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_sets() {
        for (name, states) in BilledStates::ALL {
            assert_eq!(BilledStates::parse(name), Some(states));
            assert_eq!(states.as_str(), name);
        }
        for name in Profile::NAMES {
            assert_eq!(Profile::named(name).unwrap().name, name);
        }
        assert_eq!(Profile::named("lambda"), None);
    }

    #[test]
    fn each_set_bills_its_states() {
        for (states, expected) in [
            (BilledStates::Aci, "-xxxxxx"),
            (BilledStates::Fal, "--xxxxx"),
            (BilledStates::Autopilot, "---xxxx"),
            (BilledStates::Running, "---xx-x"),
        ] {
            let billed = State::ALL.map(|state| if states.bills(state) { 'x' } else { '-' });
            assert_eq!(billed.iter().collect::<String>(), expected, "{states:?}");
        }
    }

    #[test]
    fn time_is_rounded_up_and_has_a_least() {
        let fargate = Profile::named("fargate").unwrap();
        let second = SECOND_NS;
        for (elapsed, billed) in [
            (0, 0),
            (1, 60 * second),
            (60 * second, 60 * second),
            (60 * second + 1, 61 * second),
        ] {
            assert_eq!(fargate.billed_ns(elapsed), billed, "{elapsed}");
        }
        assert_eq!(Profile::named("exact").unwrap().billed_ns(7), 7);
        assert_eq!(fargate.billed_ns(u64::MAX), u64::MAX);
    }
}
