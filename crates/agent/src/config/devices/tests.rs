use super::super::tests::check;
use super::*;

/// The devices of a file's sections, or why there are none.
fn read(text: &str) -> Result<Devices, String> {
    check(text, &[]).map(|config| config.devices)
}

/// A section `[devices."example.com/NAME"]`.
fn section(name: &str, keys: &str) -> String {
    format!("[devices.\"example.com/{name}\"]\n{keys}\n")
}

#[test]
fn devices_are_lists_of_nodes_by_resource() {
    assert_eq!(read(""), Ok(Devices::default()));
    let gpus = section(
        "gpu",
        "paths = [['/dev/gpu0', '/dev/gpu0-ctl'], ['/dev/gpu1']]\nshared = ['/dev/gpuctl']",
    );
    let fpgas = section(
        "fpga",
        "paths = [['/dev/bus/fpga.0']]\nshared = ['/dev/gpuctl']",
    );
    let devices = read(&(gpus + &fpgas)).unwrap();
    let lent: Vec<String> = devices
        .resources()
        .map(|(resource, pool)| {
            let nodes: Vec<_> = pool.devices().map(|device| device.nodes).collect();
            format!("{resource} {nodes:?}")
        })
        .collect();
    assert_eq!(
        lent,
        [
            r#"example.com/fpga [["/dev/bus/fpga.0"]]"#,
            r#"example.com/gpu [["/dev/gpu0", "/dev/gpu0-ctl"], ["/dev/gpu1"]]"#,
        ]
    );
    let shared = devices.shared_nodes().into_iter();
    let shared: Vec<String> = shared
        .map(|(of, nodes)| format!("{of} {nodes:?}"))
        .collect();
    assert_eq!(
        shared,
        [
            r#"example.com/fpga ["/dev/gpuctl"]"#,
            r#"example.com/gpu ["/dev/gpuctl"]"#,
        ]
    );
    let places: Vec<String> = devices.places().map(|place| place.to_string()).collect();
    assert_eq!(
        places,
        [
            "[devices.\"example.com/fpga\"] paths[0]",
            "[devices.\"example.com/fpga\"] shared",
            "[devices.\"example.com/gpu\"] paths[0]",
            "[devices.\"example.com/gpu\"] paths[0]",
            "[devices.\"example.com/gpu\"] paths[1]",
            "[devices.\"example.com/gpu\"] shared",
        ]
    );
}

#[test]
fn a_node_has_one_owner() {
    for (text, problem) in [
        (
            section("a", "paths = [['/dev/x'], ['/dev/y', '/dev/x']]"),
            "[devices.\"example.com/a\"] paths[1] has /dev/x, which [devices.\"example.com/a\"] paths[0] has, too",
        ),
        (
            section("a", "paths = [['/dev/x', '/dev/x']]"),
            "paths[0] has /dev/x, which",
        ),
        (
            section("a", "paths = [['/dev/x']]") + &section("b", "paths = [['/dev/x']]"),
            "[devices.\"example.com/b\"] paths[0] has /dev/x, which [devices.\"example.com/a\"] paths[0]",
        ),
        (
            section("a", "paths = [['/dev/x']]\nshared = ['/dev/x']"),
            "shared has /dev/x, which",
        ),
        (
            section("a", "paths = [['/dev/x']]\nshared = ['/dev/y', '/dev/y']"),
            "shared has /dev/y, which",
        ),
        (
            section("a", "paths = [['/dev/x']]\nshared = ['/dev/y']")
                + &section("b", "paths = [['/dev/y']]"),
            "[devices.\"example.com/b\"] paths[0] has /dev/y, which [devices.\"example.com/a\"] shared",
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[test]
fn only_paths_of_devices_are_taken() {
    for (path, problem) in [
        ("dev/gpu0", "must be a path below /dev"),
        ("/dev", "must be a path below /dev"),
        ("/sys/gpu0", "must be a path below /dev"),
        ("/dev/", "empty parts"),
        ("/dev//gpu0", "empty parts"),
        ("/dev/gpu0/", "empty parts"),
        ("/dev/./gpu0", "empty parts"),
        ("/dev/../etc/passwd", "empty parts"),
        ("/dev/a\tb", "control characters"),
        ("/dev/null", "containers have a /dev/null of their own"),
        ("/dev/shm/gpu0", "containers have a /dev/shm of their own"),
    ] {
        let error = read(&section("gpu", &format!("paths = [[{path:?}]]"))).unwrap_err();
        assert!(error.starts_with("FILE:2:"), "{path}: {error}");
        assert!(error.contains(problem), "{path}: {error}");
    }
    let longest = format!("/dev/{}", "a".repeat(PATH_BYTES_MAX - "/dev/".len()));
    let of = |path: &str| read(&section("gpu", &format!("paths = [['{path}']]")));
    assert!(of(&longest).is_ok());
    assert!(
        of(&(longest + "a"))
            .unwrap_err()
            .contains("at most 255 bytes")
    );
}

#[test]
fn numbers_of_devices_are_bounded() {
    let nodes = |from: usize, count: usize| {
        let all: Vec<String> = (from..from + count)
            .map(|n| format!("'/dev/n{n}'"))
            .collect();
        all.join(", ")
    };
    let devices = |from: usize, count: usize| {
        let all: Vec<String> = (from..from + count)
            .map(|n| format!("['/dev/n{n}']"))
            .collect();
        all.join(", ")
    };
    let gpu = |keys: String| read(&section("gpu", &keys)).map(|_| ());
    let refused = |problem: &str| Err(format!("configuration: [devices{problem}"));
    assert_eq!(
        gpu(format!("paths = [{}]", devices(0, DEVICES_MAX))),
        Ok(())
    );
    assert_eq!(
        gpu(format!("paths = [{}]", devices(0, DEVICES_MAX + 1))),
        refused("] has more than 1024 devices")
    );
    assert_eq!(gpu(format!("paths = [[{}]]", nodes(0, NODES_MAX))), Ok(()));
    assert_eq!(
        gpu(format!(
            "paths = [['/dev/x'], [{}]]",
            nodes(0, NODES_MAX + 1)
        )),
        refused(".\"example.com/gpu\"] paths[1] has more than 64 nodes")
    );
    assert_eq!(
        gpu(format!(
            "paths = [['/dev/x']]\nshared = [{}]",
            nodes(0, NODES_MAX + 1)
        )),
        refused(".\"example.com/gpu\"] shared has more than 64 nodes")
    );
    assert_eq!(
        gpu("paths = [['/dev/x'], []]".to_owned()),
        refused(".\"example.com/gpu\"] paths[1] has no node")
    );
    assert_eq!(
        gpu("paths = []".to_owned()),
        refused(".\"example.com/gpu\"] paths has no device: leave the section out")
    );
    let many = |count: usize| -> Result<(), String> {
        let all =
            (0..count).map(|n| section(&format!("r{n}"), &format!("paths = [['/dev/n{n}']]")));
        read(&all.collect::<String>()).map(|_| ())
    };
    assert_eq!(many(RESOURCES_MAX), Ok(()));
    assert_eq!(
        many(RESOURCES_MAX + 1),
        refused("] has more than 64 resources")
    );
}

#[test]
fn sections_name_their_mistakes() {
    for (text, problem) in [
        (
            "[devices.gpu]\npaths = [['/dev/x']]",
            "FILE:1:10: \"gpu\" is not an extended resource",
        ),
        (
            "[devices.\"kubernetes.io/gpu\"]\npaths = [['/dev/x']]",
            "is not an extended resource",
        ),
        ("[devices.\"example.com/gpu\"]\n", "missing field `paths`"),
        (
            "[devices.\"example.com/gpu\"]\npaths = [['/dev/x']]\ncount = 3",
            "FILE:3:1: unknown field `count`",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
}
