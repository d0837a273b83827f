//! Numbers to decisions, by a balanced tree of comparisons.

use std::collections::BTreeMap;

use super::condition::guarded;
use super::profile::Action;
use super::program::{Instruction, JUMP, JUMP_GREATER_OR_EQUAL};
use super::select::Decision;

/// The numbers from `from` to the next interval's are decided alike.
struct Interval {
    from: u32,
    decision: Decision,
}

/// The code that decides about the number that is loaded.
pub(super) fn code(decisions: BTreeMap<u32, Decision>, default: Action) -> Vec<Instruction> {
    emit(&intervals(decisions, default))
}

fn intervals(decisions: BTreeMap<u32, Decision>, default: Action) -> Vec<Interval> {
    let by_default = || Decision {
        rules: Vec::new(),
        otherwise: default,
    };
    let mut intervals: Vec<Interval> = Vec::new();
    let mut push = |from, decision| {
        if intervals
            .last()
            .is_none_or(|last| last.decision != decision)
        {
            intervals.push(Interval { from, decision });
        }
    };
    let mut next = Some(0);
    for (number, decision) in decisions {
        if let Some(gap) = next.filter(|next| *next < number) {
            push(gap, by_default());
        }
        push(number, decision);
        next = number.checked_add(1);
    }
    if let Some(rest) = next {
        push(rest, by_default());
    }
    intervals
}

fn emit(intervals: &[Interval]) -> Vec<Instruction> {
    let (below, above) = intervals.split_at(intervals.len() / 2);
    let Some(first) = above.first() else {
        return Vec::new();
    };
    if below.is_empty() {
        return leaf(&first.decision);
    }
    let (mut below, mut above) = (emit(below), emit(above));
    let mut code = match u8::try_from(below.len()) {
        Ok(distance) => vec![Instruction::jump(
            JUMP_GREATER_OR_EQUAL,
            first.from,
            distance,
            0,
        )],
        // Comparisons reach 255 instructions far, jumps without one any distance.
        Err(_) => vec![
            Instruction::jump(JUMP_GREATER_OR_EQUAL, first.from, 0, 1),
            Instruction::new(JUMP, u32::try_from(below.len()).unwrap_or(u32::MAX)),
        ],
    };
    code.append(&mut below);
    code.append(&mut above);
    code
}

fn leaf(decision: &Decision) -> Vec<Instruction> {
    let rules = decision.rules.iter();
    let mut code: Vec<Instruction> = rules
        .flat_map(|rule| guarded(&rule.conditions, rule.action.instruction()))
        .collect();
    code.push(decision.otherwise.instruction());
    code
}
