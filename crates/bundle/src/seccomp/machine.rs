//! The kernel's machine for filters, as its documentation describes it, and a naive reading of
//! profiles. Programs are right if both always agree.

use std::collections::BTreeSet;

use super::condition::{Condition, Test};
use super::profile::{Action, Entry, Profile};
use super::program::{
    AND, ARCH_OFFSET, ARGUMENTS_OFFSET, Instruction, JUMP, JUMP_EQUAL, JUMP_GREATER,
    JUMP_GREATER_OR_EQUAL, LOAD, NUMBER_OFFSET, RETURN,
};
use super::select::Target;

/// A system call as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) audit: u32,
    pub(super) arguments: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            NUMBER_OFFSET => self.number,
            ARCH_OFFSET => self.audit,
            _ => {
                let place = offset
                    .checked_sub(ARGUMENTS_OFFSET)
                    .expect("no other word is read");
                assert!(place.is_multiple_of(4), "unaligned load at {offset}");
                let argument = self.arguments[place as usize / 8];
                if place.is_multiple_of(8) {
                    argument as u32
                } else {
                    (argument >> 32) as u32
                }
            }
        }
    }
}

/// Runs a program; gives what it returns and how many instructions that took.
pub(super) fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let (mut place, mut accumulator, mut steps) = (0_usize, 0_u32, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[place];
        place += 1;
        steps += 1;
        let mut branch = |holds| place += usize::from(if holds { jt } else { jf });
        match code {
            LOAD => accumulator = call.word(k),
            AND => accumulator &= k,
            JUMP => place += k as usize,
            JUMP_EQUAL => branch(accumulator == k),
            JUMP_GREATER => branch(accumulator > k),
            JUMP_GREATER_OR_EQUAL => branch(accumulator >= k),
            RETURN => return (k, steps),
            _ => panic!("instruction {code:#x} at {}", place - 1),
        }
    }
}

/// A profile read word by word, from the first entry to the last.
pub(super) struct Reading<'p> {
    profile: &'p Profile,
    target: &'p Target,
    /// The numbers that each entry names.
    numbers: Vec<BTreeSet<u32>>,
}

impl<'p> Reading<'p> {
    pub(super) fn new(profile: &'p Profile, target: &'p Target) -> Self {
        let of_entry = |entry: &Entry| {
            entry
                .names
                .iter()
                .filter_map(|name| target.arch.number(name))
                .collect()
        };
        Self {
            numbers: profile.entries.iter().map(of_entry).collect(),
            profile,
            target,
        }
    }

    /// What the profile says of a call.
    pub(super) fn says(&self, call: &Call) -> Action {
        let arch = self.target.arch;
        if call.audit != arch.audit() {
            return Action::KillProcess;
        }
        if arch
            .foreign_numbers()
            .is_some_and(|first| call.number >= first)
        {
            return Action::Errno(38);
        }
        let entries = self.profile.entries.iter().zip(&self.numbers);
        let mut matching = entries.filter(|(entry, numbers)| {
            numbers.contains(&call.number)
                && self.counts(entry)
                && entry
                    .conditions
                    .iter()
                    .all(|condition| holds(condition, call))
        });
        matching
            .next()
            .map_or(self.profile.default, |(entry, _)| entry.action)
    }

    fn counts(&self, entry: &Entry) -> bool {
        let (arch, target) = (self.target.arch.profile_name(), self.target);
        let (with, without) = (&entry.includes, &entry.excludes);
        (with.arches.is_empty() || with.arches.contains(arch))
            && with
                .capabilities
                .iter()
                .all(|name| target.capabilities.contains(name))
            && with.min_kernel.is_none_or(|kernel| target.kernel >= kernel)
            && !without.arches.contains(arch)
            && !without
                .capabilities
                .iter()
                .any(|name| target.capabilities.contains(name))
            && without
                .min_kernel
                .is_none_or(|kernel| target.kernel < kernel)
    }
}

fn holds(condition: &Condition, call: &Call) -> bool {
    let argument = call.arguments[condition.argument];
    match condition.test {
        Test::Equal(value) => argument == value,
        Test::NotEqual(value) => argument != value,
        Test::Less(value) => argument < value,
        Test::LessOrEqual(value) => argument <= value,
        Test::Greater(value) => argument > value,
        Test::GreaterOrEqual(value) => argument >= value,
        Test::Masked { mask, value } => argument & mask == value,
    }
}
