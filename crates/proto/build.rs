//! Generates messages, services and their JSON forms from `proto/`, without a `protoc`.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let files = ["container_groups", "images", "metering", "node"]
        .map(|name| root.join(format!("burstlet/v1/{name}.proto")));
    println!("cargo:rerun-if-changed={}", root.display());

    let descriptors = protox::compile(&files, [&root])?;
    let encoded = descriptors.encode_to_vec();
    std::fs::write(out.join("burstlet.v1.bin"), &encoded)?;

    tonic_prost_build::configure()
        .btree_map(".burstlet.v1")
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .btree_map([".burstlet.v1"])
        .build(&[".burstlet.v1"])?;
    Ok(())
}
