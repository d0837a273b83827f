//! What to do next with a pod: a pure function of what the API server says of it and what there is
//! of it here.

/// What the API server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It should run, or has run to its end if it is `terminal`.
    Run { terminal: bool },
    /// It should end within this time, and then be confirmed to have ended.
    End { grace_s: u32 },
    /// There is no such pod (any more); the time that it was given last, if it was.
    Forget { grace_s: Option<u32> },
}

/// What there is of it here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    /// Nothing, and nothing hinders.
    Nothing,
    /// Nothing: what it refers to is missing, or the API server cannot be asked. Tried again later.
    Hindered,
    /// Nothing, and it will never be: it is refused.
    Refused,
    /// A group; the grace period that it was asked to end within, if it was, and whether the pod, or
    /// something that it refers to, has changed since.
    Group {
        ending_s: Option<Option<u32>>,
        stale: bool,
    },
    /// A group that has gone.
    Gone,
    /// It was confirmed to the API server that it has ended.
    Confirmed,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing until something changes.
    Rest,
    /// Make a group of it.
    Create,
    /// Make its group what the pod is now.
    Renew,
    /// End its group; without a time, as its specification says.
    Delete { grace_s: Option<u32> },
    /// Tell the API server that it has ended, once the status that says so is written.
    Confirm,
    /// Nothing is left to do, ever.
    Leave,
}

/// Judges.
pub(crate) const fn next(asked: Asked, here: Here) -> Step {
    match (asked, here) {
        (Asked::Run { terminal: false }, Here::Nothing | Here::Hindered) => Step::Create,
        (
            Asked::Run { terminal: false },
            Here::Group {
                ending_s: None,
                stale: true,
            },
        ) => Step::Renew,
        (Asked::Run { .. }, _) => Step::Rest,

        (Asked::End { grace_s }, Here::Group { ending_s, .. }) => delete(Some(grace_s), ending_s),
        (Asked::End { .. }, Here::Confirmed) => Step::Rest,
        (Asked::End { .. }, _) => Step::Confirm,

        (Asked::Forget { grace_s }, Here::Group { ending_s, .. }) => delete(grace_s, ending_s),
        (Asked::Forget { .. }, _) => Step::Leave,
    }
}

/// Asks again only to shorten the time.
const fn delete(grace_s: Option<u32>, ending_s: Option<Option<u32>>) -> Step {
    match (grace_s, ending_s) {
        (Some(now), Some(Some(before))) if now < before => Step::Delete { grace_s },
        (Some(_), Some(None)) | (_, None) => Step::Delete { grace_s },
        _ => Step::Rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Asked = Asked::Run { terminal: false };
    const OVER: Asked = Asked::Run { terminal: true };
    const END: Asked = Asked::End { grace_s: 30 };
    const FORGET: Asked = Asked::Forget { grace_s: None };
    const GROUP: Here = Here::Group {
        ending_s: None,
        stale: false,
    };
    const STALE: Here = Here::Group {
        ending_s: None,
        stale: true,
    };

    #[test]
    fn every_case_has_an_answer() {
        let by_spec = Step::Delete { grace_s: None };
        let in_time = Step::Delete { grace_s: Some(30) };
        let rows = [
            (
                Here::Nothing,
                [Step::Create, Step::Rest, Step::Confirm, Step::Leave],
            ),
            (
                Here::Hindered,
                [Step::Create, Step::Rest, Step::Confirm, Step::Leave],
            ),
            (
                Here::Refused,
                [Step::Rest, Step::Rest, Step::Confirm, Step::Leave],
            ),
            (GROUP, [Step::Rest, Step::Rest, in_time, by_spec]),
            (STALE, [Step::Renew, Step::Rest, in_time, by_spec]),
            (
                Here::Gone,
                [Step::Rest, Step::Rest, Step::Confirm, Step::Leave],
            ),
            (
                Here::Confirmed,
                [Step::Rest, Step::Rest, Step::Rest, Step::Leave],
            ),
        ];
        for (here, steps) in rows {
            for (asked, step) in [RUN, OVER, END, FORGET].into_iter().zip(steps) {
                assert_eq!(next(asked, here), step, "{asked:?} {here:?}");
            }
        }
    }

    #[test]
    fn a_grace_period_only_shrinks() {
        let ending = |ending_s| Here::Group {
            ending_s: Some(ending_s),
            stale: true,
        };
        let end = |grace_s| Asked::End { grace_s };
        assert_eq!(next(end(30), ending(Some(30))), Step::Rest);
        assert_eq!(next(end(60), ending(Some(30))), Step::Rest);
        assert_eq!(
            next(end(1), ending(Some(30))),
            Step::Delete { grace_s: Some(1) }
        );
        assert_eq!(
            next(end(1), ending(None)),
            Step::Delete { grace_s: Some(1) }
        );
        assert_eq!(next(FORGET, ending(Some(30))), Step::Rest);
    }
}
