//! Layers as nobody would write them, and trees as they come out.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod archive;
pub(crate) mod hostile;
pub(crate) mod listing;
pub(crate) mod overlay;

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use burstlet_image::LayerPacking;
use burstlet_image::digest_of;
use burstlet_image::unpack::{
    LayerBlob, LayerFault, UnpackError, Unpacked, Unpacker, UnpackerConfig,
};
use tempfile::TempDir;

/// The unpacker that this build made.
pub(crate) fn config() -> UnpackerConfig {
    UnpackerConfig::new(PathBuf::from(env!("CARGO_BIN_EXE_burstlet-unpack")))
}

/// A plain layer as a blob.
pub(crate) fn blob(layer: &[u8]) -> LayerBlob {
    packed(layer, layer, LayerPacking::None)
}

/// A layer and the bytes that it is packed as.
pub(crate) fn packed(layer: &[u8], bytes: &[u8], packing: LayerPacking) -> LayerBlob {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    LayerBlob {
        file,
        packing,
        diff_id: digest_of(layer),
    }
}

/// A directory with canaries around the one to unpack into. Nothing outside `target` may change.
pub(crate) struct Stage {
    room: TempDir,
    before: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let room = tempfile::Builder::new()
            .prefix("burstlet-unpack-")
            .tempdir()
            .unwrap();
        let outside = room.path().join("outside");
        std::fs::create_dir_all(outside.join("sub")).unwrap();
        std::fs::write(outside.join("passwd"), "root:x:0:0\n").unwrap();
        std::fs::write(outside.join("sub/canary"), "sings").unwrap();
        std::os::unix::fs::symlink("passwd", outside.join("link")).unwrap();
        std::fs::create_dir(room.path().join("target")).unwrap();
        let before = listing::of(&outside);
        Self { room, before }
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.room.path().join("target")
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.room.path().join("outside")
    }

    /// Panics if a canary changed.
    pub(crate) fn assert_outside_is_as_before(&self) {
        assert_eq!(
            listing::of(&self.outside()),
            self.before,
            "something outside was touched"
        );
    }

    pub(crate) fn unpack_with(
        &self,
        config: UnpackerConfig,
        layer: LayerBlob,
    ) -> Result<Unpacked, UnpackError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let done = runtime.block_on(Unpacker::new(config).unpack(layer, &self.target()));
        self.assert_outside_is_as_before();
        done
    }

    pub(crate) fn unpack(&self, layer: LayerBlob) -> Result<Unpacked, UnpackError> {
        self.unpack_with(config(), layer)
    }

    /// Unpacks a layer that must be accepted, and lists what came out.
    pub(crate) fn tree_of(&self, layer: &[u8]) -> String {
        self.unpack(blob(layer)).unwrap();
        listing::of(&self.target())
    }

    /// Unpacks a layer that must be refused, and says why it was.
    pub(crate) fn fault_of(&self, layer: LayerBlob) -> LayerFault {
        match self.unpack(layer) {
            Err(UnpackError::Layer(fault)) => fault,
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// Runs a program that the test needs and that must succeed.
pub(crate) fn run(program: &str, arguments: &[&str], directory: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A file opened for reading.
pub(crate) fn open(path: &Path) -> File {
    File::open(path).unwrap()
}
