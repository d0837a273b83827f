//! The numbers of the format. Once given, a number keeps its meaning for ever.

use super::fact::{Close, Fact, GapReason, Scheduling, SessionFact, State};

/// What a body is about: its second byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    EpochBegan = 1,
    EpochEnded = 2,
    ClockStepped = 3,
    BookInstalled = 4,
    Opened = 16,
    Entered = 17,
    Resized = 18,
    Used = 19,
    Pulled = 20,
    Restarted = 21,
    Adopted = 22,
    Missed = 23,
    Closed = 24,
}

const KINDS: [Kind; 13] = [
    Kind::EpochBegan,
    Kind::EpochEnded,
    Kind::ClockStepped,
    Kind::BookInstalled,
    Kind::Opened,
    Kind::Entered,
    Kind::Resized,
    Kind::Used,
    Kind::Pulled,
    Kind::Restarted,
    Kind::Adopted,
    Kind::Missed,
    Kind::Closed,
];

impl Kind {
    pub(super) fn of(fact: &Fact) -> Self {
        match fact {
            Fact::EpochBegan { .. } => Self::EpochBegan,
            Fact::EpochEnded => Self::EpochEnded,
            Fact::ClockStepped => Self::ClockStepped,
            Fact::BookInstalled(_) => Self::BookInstalled,
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
            },
        }
    }
}

/// A closed set of values, each with its byte.
pub(super) trait Code: Sized + Copy {
    fn code(self) -> u8;
    fn from_code(code: u8) -> Option<Self>;
}

macro_rules! code {
    ($type:ty, $all:expr) => {
        impl Code for $type {
            fn code(self) -> u8 {
                self as u8
            }
            fn from_code(code: u8) -> Option<Self> {
                $all.into_iter().find(|value| *value as u8 == code)
            }
        }
    };
}

code!(Kind, KINDS);
code!(State, State::ALL);
code!(Close, Close::ALL);
code!(GapReason, [GapReason::KeeperLost, GapReason::HostRestarted]);

impl Code for Scheduling {
    fn code(self) -> u8 {
        match self {
            Self::OnDemand => 0,
            Self::Spot => 1,
        }
    }
    fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::OnDemand),
            1 => Some(Self::Spot),
            _ => None,
        }
    }
}

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
