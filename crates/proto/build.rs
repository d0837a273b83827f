//! Generates messages, services, their JSON forms, and the table of who may call what from
//! `proto/`, without a `protoc`.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use protox::prost_reflect::{DescriptorPool, MethodDescriptor, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let files = ["container_groups", "images", "metering", "node"]
        .map(|name| root.join(format!("burstlet/v1/{name}.proto")));
    println!("cargo:rerun-if-changed={}", root.display());

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files)?;
    // In this form the options that are extensions survive.
    let encoded = compiler.encode_file_descriptor_set();
    std::fs::write(out.join("burstlet.v1.bin"), &encoded)?;
    let calls = calls(&compiler.descriptor_pool())?;
    std::fs::write(out.join("burstlet.v1.calls.rs"), calls)?;

    tonic_prost_build::configure()
        .btree_map(".burstlet.v1")
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_fds(compiler.file_descriptor_set())?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .btree_map([".burstlet.v1"])
        .build(&[".burstlet.v1"])?;
    Ok(())
}

/// Each call with what its `access` option says, as the elements of a constant.
///
/// # Errors
/// A call does not say who may call it.
fn calls(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut table = String::from("&[\n");
    for service in pool.services() {
        for method in service.methods() {
            let (roles, reach, audited) = access(pool, &method)
                .ok_or_else(|| format!("{} has no access option", method.full_name()))?;
            let name = format!("{}/{}", service.full_name(), method.name());
            let streaming = method.is_server_streaming();
            writeln!(
                table,
                "Call {{ method: {name:?}, roles: &[{roles}], reach: {reach}, \
                 audited: {audited}, streaming: {streaming} }},"
            )?;
        }
    }
    table.push(']');
    Ok(table)
}

/// The roles and the reach as Rust says them; `None` if one of them is missing.
fn access(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<(String, String, bool)> {
    let extension = pool.get_extension_by_name("burstlet.v1.access")?;
    let options = method.options();
    let access = options.get_extension(&extension);
    let access = access.as_message()?;
    let roles = access.get_field_by_name("roles")?;
    let roles: Option<Vec<String>> = roles
        .as_list()?
        .iter()
        .map(|role| word(pool, "burstlet.v1.Role", role))
        .collect();
    let roles = roles.filter(|roles| !roles.is_empty())?.join(", ");
    let reach = access.get_field_by_name("reach")?;
    let reach = word(pool, "burstlet.v1.Reach", &reach)?;
    let audited = access.get_field_by_name("audited")?.as_bool()?;
    Some((roles, reach, audited))
}

/// `ROLE_ADMIN` of the enum `Role` as `Role::Admin`; `None` if it is unspecified.
fn word(pool: &DescriptorPool, of: &str, value: &Value) -> Option<String> {
    let number = value.as_enum_number().filter(|number| *number != 0)?;
    let of = pool.get_enum_by_name(of)?;
    let constant = of.get_value(number)?;
    let bare = constant.name().split_once('_')?.1;
    let (first, rest) = bare.split_at(1);
    Some(format!("{}::{first}{}", of.name(), rest.to_lowercase()))
}
