//! A packed layer. No more comes out than what came in allows, and it ends.
#![no_main]

use std::fs::File;
use std::io::{Seek, Write};

use burstlet_image::LayerPacking;
use burstlet_image::fuzzing::unpacked_bytes;
use burstlet_image::unpack::UnpackLimits;
use libfuzzer_sys::fuzz_target;

/// Bytes that are handed on at once, which the bound is looked at after.
const CHUNK_BYTES: u64 = 256 << 10;

fuzz_target!(|data: (u8, &[u8])| {
    let (packing, bytes) = data;
    let packing = match packing % 3 {
        0 => LayerPacking::None,
        1 => LayerPacking::Gzip,
        _ => LayerPacking::Zstd,
    };
    let limits = UnpackLimits {
        ratio: 20,
        ratio_floor_bytes: 1 << 20,
        ..UnpackLimits::default()
    };
    let mut blob: File = tempfile::tempfile().expect("make a file");
    blob.write_all(bytes).expect("write the file");
    blob.rewind().expect("go back");
    let Ok(out) = unpacked_bytes(blob, packing, limits) else {
        return;
    };
    let allowed = (bytes.len() as u64 + 1) * (limits.ratio + 1);
    assert!(
        out <= limits.ratio_floor_bytes.max(allowed) + CHUNK_BYTES,
        "{out}"
    );
    if packing == LayerPacking::None {
        assert_eq!(out, bytes.len() as u64);
    }
});
