//! An image's `/etc/passwd` and `/etc/group`. Whatever they hold, a number is that number, no id is the
//! one that means none, and a home is a path that fits one line.
#![no_main]

use burstlet_image::fuzzing::resolve_user;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let (Some(user), Some(passwd), group) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let Ok(user) = std::str::from_utf8(user) else {
        return;
    };
    let group = group.unwrap_or_default();
    let Ok(found) = resolve_user(user, passwd, group) else {
        return;
    };
    let (name, group_name) = user.split_once(':').unwrap_or((user, ""));
    check_id(name, found.uid);
    check_id(group_name, found.gid);
    assert!(user.is_empty() == name.is_empty());
    assert!(found.groups.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(
        found
            .groups
            .iter()
            .all(|id| *id != u32::MAX && *id != found.gid)
    );
    if let Some(home) = found.home {
        assert!(
            home.starts_with('/') && !home.contains(['\n', '\0', '\r']),
            "{home:?}"
        );
        assert!(contains(passwd, home.as_bytes()));
    }
    if found.uid != 0 && name.parse::<u32>().is_err() {
        assert!(
            contains(passwd, name.as_bytes()),
            "{name:?} is nobody's name"
        );
    }
});

fn check_id(text: &str, id: u32) {
    assert_ne!(id, u32::MAX, "the id that means none");
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        assert_eq!(text.parse(), Ok(id));
    }
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}
