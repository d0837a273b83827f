//! The filter itself.

use std::collections::BTreeSet;

use super::profile::{Action, Profile, ProfileError};
use super::select::{Target, select};
use super::tree;

/// The kernel's bound for one filter.
const INSTRUCTIONS_MAX: usize = 4096;
const ENOSYS: u16 = 38;

// Instructions of classic BPF.
pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER: u16 = 0x25;
pub(super) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
pub(super) const RETURN: u16 = 0x06;

// Where things are in what the kernel gives a filter (`struct seccomp_data`). Both architectures
// are little-endian, so the lower half of an argument comes first.
pub(super) const NUMBER_OFFSET: u32 = 0;
pub(super) const ARCH_OFFSET: u32 = 4;
pub(super) const ARGUMENTS_OFFSET: u32 = 16;

/// An instruction of classic BPF (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to pass over if the comparison holds.
    pub jt: u8,
    /// How many if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
    unknown: BTreeSet<String>,
}

impl Program {
    /// The instructions.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The instructions as the kernel of this machine takes them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.instructions.iter().flat_map(|instruction| {
            let [a, b] = instruction.code.to_ne_bytes();
            let [c, d, e, f] = instruction.k.to_ne_bytes();
            [a, b, instruction.jt, instruction.jf, c, d, e, f]
        });
        bytes.collect()
    }

    /// Names in the profile that mean no system call known here; its default applies to them.
    #[must_use]
    pub const fn unknown_names(&self) -> &BTreeSet<String> {
        &self.unknown
    }

    /// Compiles `profile` for `target`.
    pub(super) fn compile(profile: &Profile, target: &Target) -> Result<Self, ProfileError> {
        profile.check_arch(target.arch)?;
        let selected = select(profile, target);
        let mut instructions = vec![
            Instruction::new(LOAD, ARCH_OFFSET),
            Instruction::jump(JUMP_EQUAL, target.arch.audit(), 1, 0),
            Action::KillProcess.instruction(),
            Instruction::new(LOAD, NUMBER_OFFSET),
        ];
        if let Some(first) = target.arch.foreign_numbers() {
            instructions.push(Instruction::jump(JUMP_GREATER_OR_EQUAL, first, 0, 1));
            instructions.push(Action::Errno(ENOSYS).instruction());
        }
        instructions.extend(tree::code(selected.decisions, profile.default));
        if instructions.len() > INSTRUCTIONS_MAX {
            return Err(ProfileError::Instructions(instructions.len()));
        }
        Ok(Self {
            instructions,
            unknown: selected.unknown,
        })
    }
}

impl Instruction {
    pub(super) const fn new(code: u16, k: u32) -> Self {
        Self::jump(code, k, 0, 0)
    }

    pub(super) const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Self {
        Self { code, jt, jf, k }
    }
}

impl Action {
    pub(super) const fn instruction(self) -> Instruction {
        Instruction::new(RETURN, self.value())
    }

    /// What a filter returns for it (`SECCOMP_RET_…`).
    pub(super) const fn value(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Log => 0x7ffc_0000,
            Self::Errno(errno) => 0x0005_0000 | errno as u32,
            Self::Trap => 0x0003_0000,
            Self::KillThread => 0,
            Self::KillProcess => 0x8000_0000,
        }
    }
}
