//! Whether groups feel it when their neighbours are busy in the kernel.
//!
//! A kernel that does not preempt itself lets a call go on for milliseconds, though somebody else waits
//! for the processor. No weight and no limit helps who waits; a processor of his own does.

use super::{Finding, Verdict};

/// When the kernel takes a processor from a call that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preemption {
    /// Whenever somebody else should run.
    Full,
    /// Only where the call lets it.
    Voluntary,
    /// Only when the call is done.
    None,
    /// It can be any of them, and the kernel does not tell.
    Unknown,
}

/// Looks at the running kernel.
pub(super) fn look(exclusive: bool) -> Finding {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let preemption = preemption(
        &read("/proc/version"),
        &read("/proc/cmdline"),
        &read("/sys/kernel/debug/sched/preempt"),
    );
    let (good, detail) = match (preemption, exclusive) {
        (Preemption::Full, _) => (true, "the kernel preempts itself"),
        (_, true) => (true, "groups may have processors alone"),
        (Preemption::Voluntary, _) => (false, "the kernel preempts itself at some places only"),
        (Preemption::None, _) => (false, "the kernel does not preempt itself"),
        (Preemption::Unknown, _) => (false, "the kernel does not tell whether it preempts itself"),
    };
    Finding {
        what: "neighbours".to_owned(),
        verdict: match good {
            true => Verdict::Good,
            false => Verdict::Lacking,
        },
        detail: detail.to_owned(),
        advice: "what answers quickly may wait for what its neighbours do in the kernel: set [processors] \
                 exclusive = true and let it ask for whole processors, or boot with preempt=full"
            .to_owned(),
    }
}

/// By what the kernel says of how it was built, how it was booted, and how it is (for who may ask).
fn preemption(version: &str, boot: &str, now: &str) -> Preemption {
    let words: Vec<&str> = version.split_whitespace().collect();
    if words.contains(&"PREEMPT_RT") || words.contains(&"PREEMPT") {
        return Preemption::Full;
    }
    if !words.contains(&"PREEMPT_DYNAMIC") {
        return Preemption::None;
    }
    let chosen = now
        .split_whitespace()
        .find_map(|word| word.strip_prefix('('));
    let chosen = chosen.and_then(|word| word.strip_suffix(')'));
    let mut booted = boot.split_whitespace();
    let booted = booted.find_map(|word| word.strip_prefix("preempt="));
    match chosen.or(booted) {
        Some("full" | "lazy") => Preemption::Full,
        Some("voluntary") => Preemption::Voluntary,
        Some("none") => Preemption::None,
        _ => Preemption::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells() {
        let dynamic = "Linux version 6.1.0 (gcc) #1 SMP PREEMPT_DYNAMIC Debian";
        for (version, boot, now, expected) in [
            (
                "Linux version 5.4 #1 SMP Debian",
                "preempt=full",
                "",
                Preemption::None,
            ),
            (
                "Linux version 6.1 #1 SMP PREEMPT Debian",
                "",
                "",
                Preemption::Full,
            ),
            (
                "Linux version 6.12 #1 SMP PREEMPT_RT x",
                "",
                "",
                Preemption::Full,
            ),
            (dynamic, "", "", Preemption::Unknown),
            (dynamic, "quiet preempt=none ro", "", Preemption::None),
            (dynamic, "preempt=full", "", Preemption::Full),
            (
                dynamic,
                "preempt=full",
                "none (voluntary) full\n",
                Preemption::Voluntary,
            ),
            (
                dynamic,
                "preempt=none",
                "none voluntary full (lazy)\n",
                Preemption::Full,
            ),
        ] {
            assert_eq!(
                preemption(version, boot, now),
                expected,
                "{version}|{boot}|{now}"
            );
        }
    }

    #[test]
    fn who_gives_processors_alone_needs_no_advice() {
        assert_eq!(look(true).verdict, Verdict::Good);
    }
}
