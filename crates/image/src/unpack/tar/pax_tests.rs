#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

/// A record with the length that its own digits are part of.
fn written(key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while body + length.to_string().len() != length {
        length = body + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[test]
fn records_are_read() {
    let data = [
        written(b"path", b"a/\xff=b\n"),
        written(b"linkpath", b"/c"),
        written(b"size", b"8589934592"),
        written(b"uid", b"7"),
        written(b"gid", b"8"),
        written(b"mtime", b"-1.25"),
        written(b"atime", b"whatever"),
        written(b"comment", b""),
        written(b"SCHILY.xattr.user.a=b", b"c\0d"),
    ]
    .concat();
    let pax = Pax::parse(&data).unwrap();
    let expected = Pax {
        path: Some(b"a/\xff=b\n".to_vec()),
        link: Some(b"/c".to_vec()),
        size: Some(8_589_934_592),
        uid: Some(7),
        gid: Some(8),
        mtime: Some(Timestamp {
            seconds: -2,
            nanos: 750_000_000,
        }),
        attributes: vec![(b"user.a".to_vec(), b"b=c\0d".to_vec())],
    };
    assert_eq!(pax, expected);
}

#[test]
fn malformed_records_are_refused() {
    for data in [
        &b"5 a=\n\n"[..],
        b"a=b\n",
        b"6 a=b",
        b"6 a=bc\n",
        b"06a=b\n",
        b" 6 a=b\n",
        b"-6 a=b\n",
        b"+6 a=b\n",
        b"0 a=b\n",
        b"1 a=b\n",
        b"2 a=b\n",
        b"99 a=b\n",
        b"99999999999999999999 a=b\n",
        b"6 a:b\n",
        b"6\ta=b\n",
        b"6 a=b\n\0",
        b"\0",
    ] {
        assert!(Pax::parse(data).is_err(), "{}", data.escape_ascii());
    }
}

#[test]
fn records_that_readers_differ_about() {
    for (key, value) in [
        (&b"path"[..], &b""[..]),
        (b"path", b"a\0b"),
        (b"linkpath", b""),
        (b"size", b""),
        (b"size", b"-1"),
        (b"size", b"1.0"),
        (b"size", b"0x10"),
        (b"size", b"18446744073709551616"),
        (b"uid", b"-2"),
        (b"gid", b"1e3"),
        (b"mtime", b"nan"),
        (b"mtime", b"1.x"),
        (b"mtime", b""),
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.map", b"0,1"),
        (b"GNU.sparse.name", b"a"),
        (b"SCHILY.xattr.", b"a"),
    ] {
        let data = written(key, value);
        assert!(Pax::parse(&data).is_err(), "{}", data.escape_ascii());
    }
    for key in [
        &b"path"[..],
        b"linkpath",
        b"size",
        b"uid",
        b"mtime",
        b"SCHILY.xattr.user.a",
    ] {
        let twice = written(key, b"1").repeat(2);
        assert_eq!(
            Pax::parse(&twice),
            Err(HeaderRule::PaxAmbiguous),
            "{}",
            twice.escape_ascii()
        );
    }
}

#[test]
fn a_global_header_may_only_comment() {
    assert_eq!(Pax::check_global(&written(b"comment", b"0123abcd")), Ok(()));
    assert_eq!(Pax::check_global(b""), Ok(()));
    for key in [&b"path"[..], b"linkpath", b"size", b"uid", b"gid", b"mtime"] {
        let data = written(key, b"1");
        assert_eq!(Pax::check_global(&data), Err(HeaderRule::PaxAmbiguous));
    }
}

proptest! {
    #[test]
    fn any_record_comes_back(key in "[a-z.]{1,20}", value in any::<Vec<u8>>()) {
        let data = written(key.as_bytes(), &value);
        let mut rest = data.as_slice();
        prop_assert_eq!(record(&mut rest), Ok((key.as_bytes(), value.as_slice())));
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn no_bytes_make_the_parser_fail_otherwise_than_by_a_rule(data in any::<Vec<u8>>()) {
        let _ = Pax::parse(&data);
    }
}
