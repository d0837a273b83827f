#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

fn parse(raw: &[u8]) -> Result<EntryName, NameRule> {
    EntryName::parse(raw, 512)
}

#[test]
fn names_that_are_paths_below_the_root() {
    for (raw, path) in [
        (&b"a"[..], &b"a"[..]),
        (b"a/b", b"a/b"),
        (b"/a", b"a"),
        (b"//a", b"a"),
        (b"///a//b///", b"a/b"),
        (b"./a", b"a"),
        (b"././a/./b", b"a/b"),
        (b"a/.", b"a"),
        (b"a/./", b"a"),
        (b"a/", b"a"),
        (b".", b""),
        (b"./", b""),
        (b"/", b""),
        (b"//", b""),
        (b"/.", b""),
        (b"...", b"..."),
        (b".a", b".a"),
        (b"..a", b"..a"),
        (b"a..", b"a.."),
        (b"a\\..\\b", b"a\\..\\b"),
        (b"c:/a", b"c:/a"),
        (b" ", b" "),
        (b"a b", b"a b"),
        (b"a\nb", b"a\nb"),
        (b"\x1b[2J", b"\x1b[2J"),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"\xc0\xae\xc0\xae/a", b"\xc0\xae\xc0\xae/a"),
        (b"-rf", b"-rf"),
        (b"~", b"~"),
        (b"$HOME", b"$HOME"),
    ] {
        let name = parse(raw).unwrap();
        assert_eq!(name.path(), path, "{}", raw.escape_ascii());
    }
}

#[test]
fn names_that_are_refused() {
    let component = vec![b'x'; 256];
    let long = b"ab/".repeat(1366);
    let deep = b"a/".repeat(513);
    for (raw, rule) in [
        (&b""[..], NameRule::Empty),
        (b"..", NameRule::DotDot),
        (b"../a", NameRule::DotDot),
        (b"a/..", NameRule::DotDot),
        (b"a/../b", NameRule::DotDot),
        (b"/..", NameRule::DotDot),
        (b"./..", NameRule::DotDot),
        (b"a/../../b", NameRule::DotDot),
        (b"..//a", NameRule::DotDot),
        (b"a\0", NameRule::Nul),
        (b"a\0/../b", NameRule::Nul),
        (b"\0", NameRule::Nul),
        (&component, NameRule::ComponentTooLong),
        (&long, NameRule::PathTooLong),
        (&deep, NameRule::TooDeep),
    ] {
        assert_eq!(parse(raw), Err(rule), "{}", raw.escape_ascii());
    }
    assert!(parse(&component[1..]).is_ok());
}

#[test]
fn what_names_mean() {
    for (raw, meaning) in [
        (&b"/"[..], Ok(Meaning::Root)),
        (b"a", Ok(Meaning::Plain)),
        (b"a/.wha", Ok(Meaning::Plain)),
        (b"a/x.wh.b", Ok(Meaning::Plain)),
        (b".wh.a", Ok(Meaning::Whiteout(b"a"))),
        (b"b/.wh.a", Ok(Meaning::Whiteout(b"a"))),
        (b"b/.wh.a/", Ok(Meaning::Whiteout(b"a"))),
        (b".wh.\xff", Ok(Meaning::Whiteout(b"\xff"))),
        (b".wh....", Ok(Meaning::Whiteout(b"..."))),
        (b".wh..wh..opq", Ok(Meaning::Opaque)),
        (b"a/b/.wh..wh..opq", Ok(Meaning::Opaque)),
        (b".wh..wh.aufs", Ok(Meaning::Bookkeeping)),
        (b".wh..wh.plnk/17.4", Ok(Meaning::Bookkeeping)),
        (b".wh..wh.", Ok(Meaning::Bookkeeping)),
        (b".wh..wh..opq/a", Ok(Meaning::Bookkeeping)),
        (b".wh.", Err(NameRule::Whiteout)),
        (b"a/.wh.", Err(NameRule::Whiteout)),
        (b".wh..", Err(NameRule::Whiteout)),
        (b".wh...", Err(NameRule::Whiteout)),
        (b".wh.a/b", Err(NameRule::Whiteout)),
    ] {
        let name = parse(raw).unwrap();
        assert_eq!(name.meaning(), meaning, "{}", raw.escape_ascii());
    }
}

proptest! {
    #[test]
    fn parent_and_leaf_make_the_path(raw in proptest::collection::vec(
        prop_oneof![Just(b'/'), Just(b'.'), Just(b'a'), any::<u8>()], 0..40,
    )) {
        let Ok(name) = parse(&raw) else { return Ok(()) };
        let mut joined = name.parent().to_vec();
        if !joined.is_empty() {
            joined.push(b'/');
        }
        joined.extend_from_slice(name.leaf());
        prop_assert_eq!(&joined, name.path());
        prop_assert!(!name.leaf().contains(&b'/'));
        prop_assert!(!name.path().contains(&0));
        let below_root = name.path().is_empty()
            || name.path().split(|b| *b == b'/').all(|c| !matches!(c, b"" | b"." | b".."));
        prop_assert!(below_root);
        prop_assert_eq!(parse(name.path()).ok(), (!name.path().is_empty()).then_some(name));
    }
}
