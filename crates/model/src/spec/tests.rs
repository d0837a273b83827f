use super::*;
use crate::{Bytes, MilliCpu};

fn cpu(milli: u64) -> ResourceList {
    ResourceList {
        cpu: Some(MilliCpu(milli)),
        ..ResourceList::default()
    }
}

#[test]
fn sums_keep_unstated_apart_from_zero() {
    let memory = ResourceList {
        memory: Some(Bytes(1)),
        ..ResourceList::default()
    };
    let sum = cpu(100).plus(memory).plus(cpu(50));
    assert_eq!(sum.cpu, Some(MilliCpu(150)));
    assert_eq!(sum.memory, Some(Bytes(1)));
    assert_eq!(sum.pids, None);
    assert_eq!(cpu(0).or(cpu(7)), cpu(0));
    assert_eq!(cpu(u64::MAX).plus(cpu(1)), cpu(u64::MAX));
}

#[test]
fn signals() {
    for (text, number) in [
        ("SIGTERM", 15),
        ("term", 15),
        ("9", 9),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
        ("RTMIN", 34),
    ] {
        assert_eq!(
            Signal::parse(text).map(Signal::number),
            Some(number),
            "{text}"
        );
    }
    for text in [
        "", "0", "65", "SIG", "SIGFOO", "RTMIN+31", "RTMAX-31", "-9", "RTMIN3",
    ] {
        assert_eq!(Signal::parse(text), None, "{text}");
    }
}
