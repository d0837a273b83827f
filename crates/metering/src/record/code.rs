//! The numbers of the format. Once given, a number keeps its meaning for ever.

use super::fact::{Close, Fact, GapReason, Scheduling, SessionFact, State};

/// What a body is about: its second byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    EpochBegan = 1,
    EpochEnded = 2,
    ClockStepped = 3,
    BookInstalled = 4,
    Carried = 5,
    Opened = 16,
    Entered = 17,
    Resized = 18,
    Used = 19,
    Pulled = 20,
    Restarted = 21,
    Adopted = 22,
    Missed = 23,
    Closed = 24,
    Sampled = 25,
}

const KINDS: [Kind; 15] = [
    Kind::EpochBegan,
    Kind::EpochEnded,
    Kind::ClockStepped,
    Kind::BookInstalled,
    Kind::Carried,
    Kind::Opened,
    Kind::Entered,
    Kind::Resized,
    Kind::Used,
    Kind::Pulled,
    Kind::Restarted,
    Kind::Adopted,
    Kind::Missed,
    Kind::Closed,
    Kind::Sampled,
];

impl Kind {
    pub(super) fn of(fact: &Fact) -> Self {
        match fact {
            Fact::EpochBegan { .. } => Self::EpochBegan,
            Fact::EpochEnded => Self::EpochEnded,
            Fact::ClockStepped => Self::ClockStepped,
            Fact::BookInstalled(_) => Self::BookInstalled,
            Fact::Carried(_) => Self::Carried,
            Fact::Session { fact, .. } => match fact {
                SessionFact::Opened(_) => Self::Opened,
                SessionFact::Entered(_) => Self::Entered,
                SessionFact::Resized(_) => Self::Resized,
                SessionFact::Used(_) => Self::Used,
                SessionFact::Pulled(_) => Self::Pulled,
                SessionFact::Restarted(_) => Self::Restarted,
                SessionFact::Adopted => Self::Adopted,
                SessionFact::Missed(_) => Self::Missed,
                SessionFact::Closed(_) => Self::Closed,
                SessionFact::Sampled(_) => Self::Sampled,
            },
        }
    }
}

/// The schema that a body has: the first that can say what it says.
pub(super) const fn schema(fact: &Fact) -> u8 {
    match fact {
        Fact::Session {
            fact: SessionFact::Closed(Close::SpotEvicted),
            ..
        } => 2,
        _ => 1,
    }
}

/// A closed set of values, each with its byte.
pub(super) trait Code: Sized + Copy {
    fn code(self) -> u8;
    fn from_code(code: u8) -> Option<Self>;
}

impl Code for Kind {
    fn code(self) -> u8 {
        self as u8
    }
    fn from_code(code: u8) -> Option<Self> {
        KINDS.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Implements [`Code`] for an enum that is defined without numbers. A value that has none does not
/// compile.
macro_rules! code {
    ($type:ty { $($value:ident = $code:literal),+ $(,)? }) => {
        impl Code for $type {
            fn code(self) -> u8 {
                match self {
                    $(Self::$value => $code,)+
                }
            }
            fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$value),)+
                    _ => None,
                }
            }
        }
    };
}

code!(State {
    Queued = 1,
    Pulling = 2,
    Starting = 3,
    Init = 4,
    Running = 5,
    BackOff = 6,
    Terminating = 7,
});
code!(Close {
    Succeeded = 1,
    Failed = 2,
    Stopped = 3,
    Restarted = 4,
    Deleted = 5,
    Evicted = 6,
    DeadlineExceeded = 7,
    Unrunnable = 8,
    Lost = 9,
    SpotEvicted = 10,
});
code!(GapReason {
    KeeperLost = 1,
    HostRestarted = 2,
});
code!(Scheduling {
    OnDemand = 0,
    Spot = 1,
});

impl Code for bool {
    fn code(self) -> u8 {
        u8::from(self)
    }
    fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}
