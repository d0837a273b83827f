//! Parsing, and programs against the naive reading.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::condition::{Condition, Test};
use super::machine::{Call, Reading, run};
use super::profile::{Action, Entry, Scope};
use super::select::Target;
use super::*;

const NAMES: [&str; 16] = [
    "read",
    "write",
    "close",
    "socket",
    "clone",
    "clone3",
    "personality",
    "mount",
    "umount2",
    "ptrace",
    "openat2",
    "fork",
    "arch_prctl",
    "futex_waitv",
    "file_setattr",
    "no_such_call",
];

fn target(arch: Arch, capabilities: &[&str]) -> Target {
    Target {
        arch,
        kernel: KernelVersion { major: 6, minor: 1 },
        capabilities: capabilities.iter().map(ToString::to_string).collect(),
    }
}

/// Values around which comparisons of halves can go wrong.
fn value() -> impl Strategy<Value = u64> {
    let half = || {
        prop_oneof![
            Just(0_u32),
            Just(1),
            Just(2),
            Just(u32::MAX),
            Just(1 << 31),
            any::<u32>()
        ]
    };
    (half(), half()).prop_map(|(high, low)| u64::from(high) << 32 | u64::from(low))
}

fn condition() -> impl Strategy<Value = Condition> {
    let test = prop_oneof![
        value().prop_map(Test::Equal),
        value().prop_map(Test::NotEqual),
        value().prop_map(Test::Less),
        value().prop_map(Test::LessOrEqual),
        value().prop_map(Test::Greater),
        value().prop_map(Test::GreaterOrEqual),
        (value(), value()).prop_map(|(mask, value)| Test::Masked {
            mask,
            value: value & mask
        }),
        (value(), value()).prop_map(|(mask, value)| Test::Masked { mask, value }),
    ];
    (0..6_usize, test).prop_map(|(argument, test)| Condition { argument, test })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Allow),
        (0..100_u16).prop_map(Action::Errno),
        Just(Action::KillProcess),
        Just(Action::Log),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    let some = |names: &'static [&'static str]| {
        proptest::sample::subsequence(names, 0..=1).prop_map(|names| {
            names
                .into_iter()
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
        })
    };
    let kernel = proptest::option::weighted(0.2, (5..8_u32, 0..3_u32));
    (
        some(&["amd64", "arm64"]),
        some(&["SYS_ADMIN", "BPF"]),
        kernel,
    )
        .prop_map(|(arches, capabilities, kernel)| Scope {
            arches,
            capabilities,
            min_kernel: kernel.map(|(major, minor)| KernelVersion { major, minor }),
        })
}

fn entry() -> impl Strategy<Value = Entry> {
    let names = proptest::sample::subsequence(&NAMES, 1..6);
    let conditions = proptest::collection::vec(condition(), 0..4);
    let rarely = || prop_oneof![3 => Just(Scope::default()), 1 => scope()];
    (names, action(), conditions, rarely(), rarely()).prop_map(
        |(names, action, conditions, includes, excludes)| Entry {
            names: names.into_iter().map(str::to_owned).collect(),
            action,
            conditions,
            includes,
            excludes,
        },
    )
}

fn profile() -> impl Strategy<Value = Profile> {
    (action(), proptest::collection::vec(entry(), 0..24))
        .prop_map(|(default, entries)| Profile::of(default, entries))
}

fn arch() -> impl Strategy<Value = Arch> {
    prop_oneof![Just(Arch::X86_64), Just(Arch::Aarch64)]
}

/// Calls by number: those that a profile names, their neighbours, and any.
fn number(arch: Arch) -> impl Strategy<Value = u32> {
    let named: Vec<u32> = NAMES.iter().filter_map(|name| arch.number(name)).collect();
    let near = (proptest::sample::select(named), 0..3_u32);
    prop_oneof![
        8 => near.prop_map(|(number, by)| (number + by).saturating_sub(1)),
        2 => 0..500_u32,
        1 => any::<u32>(),
        1 => 0x3fff_fffe_u32..0x4000_0200,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_program_says_what_its_profile_says(
        profile in profile(),
        (arch, numbers) in arch().prop_flat_map(|arch| {
            (Just(arch), proptest::collection::vec(number(arch), 32))
        }),
        arguments in proptest::collection::vec(proptest::array::uniform6(value()), 32),
        foreign in proptest::bool::weighted(0.05),
        capabilities in proptest::sample::subsequence(&["SYS_ADMIN", "BPF"][..], 0..=2),
    ) {
        let target = target(arch, &capabilities);
        let program = Program::compile(&profile, &target).unwrap();
        let reading = Reading::new(&profile, &target);
        for (number, arguments) in numbers.into_iter().zip(arguments) {
            let audit = if foreign { 0x4000_0003 } else { arch.audit() };
            let call = Call { number, audit, arguments };
            let (result, _) = run(program.instructions(), &call);
            let said = reading.says(&call).value();
            prop_assert_eq!(result, said, "{:?}", call);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _ = Profile::parse(&text);
    }
}

#[test]
fn far_branches() {
    // Every call has conditions of its own, so the halves of the tree are far apart.
    let entries = (0..400_u64).map(|salt| Entry {
        names: vec![NAMES[salt as usize % 15].to_owned()],
        action: Action::Errno(u16::try_from(salt % 4000).unwrap()),
        conditions: vec![Condition {
            argument: 5,
            test: Test::Equal(salt),
        }],
        includes: Scope::default(),
        excludes: Scope::default(),
    });
    let profile = Profile::of(Action::Allow, entries.collect());
    let target = target(Arch::X86_64, &[]);
    let program = Program::compile(&profile, &target).unwrap();
    assert!(program.instructions().len() > 1500);
    let reading = Reading::new(&profile, &target);
    for number in 0..450 {
        for salt in [0, 1, 7, 200, 399, 400] {
            let arguments = [0, 0, 0, 0, 0, salt];
            let call = Call {
                number,
                audit: Arch::X86_64.audit(),
                arguments,
            };
            let (result, _) = run(program.instructions(), &call);
            assert_eq!(result, reading.says(&call).value(), "{call:?}");
        }
    }
}

#[test]
fn what_the_kernel_does_not_take_is_refused() {
    let entries = (0..1000_u64).map(|salt| Entry {
        names: vec!["read".to_owned()],
        action: Action::Allow,
        conditions: vec![Condition {
            argument: 0,
            test: Test::Equal(salt),
        }],
        includes: Scope::default(),
        excludes: Scope::default(),
    });
    let profile = Profile::of(Action::KillThread, entries.collect());
    let error = Program::compile(&profile, &target(Arch::X86_64, &[])).unwrap_err();
    assert!(matches!(error, ProfileError::Instructions(_)), "{error}");
}

#[test]
fn bytes_are_those_of_the_kernels_structure() {
    let profile = Profile::of(Action::Allow, Vec::new());
    let program = Program::compile(&profile, &target(Arch::Aarch64, &[])).unwrap();
    let bytes = program.to_bytes();
    assert_eq!(bytes.len(), program.instructions().len() * 8);
    if cfg!(target_endian = "little") {
        assert_eq!(bytes[..8], [0x20, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(bytes[8..16], [0x15, 0, 1, 0, 0xb7, 0, 0, 0xc0]);
    }
}

#[test]
fn profiles_that_are_taken() {
    let text = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["read", "_llseek"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "",
             "includes": {}, "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["x86"], "minKernel": "4.8"}},
            {"name": "personality", "action": "SCMP_ACT_KILL", "args": null,
             "includes": {"minKernel": "7.0"}},
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errno": "EINVAL", "errnoRet": 22,
             "args": [{"index": 0, "value": 18446744073709551615, "valueTwo": 0, "op": "SCMP_CMP_NE"}]}
        ]}"#;
    let profile = Profile::parse(text).unwrap();
    assert_eq!(profile.default, Action::Errno(38));
    assert_eq!(profile.entries.len(), 3);
    let program = Program::compile(&profile, &target(Arch::X86_64, &[])).unwrap();
    assert_eq!(
        program.unknown_names().iter().collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

#[test]
fn unknown_names_are_reported() {
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["read", "arch_prctl", "raed"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let profile = Profile::parse(text).unwrap();
    let program = Program::compile(&profile, &target(Arch::Aarch64, &[])).unwrap();
    assert_eq!(program.unknown_names().iter().collect::<Vec<_>>(), ["raed"]);
}

#[test]
fn profiles_that_are_refused() {
    let entry =
        |entry: &str| format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{entry}]}}"#);
    let argument = |argument: &str| {
        entry(&format!(
            r#"{{"names": ["read"], "action": "SCMP_ACT_KILL", "args": [{argument}]}}"#
        ))
    };
    for (text, part) in [
        ("{}".to_owned(), "read the seccomp profile"),
        (
            r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#.to_owned(),
            "SCMP_ACT_NOTIFY",
        ),
        (r#"{"defaultAction": "allow"}"#.to_owned(), "defaultAction"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}"#.to_owned(),
            "no error number",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}"#
                .to_owned(),
            "flags",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}"#.to_owned(),
            "read the seccomp",
        ),
        (
            entry(r#"{"names": [], "action": "SCMP_ACT_KILL"}"#),
            "syscalls[0]",
        ),
        (entry(r#"{"action": "SCMP_ACT_KILL"}"#), "names"),
        (
            entry(r#"{"name": "a", "names": ["b"], "action": "SCMP_ACT_KILL"}"#),
            "names",
        ),
        (
            entry(r#"{"names": ["a"], "action": "SCMP_ACT_TRACE"}"#),
            "SCMP_ACT_TRACE",
        ),
        (
            entry(r#"{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096}"#),
            "4096",
        ),
        (
            entry(
                r#"{"names": ["a"], "action": "SCMP_ACT_KILL", "includes": {"caps": ["SYS_ADMIN"]}}"#,
            ),
            "not a capability",
        ),
        (
            entry(r#"{"names": ["a"], "action": "SCMP_ACT_KILL", "includes": {"minKernel": "x"}}"#),
            "kernel version",
        ),
        (
            entry(r#"{"names": ["a"], "action": "SCMP_ACT_KILL", "include": {}}"#),
            "read the seccomp",
        ),
        (
            argument(r#"{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}"#),
            "argument 6",
        ),
        (
            argument(r#"{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}"#),
            "read the seccomp",
        ),
        (
            argument(r#"{"index": 0, "value": 0, "op": "EQ"}"#),
            "EQ is not supported",
        ),
        (
            argument(
                r#"{"index": 1, "value": 0, "op": "SCMP_CMP_GE"}, {"index": 1, "value": 9, "op": "SCMP_CMP_LE"}"#,
            ),
            "two conditions on one argument",
        ),
        (
            format!("{}{}", entry(""), " ".repeat(1 << 20)),
            "larger than",
        ),
    ] {
        let error = Profile::parse(&text).unwrap_err();
        assert!(error.to_string().contains(part), "{error} for {text}");
    }
    let other = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]}"#;
    let profile = Profile::parse(other).unwrap();
    let error = Program::compile(&profile, &target(Arch::X86_64, &[])).unwrap_err();
    assert!(
        matches!(error, ProfileError::Architecture("SCMP_ARCH_X86_64")),
        "{error}"
    );
}

#[test]
fn kernel_versions() {
    for (text, version) in [
        ("6.18", Some((6, 18))),
        ("6.18.44-fc", Some((6, 18))),
        ("4.8-rc1", Some((4, 8))),
        ("6", None),
        ("x.1", None),
        ("6.", None),
    ] {
        let expected = version.map(|(major, minor)| KernelVersion { major, minor });
        assert_eq!(KernelVersion::parse(text), expected, "{text}");
    }
}
