//! What the unpacker takes of memory, however large a layer is. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use burstlet_image::LayerPacking;
use support::archive::Archive;
use support::hostile::pack;
use support::{Stage, packed};

/// Whatever the layer: buffers, the decoder's window, and what is noted of directories.
const PEAK_KIB_MAX: u64 = 16 << 10;
const FILE_BYTES: usize = 20 << 20;
const DIRECTORIES: u32 = 2_000;
const HEADER_BYTES: usize = 1 << 18;
const HEADERS: usize = 24;
/// Between looks at what the unpacker has taken.
const LOOK_PAUSE: Duration = Duration::from_millis(2);

/// A file larger than the bound, many directories whose times are set at the end, and long
/// extended headers.
fn layer() -> Vec<u8> {
    let comment = vec![b'x'; HEADER_BYTES];
    let mut archive = Archive::new().file("large", vec![7; FILE_BYTES]);
    for number in 0..DIRECTORIES {
        archive = archive.dir(format!("d{number}"));
    }
    for number in 0..HEADERS {
        archive = archive
            .pax(&[("comment", &comment)])
            .file(format!("f{number}"), "x");
    }
    archive.end()
}

/// A line of `/proc/<pid>/status`, without its unit.
fn status(pid: u32, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The most that an unpacker of ours has taken so far.
fn peak_now() -> u64 {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_ours = |pid: u32| {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let parents = [
            status(pid, "PPid:"),
            status(pid, "PPid:").and_then(|parent| status(u32::try_from(parent).ok()?, "PPid:")),
        ];
        program.ends_with("burstlet-unpack") && parents.contains(&Some(std::process::id().into()))
    };
    let peaks = pids
        .filter(|pid| is_ours(*pid))
        .filter_map(|pid| status(pid, "VmHWM:"));
    peaks.max().unwrap_or(0)
}

#[test]
fn a_large_layer_takes_little_memory() {
    let layer = layer();
    for packing in [LayerPacking::Gzip, LayerPacking::Zstd] {
        let bytes = pack(&layer, packing);
        let done = AtomicBool::new(false);
        let peak = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut peak = 0;
                while !done.load(Ordering::Relaxed) {
                    peak = peak_now().max(peak);
                    std::thread::sleep(LOOK_PAUSE);
                }
                peak
            });
            let unpacked = Stage::new().unpack(packed(&layer, &bytes, packing));
            done.store(true, Ordering::Relaxed);
            unpacked.unwrap();
            watch.join().unwrap()
        });
        println!("{packing:?}: {peak} KiB");
        assert!(peak > 0 && peak < PEAK_KIB_MAX, "{packing:?}: {peak} KiB");
    }
}
