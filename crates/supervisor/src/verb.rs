//! What may be asked of a group, and when: every verb in every phase has an answer.

use std::fmt;

use burstlet_model::status::Phase;

/// What a client may ask of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Run it (again).
    Start,
    /// End its processes, keep the rest.
    Stop,
    /// Stop and start it.
    Restart,
    /// Stop and start one of its containers.
    RestartContainer,
    /// Make it go away.
    Delete,
    /// Change its tags and annotations.
    Update,
    /// Run a command in it, or join its streams.
    Exec,
    /// Connect to one of its ports.
    Dial,
    /// Read what it uses.
    Usage,
}

/// The answer to a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is done.
    Accept,
    /// Nothing is to be done.
    AlreadySo,
    /// It cannot be done now; why, for people.
    Refuse(&'static str),
}

impl Verb {
    /// Every verb, for tables.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::RestartContainer,
        Self::Delete,
        Self::Update,
        Self::Exec,
        Self::Dial,
        Self::Usage,
    ];

    /// Whether this may be asked of a group in `phase`.
    #[must_use]
    pub const fn admit(self, phase: Phase) -> Admission {
        use Admission::{Accept, AlreadySo, Refuse};
        const DELETING: Admission = Refuse("it is being deleted");
        const STOPPING: Admission = Refuse("it is being stopped; wait until it has stopped");
        const WAITING: Admission = Refuse("it waits for room and has not been started");
        const RESTING: Admission = Refuse("nothing of it runs; start it first");
        match (self, phase) {
            (Self::Delete, _) => Accept,
            (Self::Update, Phase::Terminating) => DELETING,
            (Self::Update, _) => Accept,

            (Self::Start, Phase::Queued | Phase::Pending | Phase::Running) => AlreadySo,
            (Self::Start | Self::Restart | Self::RestartContainer, Phase::Stopping) => STOPPING,
            (Self::Start, Phase::Stopped | Phase::Succeeded | Phase::Failed) => Accept,

            (Self::Stop, Phase::Queued | Phase::Pending | Phase::Running | Phase::Stopping) => {
                Accept
            }
            (Self::Stop, Phase::Stopped | Phase::Succeeded | Phase::Failed) => AlreadySo,

            (Self::Restart, Phase::Queued) => AlreadySo,
            (Self::Restart, Phase::Pending | Phase::Running) => Accept,
            (Self::Restart, Phase::Stopped | Phase::Succeeded | Phase::Failed) => Accept,

            (Self::RestartContainer, Phase::Queued) => WAITING,
            (Self::RestartContainer, Phase::Pending | Phase::Running) => Accept,

            (Self::Start | Self::Stop | Self::Restart, Phase::Terminating) => DELETING,
            (Self::RestartContainer, Phase::Terminating) => DELETING,

            (Self::Exec | Self::Dial | Self::Usage, Phase::Queued) => WAITING,
            (
                Self::RestartContainer | Self::Exec | Self::Dial | Self::Usage,
                Phase::Stopped | Phase::Succeeded | Phase::Failed,
            ) => RESTING,
            (
                Self::Exec | Self::Dial | Self::Usage,
                Phase::Pending | Phase::Running | Phase::Stopping | Phase::Terminating,
            ) => Accept,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::RestartContainer => "restart a container of",
            Self::Delete => "delete",
            Self::Update => "update",
            Self::Exec => "execute in",
            Self::Dial => "connect to",
            Self::Usage => "measure",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row per verb, one letter per phase in the order of `Phase::ALL`: Accept, already So,
    /// Refuse.
    #[test]
    fn every_verb_has_an_answer_in_every_phase() {
        let table = [
            (Verb::Start, "SSSRAAAR"),
            (Verb::Stop, "AAAASSSR"),
            (Verb::Restart, "SAARAAAR"),
            (Verb::RestartContainer, "RAARRRRR"),
            (Verb::Delete, "AAAAAAAA"),
            (Verb::Update, "AAAAAAAR"),
            (Verb::Exec, "RAAARRRA"),
            (Verb::Dial, "RAAARRRA"),
            (Verb::Usage, "RAAARRRA"),
        ];
        assert_eq!(table.map(|(verb, _)| verb), Verb::ALL);
        for (verb, row) in table {
            let answers: String = Phase::ALL
                .iter()
                .map(|phase| match verb.admit(*phase) {
                    Admission::Accept => 'A',
                    Admission::AlreadySo => 'S',
                    Admission::Refuse(_) => 'R',
                })
                .collect();
            assert_eq!(answers, row, "{verb}");
        }
    }
}
