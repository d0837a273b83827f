//! The formats of the kernel's cgroup files. Pure.

use burstlet_model::Bytes;

use crate::IoUsage;

/// A file of one number.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number behind `key` in a file of `key number` lines.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok()).flatten()
    })
}

/// v2's `io.stat`: `8:0 rbytes=1 wbytes=2 …` for each device.
pub(crate) fn v2_io(text: &str) -> IoUsage {
    let sum = |key: &str| {
        text.split_whitespace()
            .filter_map(|field| field.strip_prefix(key)?.parse::<u64>().ok())
            .fold(Bytes(0), |sum, bytes| Bytes(sum.0.saturating_add(bytes)))
    };
    IoUsage {
        read: sum("rbytes="),
        written: sum("wbytes="),
    }
}

/// v1's byte counts of `blkio`: `8:0 Read 1` for each device and direction.
pub(crate) fn v1_io(text: &str) -> IoUsage {
    let sum = |direction: &str| {
        text.lines()
            .filter_map(|line| {
                let mut fields = line.split(' ').skip(1);
                (fields.next()? == direction).then(|| fields.next()?.parse::<u64>().ok())?
            })
            .fold(Bytes(0), |sum, bytes| Bytes(sum.0.saturating_add(bytes)))
    };
    IoUsage {
        read: sum("Read"),
        written: sum("Write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keyed_numbers() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(keyed(text, "oom_kill"), Some(3));
        assert_eq!(keyed(text, "oom"), None);
        assert_eq!(keyed("oom_kill x\n", "oom_kill"), None);
        assert_eq!(number(" 42\n"), Some(42));
        assert_eq!(number("max\n"), None);
    }

    #[test]
    fn io_of_both() {
        let v2 = "254:0 rbytes=4096 wbytes=10 rios=1 wios=2 dbytes=9 dios=0\n259:40000 \n\
                  8:16 rbytes=4 wbytes=18446744073709551615 rios=1 wios=2 dbytes=0 dios=0\n";
        let usage = IoUsage {
            read: Bytes(4100),
            written: Bytes(u64::MAX),
        };
        assert_eq!(v2_io(v2), usage);
        let v1 = "254:0 Read 4096\n254:0 Write 1\n254:0 Sync 0\n254:0 Total 4097\n\
                  8:16 Read 4\n8:16 Write 2\nTotal 4103\n";
        let usage = IoUsage {
            read: Bytes(4100),
            written: Bytes(3),
        };
        assert_eq!(v1_io(v1), usage);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,200}") {
            let _ = (number(&text), keyed(&text, "a"), v2_io(&text), v1_io(&text));
        }
    }
}
