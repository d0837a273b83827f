//! Memory that is held in steps, each for a time.

use std::io;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Memory is taken and given back in blocks of this size, which the allocator maps one by one.
const BLOCK_BYTES: usize = 1 << 20;

/// Each step is `MEBIBYTES:MILLISECONDS`. Prints the boot clock and the bytes that are held whenever
/// that begins or ends to change.
pub(crate) fn hold(steps: &[&str]) -> io::Result<()> {
    let mut held: Vec<Vec<u8>> = Vec::new();
    for step in steps {
        let wrong = || io::Error::other(format!("{step:?} is no step"));
        let (blocks, lasts_ms) = step.split_once(':').ok_or_else(wrong)?;
        let blocks: usize = blocks.parse().map_err(|_| wrong())?;
        let lasts_ms = lasts_ms.parse().map_err(|_| wrong())?;
        tell(&held)?;
        held.truncate(blocks);
        while held.len() < blocks {
            // Written to, or it would only be promised.
            held.push(vec![1; BLOCK_BYTES]);
        }
        tell(&held)?;
        std::thread::sleep(Duration::from_millis(lasts_ms));
    }
    tell(&held)
}

fn tell(held: &[Vec<u8>]) -> io::Result<()> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
    println!("{} {}", now.as_nanos(), held.len() * BLOCK_BYTES);
    Ok(())
}
