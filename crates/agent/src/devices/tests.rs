use burstlet_model::DeviceKind;

use super::*;

/// A configuration of one resource.
fn configured(keys: &str) -> Devices {
    toml::from_str(&format!("[\"example.com/gpu\"]\n{keys}")).unwrap()
}

fn number(kind: DeviceKind, minor: u32) -> Option<Found> {
    let number = DeviceNumber {
        kind,
        major: 240,
        minor,
    };
    Some(Found {
        number,
        mode: 0o666,
    })
}

fn character(minor: u32) -> Option<Found> {
    number(DeviceKind::Char, minor)
}

/// Each node of the configuration with what is at its path.
fn with<'c>(configured: &'c Devices, found: &[Option<Found>]) -> Vec<Seen<'c>> {
    configured.places().zip(found.iter().copied()).collect()
}

/// The nodes of the devices that can be lent.
fn lent(pools: &Pools) -> Vec<String> {
    let devices = pools.values().flatten();
    devices
        .map(|device| format!("{:?}", device.nodes))
        .collect()
}

#[test]
fn devices_that_are_not_whole_are_not_lent() {
    let gpus = configured("paths = [['/dev/g0', '/dev/g0c'], ['/dev/g1']]\nshared = ['/dev/ctl']");
    let check = |there: [bool; 4], expected: &[&str]| {
        let nodes = (0..).zip(there);
        let found: Vec<_> = nodes
            .map(|(minor, is_there)| character(minor).filter(|_| is_there))
            .collect();
        let pools = pools(&gpus, &with(&gpus, &found));
        assert_eq!(lent(&pools), expected, "{there:?}");
        assert_eq!(pools.len(), 1, "the resource is known");
    };
    let (first, second) = (r#"["/dev/g0", "/dev/g0c"]"#, r#"["/dev/g1"]"#);
    check([true; 4], &[first, second]);
    check([true, false, true, true], &[second]);
    check([true, true, false, true], &[first]);
    check([true, true, true, false], &[]);
}

#[test]
fn one_device_by_two_paths_is_refused() {
    let check = |keys: &str, found: &[Option<Found>], expected: Result<(), &str>| {
        let gpus = configured(keys);
        let checked = check_owners(&with(&gpus, found)).map_err(|error| error.to_string());
        assert_eq!(checked, expected.map_err(str::to_owned), "{keys}");
    };
    let same = [character(1); 2];
    let two = "paths = [['/dev/a'], ['/dev/b']]";
    check(
        two,
        &same,
        Err(
            "[devices.\"example.com/gpu\"] paths[1]: /dev/b is the device c 240:1, as \
             [devices.\"example.com/gpu\"] paths[0]: /dev/a is",
        ),
    );
    check(
        "paths = [['/dev/a']]\nshared = ['/dev/b']",
        &same,
        Err(
            "[devices.\"example.com/gpu\"] shared: /dev/b is the device c 240:1, as \
             [devices.\"example.com/gpu\"] paths[0]: /dev/a is",
        ),
    );
    let shared = "paths = [['/dev/a']]\nshared = ['/dev/b', '/dev/c']";
    check(shared, &[character(1), character(2), character(2)], Ok(()));
    check(two, &[character(1), number(DeviceKind::Block, 1)], Ok(()));
    check(two, &[None, None], Ok(()));
}

#[test]
fn what_is_there_and_no_device_is_refused_and_what_is_not_there_is_not_lent() {
    let gpus = configured("paths = [['/dev/g0'], ['/dev/g1']]");
    let look = |error: fn(PathBuf) -> NodeError| {
        let found = seen(&gpus, move |path| match path.ends_with("g0") {
            true => Err(error(path.to_owned())),
            false => Ok(character(1).unwrap()),
        });
        let lent = found.map(|seen| lent(&pools(&gpus, &seen)));
        lent.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    };
    let second = vec![r#"["/dev/g1"]"#.to_owned()];
    assert_eq!(look(NodeError::Absent), Ok(second));
    for wrong in [NodeError::Other, NodeError::Link] {
        let why = look(wrong).unwrap_err();
        let place = "[devices.\"example.com/gpu\"] paths[0]: /dev/g0 is ";
        assert!(why.starts_with(place), "{why}");
    }
}

#[test]
fn nodes_of_this_machine_are_looked_at() {
    let found = look(Path::new("/dev/null")).unwrap();
    assert_eq!(found.number.to_string(), "c 1:3");
    assert_eq!(found.mode & !0o777, 0, "{:o}", found.mode);
    let missing = configured("paths = [['/dev/burstlet-has-no-such-device']]");
    assert_eq!(lent(&offered(&missing).unwrap()), [""; 0]);
}

#[test]
fn nothing_is_lent_where_nothing_keeps_others_from_it() {
    let some = configured("paths = [['/dev/burstlet-has-no-such-device']]");
    let refused = check_kept(&some, false).unwrap_err().to_string();
    let place = "[devices.\"example.com/gpu\"]: ";
    assert!(refused.starts_with(place), "{refused}");
    assert!(check_kept(&some, true).is_ok());
    assert!(check_kept(&Devices::default(), false).is_ok());
}
