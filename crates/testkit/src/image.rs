//! Builds images from lists of entries: well-formed ones, small enough to be read in a test.
//!
//! The same entries give the same bytes and so the same digests, on every machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Debian's `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One entry of a layer.
#[derive(Clone, Debug)]
pub struct Entry {
    path: String,
    kind: Kind,
    mode: u32,
    owner: (u64, u64),
}

#[derive(Clone, Debug)]
enum Kind {
    Directory,
    File(Vec<u8>),
    Symlink(String),
    Hardlink(String),
}

impl Entry {
    /// A directory of mode 0755.
    #[must_use]
    pub fn dir(path: &str) -> Self {
        Self::new(path, Kind::Directory, 0o755)
    }

    /// A file of mode 0644.
    #[must_use]
    pub fn file(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self::new(path, Kind::File(content.into()), 0o644)
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(path: &str, target: &str) -> Self {
        Self::new(path, Kind::Symlink(target.to_owned()), 0o777)
    }

    /// A hard link to an entry before it.
    #[must_use]
    pub fn hardlink(path: &str, target: &str) -> Self {
        Self::new(path, Kind::Hardlink(target.to_owned()), 0o644)
    }

    /// With another mode.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// With another owner than root.
    #[must_use]
    pub fn owner(self, uid: u64, gid: u64) -> Self {
        Self {
            owner: (uid, gid),
            ..self
        }
    }

    fn new(path: &str, kind: Kind, mode: u32) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            mode,
            owner: (0, 0),
        }
    }

    fn append(&self, tar: &mut tar::Builder<Vec<u8>>) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(1_700_000_000);
        header.set_size(0);
        match &self.kind {
            Kind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, format!("{}/", self.path), std::io::empty())?;
            }
            Kind::File(content) => {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, &self.path, content.as_slice())?;
            }
            Kind::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, &self.path, target)?;
            }
            Kind::Hardlink(target) => {
                header.set_entry_type(tar::EntryType::Link);
                tar.append_link(&mut header, &self.path, target)?;
            }
        }
        Ok(())
    }
}

/// How layers are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// Plain tar.
    None,
    /// gzip.
    #[default]
    Gzip,
    /// Zstandard.
    Zstd,
}

/// Describes an image.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    layers: Vec<Vec<Entry>>,
    packing: Packing,
    architecture: String,
    run: BTreeMap<&'static str, Value>,
}

impl Default for ImageBuilder {
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            layers: Vec::new(),
            packing: Packing::default(),
            architecture: architecture.to_owned(),
            run: BTreeMap::new(),
        }
    }
}

impl ImageBuilder {
    /// An image of one layer with Debian's static busybox and links for all that it can do.
    ///
    /// # Errors
    /// `busybox-static` is not installed.
    pub fn busybox() -> Result<Self> {
        let program = fs::read(BUSYBOX).context("read /bin/busybox: install busybox-static")?;
        let listed = std::process::Command::new(BUSYBOX).arg("--list").output()?;
        let mut layer: Vec<Entry> = ["bin", "dev", "etc", "home", "proc", "root", "sys", "var"]
            .into_iter()
            .map(Entry::dir)
            .collect();
        layer.push(Entry::dir("tmp").mode(0o1777));
        layer.push(Entry::file("bin/busybox", program).mode(0o755));
        let applets = String::from_utf8(listed.stdout)?;
        for applet in applets.lines().filter(|applet| *applet != "busybox") {
            layer.push(Entry::symlink(&format!("bin/{applet}"), "busybox"));
        }
        let accounts = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
        layer.push(Entry::file("etc/passwd", accounts));
        layer.push(Entry::file("etc/group", "root:x:0:\nnogroup:x:65534:\n"));
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Ok(Self::default().layer(layer).cmd(&["sh"]).env(&[path]))
    }

    /// With one more layer on top.
    #[must_use]
    pub fn layer(mut self, entries: Vec<Entry>) -> Self {
        self.layers.push(entries);
        self
    }

    /// With its layers packed so.
    #[must_use]
    pub fn packing(mut self, packing: Packing) -> Self {
        self.packing = packing;
        self
    }

    /// For another architecture than this machine's.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        architecture.clone_into(&mut self.architecture);
        self
    }

    /// With an entry point.
    #[must_use]
    pub fn entrypoint(self, words: &[&str]) -> Self {
        self.run("Entrypoint", json!(words))
    }

    /// With a command.
    #[must_use]
    pub fn cmd(self, words: &[&str]) -> Self {
        self.run("Cmd", json!(words))
    }

    /// With an environment of `NAME=VALUE`.
    #[must_use]
    pub fn env(self, env: &[&str]) -> Self {
        self.run("Env", json!(env))
    }

    /// With any field of the configuration, as Docker writes it: `User`, `WorkingDir`, `Labels`…
    #[must_use]
    pub fn run(mut self, field: &'static str, value: Value) -> Self {
        self.run.insert(field, value);
        self
    }

    /// Builds the image.
    ///
    /// # Errors
    /// An entry does not fit a tar archive.
    pub fn build(&self) -> Result<BuiltImage> {
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for entries in &self.layers {
            let tar = tar_of(entries)?;
            diff_ids.push(digest(&tar));
            layers.push(pack(&tar, self.packing)?);
        }
        let config = json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": self.run,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config_type = "application/vnd.oci.image.config.v1+json";
        let config = Blob::new(config_type, config.to_string().into_bytes());
        let descriptors: Vec<_> = layers.iter().map(Blob::descriptor).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor(),
            "layers": descriptors,
        });
        let manifest = Blob::new(OCI_MANIFEST, manifest.to_string().into_bytes());
        Ok(BuiltImage {
            manifest,
            config,
            layers,
            diff_ids,
            architecture: self.architecture.clone(),
        })
    }
}

/// Bytes with a digest and a media type.
#[derive(Clone, Debug)]
pub struct Blob {
    /// `sha256:…`
    pub digest: String,
    /// What it is.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// Takes `bytes` as `media_type`.
    #[must_use]
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            digest: digest(&bytes),
            media_type: media_type.to_owned(),
            bytes,
        }
    }

    /// As documents name it.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }

    /// The digest without its algorithm.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.digest.trim_start_matches("sha256:")
    }
}

/// A built image.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// Its manifest.
    pub manifest: Blob,
    /// Its configuration; the digest is the image's id.
    pub config: Blob,
    /// Its packed layers, lowest first.
    pub layers: Vec<Blob>,
    /// The digests of its unpacked layers.
    pub diff_ids: Vec<String>,
    /// What it is for.
    pub architecture: String,
}

impl BuiltImage {
    /// Everything but the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().chain([&self.config])
    }

    /// Writes an OCI layout with one image, tagged `tag`, into the directory `dir`.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn write_oci_layout(&self, dir: &Path, tag: &str) -> Result<()> {
        let files = self.oci_layout(tag);
        for (path, bytes) in files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().context("a file has a directory")?)?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// An OCI layout as a tar archive.
    ///
    /// # Errors
    /// An entry does not fit a tar archive.
    pub fn oci_archive(&self, tag: &str) -> Result<Vec<u8>> {
        let files = self.oci_layout(tag).into_iter();
        tar_of(
            &files
                .map(|(path, bytes)| Entry::file(&path, bytes))
                .collect::<Vec<_>>(),
        )
    }

    /// What `docker save` writes: plain layers, and `manifest.json` that names them.
    ///
    /// # Errors
    /// An entry does not fit a tar archive, or the layers are packed.
    pub fn docker_archive(&self, tag: &str) -> Result<Vec<u8>> {
        let plain = self
            .layers
            .iter()
            .zip(&self.diff_ids)
            .all(|(blob, id)| blob.digest == *id);
        anyhow::ensure!(
            plain,
            "docker archives have plain layers: build with Packing::None"
        );
        let mut entries = Vec::new();
        let mut names = Vec::new();
        for layer in &self.layers {
            let name = format!("{}/layer.tar", layer.hex());
            entries.push(Entry::file(&name, layer.bytes.clone()));
            names.push(name);
        }
        let config = format!("{}.json", self.config.hex());
        entries.push(Entry::file(&config, self.config.bytes.clone()));
        let manifest = json!([{"Config": config, "RepoTags": [tag], "Layers": names}]);
        entries.push(Entry::file("manifest.json", manifest.to_string()));
        tar_of(&entries)
    }

    fn oci_layout(&self, tag: &str) -> Vec<(String, Vec<u8>)> {
        let mut entry = self.manifest.descriptor();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]});
        let mut files = vec![
            (
                "oci-layout".to_owned(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
            ),
            ("index.json".to_owned(), index.to_string().into_bytes()),
        ];
        for blob in self.blobs().chain([&self.manifest]) {
            files.push((format!("blobs/sha256/{}", blob.hex()), blob.bytes.clone()));
        }
        files
    }
}

/// An index of images for several platforms.
#[must_use]
pub fn index_of(images: &[&BuiltImage]) -> Blob {
    let entries = images.iter().map(|image| {
        let mut entry = image.manifest.descriptor();
        entry["platform"] = json!({"os": "linux", "architecture": image.architecture});
        entry
    });
    let entries: Vec<_> = entries.collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
    Blob::new(OCI_INDEX, index.to_string().into_bytes())
}

/// The digest of `bytes`, as documents write it.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn tar_of(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        entry
            .append(&mut tar)
            .with_context(|| format!("add {} to an archive", entry.path))?;
    }
    Ok(tar.into_inner()?)
}

fn pack(tar: &[u8], packing: Packing) -> Result<Blob> {
    let base = "application/vnd.oci.image.layer.v1.tar";
    Ok(match packing {
        Packing::None => Blob::new(base, tar.to_vec()),
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(tar)?;
            Blob::new(&format!("{base}+gzip"), encoder.finish()?)
        }
        Packing::Zstd => Blob::new(&format!("{base}+zstd"), zstd::encode_all(tar, 3)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_entries_give_the_same_image() {
        let builder = || {
            ImageBuilder::default()
                .layer(vec![Entry::file("a", "x")])
                .cmd(&["a"])
        };
        let (one, two) = (builder().build().unwrap(), builder().build().unwrap());
        assert_eq!(one.manifest.digest, two.manifest.digest);
        let packed = builder().packing(Packing::Zstd).build().unwrap();
        assert_ne!(one.layers[0].digest, packed.layers[0].digest);
        assert_eq!(one.diff_ids, packed.diff_ids);
        assert_eq!(one.config.digest, packed.config.digest);
    }

    #[test]
    fn archives_have_all_that_documents_name() {
        let image = ImageBuilder::default().layer(vec![Entry::file("a", "x")]);
        let image = image.packing(Packing::None).build().unwrap();
        for archive in [
            image.oci_archive("x:1").unwrap(),
            image.docker_archive("x:1").unwrap(),
        ] {
            let mut contents = Vec::new();
            for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
                let mut bytes = Vec::new();
                std::io::copy(&mut entry.unwrap(), &mut bytes).unwrap();
                contents.push(digest(&bytes));
            }
            for blob in image.blobs() {
                assert!(contents.contains(&blob.digest));
            }
        }
    }
}
