#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use super::*;
use crate::digest_of;

/// An archive of these members, links given as `name -> target`.
fn archive(members: &[(&str, &[u8])]) -> File {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        if let Some((name, target)) = name.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, name, target).unwrap();
        } else {
            header.set_size(data.len() as u64);
            builder.append_data(&mut header, name, *data).unwrap();
        }
    }
    spooled(&builder.into_inner().unwrap())
}

fn spooled(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn bytes_of(import: &Import, digest: &Digest) -> Vec<u8> {
    let mut blob = import.blob(digest).unwrap();
    let mut bytes = Vec::new();
    blob.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, blob.size());
    bytes
}

fn names(import: &Import) -> Vec<Vec<String>> {
    let shown = |image: &ImportedImage| image.references.iter().map(ImageRef::to_string).collect();
    import.images().iter().map(shown).collect()
}

fn index_entry(blob: &[u8], annotations: &str) -> String {
    format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{},"annotations":{{{annotations}}}}}"#,
        digest_of(blob),
        blob.len()
    )
}

#[test]
fn a_docker_archive_becomes_an_oci_image() {
    let (layer, config) = (&b"layer bytes"[..], &b"{}"[..]);
    let manifest = br#"[{"Config":"c.json","RepoTags":["web:1","web:2"],
        "Layers":["a/layer.tar","b/layer.tar"]}]"#;
    let import = Import::archive(archive(&[
        ("a/layer.tar", layer),
        ("b/layer.tar -> ../a/layer.tar", b""),
        ("c.json", config),
        ("manifest.json", manifest),
    ]))
    .unwrap();
    assert_eq!(
        names(&import),
        [["docker.io/library/web:1", "docker.io/library/web:2"]]
    );
    let document = &import.images()[0].document;
    let written = bytes_of(&import, &document.digest);
    assert_eq!(digest_of(&written), document.digest);
    let parsed = crate::Document::parse(&written, Some(&document.media_type)).unwrap();
    let crate::Document::Manifest(manifest) = parsed else {
        panic!("not a manifest")
    };
    assert_eq!(bytes_of(&import, &manifest.config.digest), config);
    assert_eq!(manifest.layers.len(), 2);
    for layer_of_two in &manifest.layers {
        assert_eq!(bytes_of(&import, &layer_of_two.blob.digest), layer);
        assert_eq!(layer_of_two.packing, crate::LayerPacking::None);
    }
}

#[test]
fn layers_of_a_docker_archive_are_told_by_their_first_bytes() {
    for (layer, packing) in [
        (&b"\x1f\x8brest"[..], crate::LayerPacking::Gzip),
        (b"\x28\xb5\x2f\xfdrest", crate::LayerPacking::Zstd),
        (b"", crate::LayerPacking::None),
    ] {
        let manifest = br#"[{"Config":"c","RepoTags":null,"Layers":["l"]}]"#;
        let members = [("l", layer), ("c", &b"{}"[..]), ("manifest.json", manifest)];
        let import = Import::archive(archive(&members)).unwrap();
        let document = bytes_of(&import, &import.images()[0].document.digest);
        let parsed = crate::Document::parse(&document, None).unwrap();
        let crate::Document::Manifest(manifest) = parsed else {
            panic!("not a manifest")
        };
        assert_eq!(manifest.layers[0].packing, packing);
    }
}

#[test]
fn a_layout_is_the_same_in_an_archive_and_in_a_directory() {
    let manifest = b"the manifest";
    let name = format!("blobs/sha256/{}", digest_of(manifest).hex());
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
        index_entry(
            manifest,
            r#""io.containerd.image.name":"example.org/a/b:c""#
        ),
        index_entry(manifest, r#""org.opencontainers.image.ref.name":"d:e""#),
    );
    let members = [
        ("index.json", index.as_bytes()),
        (name.as_str(), &manifest[..]),
    ];
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
    for (name, data) in members {
        std::fs::write(directory.path().join(name), data).unwrap();
    }
    for import in [
        Import::archive(archive(&members)).unwrap(),
        Import::layout(directory.path()).unwrap(),
    ] {
        assert_eq!(
            names(&import),
            [["example.org/a/b:c", "docker.io/library/d:e"]]
        );
        assert_eq!(bytes_of(&import, &digest_of(manifest)), manifest);
        let absent = import.blob(&digest_of(b"absent"));
        assert!(matches!(absent, Err(ImportError::Missing(_))));
    }
}

#[test]
fn a_layout_without_names_is_one_image_for_several_platforms() {
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
        index_entry(b"one", r#""org.opencontainers.image.ref.name":"latest""#),
        index_entry(b"two", ""),
    );
    let import = Import::archive(archive(&[("index.json", index.as_bytes())])).unwrap();
    assert_eq!(names(&import), [Vec::<String>::new()]);
    let document = &import.images()[0].document;
    assert_eq!(bytes_of(&import, &document.digest), index.as_bytes());

    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        index_entry(b"one", "")
    );
    let import = Import::archive(archive(&[("index.json", index.as_bytes())])).unwrap();
    assert_eq!(import.images()[0].document.digest, digest_of(b"one"));
}

#[test]
fn archives_that_are_no_image_are_refused() {
    let check = |file: File, expected: fn(&ImportError) -> bool| {
        let error = Import::archive(file).unwrap_err();
        assert!(expected(&error), "{error:?}");
    };
    check(archive(&[]), |e| matches!(e, ImportError::NotAnImage));
    check(archive(&[("a", b"b")]), |e| {
        matches!(e, ImportError::NotAnImage)
    });
    check(spooled(b"\x1f\x8b\x08"), |e| {
        matches!(e, ImportError::Compressed)
    });
    check(spooled(b"not a tar"), |e| {
        matches!(e, ImportError::Archive(_))
    });
    check(spooled(b""), |e| matches!(e, ImportError::Archive(_)));
    let twice = [("index.json", &b"{}"[..]), ("./index.json", &b"{}"[..])];
    check(archive(&twice), |e| {
        matches!(e, ImportError::Malformed { .. })
    });
    for index in [
        &b"{}"[..],
        b"[]",
        b"{\"manifests\":[]}",
        b"{\"manifests\":[],\"manifests\":[]}",
        b"{\"manifests\":[{\"mediaType\":\"a\",\"digest\":\"sha256:../../etc\",\"size\":1}]}",
        b"{\"manifests\":[{\"mediaType\":\"a\",\"digest\":\"sha512:00\",\"size\":1}]}",
        b"not json",
    ] {
        check(archive(&[("index.json", index)]), |e| {
            matches!(e, ImportError::Malformed { .. })
        });
    }
    for manifest in [&b"[]"[..], b"{}", b"[{\"Config\":\"../c\",\"Layers\":[]}]"] {
        let members = [("manifest.json", manifest)];
        check(archive(&members), |e| {
            matches!(e, ImportError::Malformed { .. })
        });
    }
    let absent = [("manifest.json", &b"[{\"Config\":\"c\",\"Layers\":[]}]"[..])];
    check(archive(&absent), |e| matches!(e, ImportError::Missing(_)));
}

#[test]
fn links_in_a_layout_stay_within_it() {
    let room = tempfile::tempdir().unwrap();
    let layout = room.path().join("layout");
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let index = format!(r#"{{"manifests":[{}]}}"#, index_entry(b"secret", ""));
    std::fs::write(layout.join("index.json"), index).unwrap();
    std::fs::write(room.path().join("secret"), "secret").unwrap();
    let digest = digest_of(b"secret");
    let blob = layout.join("blobs/sha256").join(digest.hex());
    std::os::unix::fs::symlink("../../../secret", &blob).unwrap();
    let import = Import::layout(&layout).unwrap();
    assert!(matches!(import.blob(&digest), Err(ImportError::Missing(_))));
    std::fs::remove_file(&blob).unwrap();
    std::fs::create_dir(&blob).unwrap();
    assert!(matches!(
        import.blob(&digest),
        Err(ImportError::Read { .. })
    ));
}
