#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
    broken line\n\
    worker:x:4294967295:1::/:/\n\
    worker:x:-1:1::/:/\n\
    worker:x:1000:1000:Worker:/home/worker:/bin/sh\n\
    77:x:0:0:digits:/root:/bin/sh\n\
    twice:x:5:6::/a:/bin/sh\n\
    twice:x:7:8::/b:/bin/sh\n\
    lines:x:9:9::/home\rx:/bin/sh\n\
    relative:x:10:10::home:/bin/sh\n\
    short:x:11:11\n\
    wrap:x:4294967296:0::/:/\n\
    :x:12:12::/:/";

const GROUP: &[u8] = b"root:x:0:\n\
    worker:x:1000:\n\
    wheel:x:10:root,worker\n\
    adm:x:4:worker,root\n\
    again:x:4:worker\n\
    workers:x:11:workers\n\
    bad:x:4294967295:worker\n\
    bare:x:20";

fn check(user: &str, uid: u32, gid: u32, groups: &[u32], home: Option<&str>) {
    let found = resolve(user, PASSWD, GROUP).unwrap();
    let home = home.map(str::to_owned);
    assert_eq!(
        found,
        ContainerUser {
            uid,
            gid,
            groups: groups.to_vec(),
            home
        },
        "{user}"
    );
}

#[test]
fn users_that_exist() {
    check("", 0, 0, &[4, 10], Some("/root"));
    check("root", 0, 0, &[4, 10], Some("/root"));
    check("0", 0, 0, &[4, 10], Some("/root"));
    check("worker", 1000, 1000, &[4, 10], Some("/home/worker"));
    check("1000", 1000, 1000, &[4, 10], Some("/home/worker"));
    check("worker:wheel", 1000, 10, &[4], Some("/home/worker"));
    check("worker:0", 1000, 0, &[4, 10], Some("/home/worker"));
    check("1000:bare", 1000, 20, &[4, 10], Some("/home/worker"));
    check("4242", 4242, 0, &[], None);
    check("4242:4243", 4242, 4243, &[], None);
    check(
        "4294967294:4294967294",
        4_294_967_294,
        4_294_967_294,
        &[],
        None,
    );
    check("twice", 5, 6, &[], Some("/a"));
    check("lines", 9, 9, &[], None);
    check("relative", 10, 10, &[], None);
}

#[test]
fn digits_are_an_id_and_never_a_name() {
    check("77", 77, 0, &[], None);
    check("007", 7, 8, &[], Some("/b"));
}

#[test]
fn users_that_are_nobody() {
    for user in [":", ":root", "root:", "root:root:root", "::"] {
        assert!(
            matches!(resolve(user, PASSWD, GROUP), Err(UserError::Syntax(_))),
            "{user}"
        );
    }
    for user in [
        "nobody", "short", "wrap", "Root", " root", "root ", "1000x", "0x0", "*",
    ] {
        assert!(
            matches!(resolve(user, PASSWD, GROUP), Err(UserError::NoUser(_))),
            "{user}"
        );
    }
    for user in ["root:none", "0:bad", "0:wheel "] {
        assert!(
            matches!(resolve(user, PASSWD, GROUP), Err(UserError::NoGroup(_))),
            "{user}"
        );
    }
    for user in [
        "4294967295",
        "4294967296",
        "-1",
        "+0",
        "99999999999999999999",
        "0:-1",
        "0:4294967295",
    ] {
        assert!(
            matches!(resolve(user, PASSWD, GROUP), Err(UserError::Id(_))),
            "{user}"
        );
    }
}

#[test]
fn groups_are_bounded() {
    let group: String = (1..=2000)
        .map(|gid| format!("g{gid}:x:{gid}:root\n"))
        .collect();
    let result = resolve("root", PASSWD, group.as_bytes());
    assert!(matches!(result, Err(UserError::TooManyGroups(_))));
}

proptest! {
    #[test]
    fn no_file_makes_the_parser_fail_otherwise_than_by_an_error(
        user in ".{0,20}",
        passwd in proptest::collection::vec(any::<u8>(), 0..200),
        group in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Ok(found) = resolve(&user, &passwd, &group) {
            prop_assert!(found.uid != NO_ID && found.gid != NO_ID);
        }
    }
}
