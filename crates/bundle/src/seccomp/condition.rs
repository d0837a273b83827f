//! Conditions on a system call's arguments, which are 64 bits wide, on a machine of 32 bits.

use super::program::{
    AND, ARGUMENTS_OFFSET, Instruction, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, LOAD,
};

/// How many arguments a system call has.
pub(super) const ARGUMENTS: usize = 6;

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: usize,
    pub(super) test: Test,
}

/// A comparison of an argument, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equal(u64),
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Greater(u64),
    GreaterOrEqual(u64),
    Masked { mask: u64, value: u64 },
}

/// Where a comparison leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// The next instruction.
    Next,
    /// Behind this condition: it holds.
    Holds,
    /// Behind the rule: it does not.
    Fails,
}

/// A step of a condition, with destinations still to be measured.
enum Step {
    Load(u32),
    And(u32),
    Jump {
        code: u16,
        value: u32,
        then: To,
        or: To,
    },
}

/// The code of a rule: what is behind the conditions, if all of them hold; else it is jumped over.
pub(super) fn guarded(conditions: &[Condition], action: Instruction) -> Vec<Instruction> {
    let conditions: Vec<Vec<Step>> = conditions.iter().map(Condition::steps).collect();
    let total = conditions.iter().map(Vec::len).sum::<usize>() + 1;
    let mut code = Vec::with_capacity(total);
    for steps in conditions {
        let end = code.len() + steps.len();
        for step in steps {
            let next = code.len() + 1;
            // At most six conditions of seven steps each: every distance fits.
            let distance = |to| {
                let place = match to {
                    To::Next => next,
                    To::Holds => end,
                    To::Fails => total,
                };
                u8::try_from(place - next).unwrap_or(u8::MAX)
            };
            code.push(match step {
                Step::Load(offset) => Instruction::new(LOAD, offset),
                Step::And(mask) => Instruction::new(AND, mask),
                Step::Jump {
                    code,
                    value,
                    then,
                    or,
                } => Instruction::jump(code, value, distance(then), distance(or)),
            });
        }
    }
    code.push(action);
    code
}

impl Condition {
    fn steps(&self) -> Vec<Step> {
        let low = ARGUMENTS_OFFSET + 8 * u32::try_from(self.argument).unwrap_or(0);
        let high = low + 4;
        let jump = |code, value, then, or| Step::Jump {
            code,
            value,
            then,
            or,
        };
        match self.test {
            Test::Equal(value) => vec![
                Step::Load(high),
                jump(JUMP_EQUAL, upper(value), To::Next, To::Fails),
                Step::Load(low),
                jump(JUMP_EQUAL, lower(value), To::Holds, To::Fails),
            ],
            Test::NotEqual(value) => vec![
                Step::Load(high),
                jump(JUMP_EQUAL, upper(value), To::Next, To::Holds),
                Step::Load(low),
                jump(JUMP_EQUAL, lower(value), To::Fails, To::Holds),
            ],
            Test::Masked { mask, value } => vec![
                Step::Load(high),
                Step::And(upper(mask)),
                jump(JUMP_EQUAL, upper(value), To::Next, To::Fails),
                Step::Load(low),
                Step::And(lower(mask)),
                jump(JUMP_EQUAL, lower(value), To::Holds, To::Fails),
            ],
            Test::Greater(value) => ordered(high, low, value, JUMP_GREATER, (To::Holds, To::Fails)),
            Test::GreaterOrEqual(value) => ordered(
                high,
                low,
                value,
                JUMP_GREATER_OR_EQUAL,
                (To::Holds, To::Fails),
            ),
            Test::Less(value) => ordered(
                high,
                low,
                value,
                JUMP_GREATER_OR_EQUAL,
                (To::Fails, To::Holds),
            ),
            Test::LessOrEqual(value) => {
                ordered(high, low, value, JUMP_GREATER, (To::Fails, To::Holds))
            }
        }
    }
}

/// The upper half decides unless it is equal; then the lower half does, by `last`.
fn ordered(high: u32, low: u32, value: u64, last: u16, (above, below): (To, To)) -> Vec<Step> {
    let jump = |code, value, then, or| Step::Jump {
        code,
        value,
        then,
        or,
    };
    vec![
        Step::Load(high),
        jump(JUMP_GREATER, upper(value), above, To::Next),
        jump(JUMP_EQUAL, upper(value), To::Next, below),
        Step::Load(low),
        jump(last, lower(value), above, below),
    ]
}

const fn upper(value: u64) -> u32 {
    (value >> 32) as u32
}

const fn lower(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}
