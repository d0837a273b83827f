//! A layer that someone wrote on purpose, and what must become of it.

use burstlet_image::LayerPacking;
use burstlet_image::unpack::{EntryRule, HeaderRule, LayerFault, Limit, NameRule, UnpackError};

use super::archive::Archive;
use super::{Stage, blob, config, listing};

/// What must become of a layer.
pub(crate) enum Outcome {
    /// It is unpacked, and the tree has just these names; see [`listing::shape_of`].
    Tree(&'static [&'static str]),
    /// It is unpacked, to wherever that is within.
    Contained,
    Header(HeaderRule),
    Name(NameRule),
    Entry(EntryRule),
    TooLarge(Limit),
}

/// A layer; the text is the path of a directory full of canaries that it may aim at.
pub(crate) type Layer = fn(&str) -> Archive;

/// Unpacks each layer into a directory of its own and compares; nothing outside may ever change.
pub(crate) fn check(cases: &[(&str, Layer, Outcome)]) {
    for (what, layer, expected) in cases {
        let stage = Stage::new();
        let archive = layer(&stage.outside().display().to_string()).end();
        let done = stage.unpack_with(config(), blob(&archive));
        match (done, expected) {
            (Ok(_), Outcome::Tree(shape)) => {
                assert_eq!(listing::shape_of(&stage.target()), *shape, "{what}");
            }
            (Ok(_), Outcome::Contained) => {}
            (Err(UnpackError::Layer(fault)), expected) => {
                assert!(expected.is(&fault), "{what}: {fault}");
            }
            (done, _) => panic!("{what}: {done:?}"),
        }
    }
}

impl Outcome {
    fn is(&self, fault: &LayerFault) -> bool {
        match (self, fault) {
            (Self::Header(expected), LayerFault::Header { rule, .. }) => expected == rule,
            (Self::Name(expected), LayerFault::Name { rule, .. }) => expected == rule,
            (Self::Entry(expected), LayerFault::Entry { rule, .. }) => expected == rule,
            (Self::TooLarge(expected), LayerFault::TooLarge { limit, .. }) => expected == limit,
            _ => false,
        }
    }
}

/// The bytes of a layer in gzip or zstd.
pub(crate) fn pack(layer: &[u8], packing: LayerPacking) -> Vec<u8> {
    use std::io::Write;
    match packing {
        LayerPacking::None => layer.to_vec(),
        LayerPacking::Gzip => {
            let level = flate2::Compression::best();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(layer).unwrap();
            encoder.finish().unwrap()
        }
        LayerPacking::Zstd => zstd::encode_all(layer, 1).unwrap(),
    }
}
