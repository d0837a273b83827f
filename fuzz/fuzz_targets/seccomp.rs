//! Profiles of system calls. Whatever is compiled is a program that the kernel takes, that ends for
//! every call, and that ends a process which calls by another interface.
#![no_main]

use std::sync::Arc;

use burstlet_bundle::seccomp::{Arch, Instruction, KernelVersion, Profile, Profiles, Program};
use burstlet_model::spec::SeccompProfile;
use libfuzzer_sys::fuzz_target;
use oci_spec::runtime::Spec;

/// The kernel's bound for one filter.
const INSTRUCTIONS_MAX: usize = 4096;
/// Bytes of what the kernel shows a filter.
const DATA_BYTES: u32 = 64;
const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_I386: u32 = 0x4000_0003;
const KILL_PROCESS: u32 = 0x8000_0000;
/// Log, trap, allow; and errors, by their upper half.
const ANSWERS: [u32; 6] = [
    KILL_PROCESS,
    0,
    0x0003_0000,
    0x0005_0000,
    0x7ffc_0000,
    0x7fff_0000,
];

fuzz_target!(|text: &str| {
    let Ok(profile) = Profile::parse(text) else {
        return;
    };
    let Some(program) = compiled(&profile) else {
        return;
    };
    let code = program.instructions();
    check_form(code);
    assert_eq!(program.to_bytes().len(), 8 * code.len());
    for number in (0..600).chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
        assert_eq!(run(code, number, AUDIT_I386), KILL_PROCESS);
        let answer = run(code, number, AUDIT_X86_64) & 0xffff_0000;
        assert!(ANSWERS.contains(&answer), "{number}: {answer:#x}");
    }
    assert_eq!(
        compiled(&profile).as_ref(),
        Some(&program),
        "another program"
    );
});

fn compiled(profile: &Profile) -> Option<Arc<Program>> {
    let kernel = KernelVersion::parse("6.18").expect("a version");
    let profiles = Profiles::new(Arch::X86_64, kernel).expect("the profiles");
    let profiles = profiles.with_default(profile.clone());
    let program = profiles.program(&SeccompProfile::RuntimeDefault, &Spec::default());
    program.ok().map(|program| program.expect("a filter"))
}

/// What the kernel checks of a filter before it takes it.
fn check_form(code: &[Instruction]) {
    assert!((1..=INSTRUCTIONS_MAX).contains(&code.len()));
    for (
        at,
        Instruction {
            code: operation,
            jt,
            jf,
            k,
        },
    ) in code.iter().copied().enumerate()
    {
        let left = code.len() - at - 1;
        match operation {
            0x20 => assert!(k % 4 == 0 && k < DATA_BYTES, "a load from {k}"),
            0x54 | 0x06 => {}
            0x05 => assert!((k as usize) < left, "a jump beyond the end"),
            0x15 | 0x25 | 0x35 => {
                assert!(
                    usize::from(jt) < left && usize::from(jf) < left,
                    "a jump beyond the end"
                );
            }
            other => panic!("no instruction: {other:#x}"),
        }
    }
    assert_eq!(
        code.last().map(|last| last.code),
        Some(0x06),
        "no return at the end"
    );
}

/// What a filter says to a call without arguments.
fn run(code: &[Instruction], number: u32, audit: u32) -> u32 {
    let (mut at, mut value) = (0, 0);
    loop {
        let Instruction {
            code: operation,
            jt,
            jf,
            k,
        } = code[at];
        at += 1;
        let mut branch = |holds| at += usize::from(if holds { jt } else { jf });
        match operation {
            0x20 => {
                value = match k {
                    0 => number,
                    4 => audit,
                    _ => 0,
                };
            }
            0x54 => value &= k,
            0x05 => at += k as usize,
            0x15 => branch(value == k),
            0x25 => branch(value > k),
            0x35 => branch(value >= k),
            _ => return k,
        }
    }
}
