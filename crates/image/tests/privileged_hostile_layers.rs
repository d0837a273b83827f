//! Layers that aim beyond their directory, at other layers' files or at the reader of a later
//! scan. Each is unpacked by the real unpacker beside a directory of canaries. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use burstlet_image::unpack::{EntryRule, HeaderRule, Limit, NameRule};
use support::archive::{Archive, Header};
use support::hostile::Outcome::{Contained, Entry, Header as Rule, Name, TooLarge, Tree};
use support::hostile::check;

fn new() -> Archive {
    Archive::new()
}

/// An entry with an owner, mode and time of its own, which would show on a canary.
fn marked(kind: u8, name: &str) -> Header {
    Header::new(kind, name.as_bytes())
        .mode(0o4777)
        .owner(7, 7)
        .mtime(1)
}

#[test]
#[rustfmt::skip]
fn names_stay_below_the_root() {
    check(&[
        ("absolute", |_| new().file("/a", "x"), Tree(&["a=x"])),
        ("absolute, of a canary", |out| new().file(format!("{out}/passwd"), "x"), Contained),
        ("two slashes", |_| new().file("//a//b", "x"), Tree(&["a/", "a/b=x"])),
        ("dots", |_| new().file("././a/./b", "x"), Tree(&["a/", "a/b=x"])),
        ("three dots", |_| new().file(".../a", "x"), Tree(&[".../", ".../a=x"])),
        ("a directory's dot", |_| new().dir("a/."), Tree(&["a/"])),
        ("backslashes", |_| new().file("..\\a", "x"), Tree(&["..\\\\a=x"])),
        ("a drive", |_| new().file("c:/a", "x"), Tree(&["c:/", "c:/a=x"])),
        ("control characters", |_| new().file("\x1b[2J\n", "x"), Tree(&["\\x1b[2J\\n=x"])),
        ("not UTF-8", |_| new().file(b"\xff\xfe", "x"), Tree(&["\\xff\\xfe=x"])),
        ("overlong dots", |_| new().file(b"\xc0\xae\xc0\xae", "x"), Tree(&["\\xc0\\xae\\xc0\\xae=x"])),
        ("a blank", |_| new().file(" ", "x"), Tree(&[" =x"])),
        ("an option", |_| new().file("-rf", "x"), Tree(&["-rf=x"])),
        ("the root", |_| new().dir("./").dir("/").dir("."), Tree(&[])),
        ("up", |_| new().file("../a", "x"), Name(NameRule::DotDot)),
        ("up and down", |_| new().file("a/../b", "x"), Name(NameRule::DotDot)),
        ("up at the end", |_| new().dir("a/.."), Name(NameRule::DotDot)),
        ("up from the root", |_| new().file("/../a", "x"), Name(NameRule::DotDot)),
        ("only up", |_| new().dir(".."), Name(NameRule::DotDot)),
        ("far up", |_| new().file("../../../../../../etc/a", "x"), Name(NameRule::DotDot)),
        ("up by PAX", |_| new().pax(&[("path", b"../a")]).file("a", "x"), Name(NameRule::DotDot)),
        ("up by a long name", |_| new().extension(b'L', b"../a\0").file("a", "x"), Name(NameRule::DotDot)),
        ("up by a prefix", |_| new().entry(&marked(b'0', "a").set(345, b".."), b""), Name(NameRule::DotDot)),
        ("nothing", |_| new().file("", "x"), Name(NameRule::Empty)),
        ("256 bytes", |_| new().file("n".repeat(256), ""), Name(NameRule::ComponentTooLong)),
        ("256 bytes on the way", |_| new().file("n".repeat(256) + "/a", ""), Name(NameRule::ComponentTooLong)),
        ("4096 bytes", |_| new().file("abcdefg/".repeat(511) + "aaaaaaaa", ""), Name(NameRule::PathTooLong)),
        ("too deep", |_| new().dir("a/".repeat(513)), Name(NameRule::TooDeep)),
    ]);
}

#[test]
#[rustfmt::skip]
fn symbolic_links_lead_nowhere_else() {
    check(&[
        ("to an absolute path", |out| new().symlink("l", out).file("l/passwd", "x"), Contained),
        ("to a canary itself", |out| new().symlink("l", format!("{out}/passwd")).file("l", "x"), Tree(&["l=x"])),
        ("to a relative path", |_| new().symlink("l", "../outside").file("l/passwd", "x"), Tree(&["l->../outside", "outside/", "outside/passwd=x"])),
        ("from below", |_| new().symlink("a/b/l", "../../../outside").file("a/b/l/passwd", "x"), Tree(&["a/", "a/b/", "a/b/l->../../../outside", "outside/", "outside/passwd=x"])),
        ("to the root", |_| new().symlink("l", "/").file("l/a", "x"), Tree(&["a=x", "l->/"])),
        ("up", |_| new().symlink("l", "..").file("l/a", "x"), Tree(&["a=x", "l->.."])),
        ("up, far", |_| new().symlink("l", "../../../../..").file("l/a", "x"), Tree(&["a=x", "l->../../../../.."])),
        ("in a chain", |_| new().symlink("a", "b").symlink("b", "../outside").file("a/passwd", "x"), Tree(&["a->b", "b->../outside", "outside/", "outside/passwd=x"])),
        ("in a chain through directories", |_| new().dir("d").symlink("d/u", "..").symlink("v", "d/u/..").file("v/outside/passwd", "x"), Tree(&["d/", "d/u->..", "outside/", "outside/passwd=x", "v->d/u/.."])),
        ("within", |_| new().dir("usr/lib").symlink("lib", "usr/lib").file("lib/a", "x"), Tree(&["lib->usr/lib", "usr/", "usr/lib/", "usr/lib/a=x"])),
        ("within, absolute", |_| new().dir("usr/lib").symlink("lib", "/usr/lib").file("lib/a", "x"), Tree(&["lib->/usr/lib", "usr/", "usr/lib/", "usr/lib/a=x"])),
        ("dangling", |_| new().symlink("l", "a/b").file("l/c", "x"), Tree(&["a/", "a/b/", "a/b/c=x", "l->a/b"])),
        ("dangling through another", |_| new().symlink("l", "m/a").symlink("m", "../b").file("l/c", "x"), Tree(&["b/", "b/a/", "b/a/c=x", "l->m/a", "m->../b"])),
        ("to itself", |_| new().symlink("l", "l").file("l/a", "x"), Entry(EntryRule::LinkLoop)),
        ("in a circle", |_| new().symlink("a", "b/x").symlink("b", "a/x").file("a/c", "x"), Entry(EntryRule::LinkLoop)),
        ("ever longer", |_| new().symlink("l", "l/l/l").file("l/a", "x"), Entry(EntryRule::LinkLoop)),
        ("the root itself", |out| new().symlink("./", out), Entry(EntryRule::RootNotADirectory)),
        ("the root as a file", |_| new().entry(&Header::new(b'0', b"."), b""), Entry(EntryRule::RootNotADirectory)),
        ("the root as a hard link", |_| new().hard_link(".", "a"), Entry(EntryRule::RootNotADirectory)),
        ("below a file", |_| new().file("a", "x").file("a/b", "x"), Entry(EntryRule::ParentNotADirectory)),
        ("below a link to a file", |_| new().file("a", "x").symlink("l", "a").file("l/b", "x"), Entry(EntryRule::ParentNotADirectory)),
        ("below a fifo", |_| new().entry(&Header::new(b'6', b"a"), b"").file("a/b", "x"), Entry(EntryRule::ParentNotADirectory)),
        ("to the process", |_| new().symlink("l", "/proc/self/fd").file("l/0", "x"), Tree(&["l->/proc/self/fd", "proc/", "proc/self/", "proc/self/fd/", "proc/self/fd/0=x"])),
        ("to the host's root", |_| new().symlink("l", "/proc/1/root").file("l/a", "x"), Tree(&["l->/proc/1/root", "proc/", "proc/1/", "proc/1/root/", "proc/1/root/a=x"])),
        ("a file over a link", |_| new().symlink("a", "../outside/passwd").file("a", "x"), Tree(&["a=x"])),
        ("a directory over a link", |_| new().symlink("a", "../outside").dir("a").file("a/passwd", "x"), Tree(&["a/", "a/passwd=x"])),
        ("a fifo over a link", |_| new().symlink("a", "../outside/fifo").entry(&Header::new(b'6', b"a"), b""), Tree(&["a|"])),
        ("a link over a directory", |_| new().file("a/b", "x").symlink("a", "../outside").file("a/passwd", "y"), Tree(&["a->../outside", "outside/", "outside/passwd=y"])),
        ("a cached parent", |_| new().file("a/b", "x").file("a/c", "x").symlink("a", "../outside").file("a/sub/canary", "y"), Tree(&["a->../outside", "outside/", "outside/sub/", "outside/sub/canary=y"])),
        ("a parent renamed by a link", |_| new().dir("a/b").symlink("c", "a").dir("c/b").symlink("a", "../outside").file("c/sub/canary", "y"), Tree(&["a->../outside", "c->a", "outside/", "outside/sub/", "outside/sub/canary=y"])),
        ("an empty target", |_| new().symlink("a", ""), Entry(EntryRule::LinkTarget)),
        ("a target of 4096", |_| new().symlink("a", "t".repeat(4096)), Entry(EntryRule::LinkTarget)),
        ("a target of all bytes", |_| new().symlink("a", b"\xff\n\x1b"), Tree(&["a->\\xff\\n\\x1b"])),
    ]);
}

#[test]
#[rustfmt::skip]
fn hard_links_stay_in_the_layer() {
    check(&[
        ("to a file", |_| new().file("a", "x").hard_link("b", "a"), Tree(&["a=x", "b==a"])),
        ("to a file, absolute", |_| new().file("a", "x").hard_link("d/b", "/a"), Tree(&["a=x", "d/", "d/b==a"])),
        ("through a link within", |_| new().file("d/a", "x").symlink("l", "d").hard_link("b", "l/a"), Tree(&["b=x", "d/", "d/a==b", "l->d"])),
        ("to a link, which is not followed", |_| new().symlink("l", "../outside/passwd").hard_link("b", "l"), Tree(&["b->../outside/passwd", "l==b"])),
        ("to a canary", |out| new().hard_link("b", format!("{out}/passwd")), Entry(EntryRule::LinkSourceMissing)),
        ("to a canary, up", |_| new().hard_link("b", "../outside/passwd"), Name(NameRule::DotDot)),
        ("to a canary, through a link", |_| new().symlink("l", "../outside").hard_link("b", "l/passwd"), Entry(EntryRule::LinkSourceMissing)),
        ("to a canary, through an absolute link", |out| new().symlink("l", out).hard_link("b", "l/passwd"), Entry(EntryRule::LinkSourceMissing)),
        ("to a file of a lower layer", |_| new().hard_link("b", "etc/passwd"), Entry(EntryRule::LinkSourceMissing)),
        ("to a later file", |_| new().hard_link("b", "a").file("a", "x"), Entry(EntryRule::LinkSourceMissing)),
        ("to nothing", |_| new().hard_link("b", ""), Name(NameRule::Empty)),
        ("to the root", |_| new().hard_link("b", "/"), Entry(EntryRule::LinkSourceIsDirectory)),
        ("to a directory", |_| new().dir("a").hard_link("b", "a"), Entry(EntryRule::LinkSourceIsDirectory)),
        ("to a whiteout", |_| new().file(".wh.a", "").hard_link("b", "a"), Entry(EntryRule::LinkSourceMissing)),
        ("to a device", |_| new().device(b'4', "a", 8, 0).hard_link("b", "a"), Entry(EntryRule::LinkSourceMissing)),
        ("to a fifo", |_| new().entry(&Header::new(b'6', b"a"), b"").hard_link("b", "a"), Tree(&["a|", "b==a"])),
        ("to itself", |_| new().file("a", "x").hard_link("a", "a"), Tree(&["a=x"])),
        ("to itself by another name", |_| new().file("a", "x").hard_link("b", "a").hard_link("a", "b"), Tree(&["a=x", "b==a"])),
        ("over the directory of its source", |_| new().file("a/b", "x").hard_link("a", "a/b"), Entry(EntryRule::LinkSourceMissing)),
        ("over another file", |_| new().file("a", "x").file("b", "y").hard_link("b", "a"), Tree(&["a=x", "b==a"])),
        ("then replaced", |_| new().file("a", "x").hard_link("b", "a").file("b", "y"), Tree(&["a=x", "b=y"])),
        ("to a file that is rewritten", |_| new().file("a", "x").hard_link("b", "a").file("a", "y"), Tree(&["a=y", "b=x"])),
        ("with another mode", |_| new().file("a", "x").entry(&marked(b'1', "b").link(b"a"), b""), Tree(&["a=x", "b==a"])),
        ("with data", |_| new().file("a", "x").entry(&Header::new(b'1', b"b").link(b"a").size(1), b"y"), Rule(HeaderRule::SizeOfNoData)),
    ]);
}

#[test]
#[rustfmt::skip]
fn owners_modes_and_times_are_not_set_through_links() {
    check(&[
        ("a directory through a link", |_| new().symlink("l", "../outside/sub").entry(&marked(b'5', "l"), b""), Tree(&["l/ 4777"])),
        ("a file through a link", |_| new().symlink("l", "../outside/passwd").entry(&marked(b'0', "l"), b""), Tree(&["l= 4777"])),
        ("of a link itself", |_| new().entry(&marked(b'2', "l").link(b"../outside/passwd"), b""), Tree(&["l->../outside/passwd"])),
        ("of a link to a directory", |out| new().entry(&marked(b'2', "l").link(format!("{out}/sub").as_bytes()), b""), Contained),
        ("late, of what was a directory", |_| new().entry(&marked(b'5', "d"), b"").symlink("d", "../outside/sub"), Tree(&["d->../outside/sub"])),
        ("late, of what was a directory on the way", |_| new().entry(&marked(b'5', "d/sub"), b"").symlink("d", "../outside"), Tree(&["d->../outside"])),
        ("attributes through a link", |_| new().pax(&[("SCHILY.xattr.user.a", b"b")]).entry(&marked(b'2', "l").link(b"../outside/passwd"), b""), Tree(&["l->../outside/passwd"])),
        ("an owner beyond the range", |_| new().pax(&[("uid", b"65536")]).file("a", ""), Entry(EntryRule::OwnerBeyondRange)),
        ("a group beyond the range", |_| new().pax(&[("gid", b"65536")]).dir("a"), Entry(EntryRule::OwnerBeyondRange)),
        ("an owner that is none", |_| new().pax(&[("uid", b"4294967295")]).file("a", ""), Entry(EntryRule::OwnerBeyondRange)),
        ("an owner that wraps to root", |_| new().pax(&[("uid", b"4294967296")]).file("a", ""), Entry(EntryRule::OwnerBeyondRange)),
        ("an owner that wraps in 31 bits", |_| new().pax(&[("uid", b"2147483648")]).file("a", ""), Entry(EntryRule::OwnerBeyondRange)),
        ("a base-256 owner", |_| new().entry(&Header::new(b'0', b"a").set(108, b"\x80\0\0\0\x7f\xff\xff\xff"), b""), Entry(EntryRule::OwnerBeyondRange)),
    ]);
}

#[test]
#[rustfmt::skip]
fn whiteouts_hide_lower_layers_only() {
    check(&[
        ("of a name", |_| new().file(".wh.a", ""), Tree(&["-a"])),
        ("in a directory", |_| new().file("d/.wh.a", ""), Tree(&["d/", "-d/a"])),
        ("as a directory", |_| new().dir(".wh.a"), Tree(&["-a"])),
        ("twice", |_| new().file(".wh.a", "").file(".wh.a", ""), Tree(&["-a"])),
        ("then a file", |_| new().file(".wh.a", "").file("a", "x"), Tree(&["a=x"])),
        ("after a file", |_| new().file("a", "x").file(".wh.a", ""), Tree(&["a=x"])),
        ("then a directory", |_| new().file(".wh.a", "").dir("a"), Tree(&["a/!"])),
        ("after a directory", |_| new().file("a/b", "x").file(".wh.a", ""), Tree(&["a/!", "a/b=x"])),
        ("then a file below", |_| new().file(".wh.a", "").file("a/b", "x"), Tree(&["a/!", "a/b=x"])),
        ("then a link", |_| new().file(".wh.a", "").symlink("a", "b"), Tree(&["a->b"])),
        ("after a link out", |_| new().symlink("a", "../outside").file(".wh.a", ""), Tree(&["a->../outside"])),
        ("through a link out", |_| new().symlink("l", "../outside").file("l/.wh.passwd", ""), Tree(&["l->../outside", "outside/", "-outside/passwd"])),
        ("through an absolute link out", |out| new().symlink("l", out).file("l/.wh.passwd", ""), Contained),
        ("opaque", |_| new().file("d/.wh..wh..opq", ""), Tree(&["d/!"])),
        ("opaque after a file", |_| new().file("d/a", "x").file("d/.wh..wh..opq", ""), Tree(&["d/!", "d/a=x"])),
        ("opaque before a file", |_| new().file("d/.wh..wh..opq", "").file("d/a", "x"), Tree(&["d/!", "d/a=x"])),
        ("opaque through a link out", |_| new().symlink("l", "../outside").file("l/.wh..wh..opq", ""), Tree(&["l->../outside", "outside/!"])),
        ("opaque, then replaced", |_| new().file("d/.wh..wh..opq", "").symlink("d", "../outside/sub"), Tree(&["d->../outside/sub"])),
        ("opaque, then replaced by another directory", |_| new().file("d/.wh..wh..opq", "").symlink("d", "e").dir("e"), Tree(&["d->e", "e/"])),
        ("of whiteouts", |_| new().file(".wh..wh.a", ""), Tree(&[])),
        ("book-keeping of aufs", |_| new().file(".wh..wh.plnk/1.2", "x").file(".wh..wh.aufs", ""), Tree(&[])),
        ("an odd name", |_| new().file(".wh....", ""), Tree(&["-..."])),
        ("a plain name", |_| new().file(".wha", "x").file("a.wh.b", "y"), Tree(&[".wha=x", "a.wh.b=y"])),
        ("of nothing", |_| new().file(".wh.", ""), Name(NameRule::Whiteout)),
        ("of the directory", |_| new().file("d/.wh..", ""), Name(NameRule::Whiteout)),
        ("of the directory above", |_| new().file("d/.wh...", ""), Name(NameRule::Whiteout)),
        ("as a parent", |_| new().file(".wh.a/b", ""), Name(NameRule::Whiteout)),
    ]);
}

#[test]
#[rustfmt::skip]
fn no_device_is_made() {
    check(&[
        ("a disk", |_| new().device(b'4', "sda", 8, 0), Tree(&["-sda"])),
        ("memory", |_| new().device(b'3', "mem", 1, 1), Tree(&["-mem"])),
        ("over a file", |_| new().file("a", "x").device(b'3', "a", 1, 3), Tree(&["-a"])),
        ("then a file", |_| new().device(b'3', "a", 1, 3).file("a", "x"), Tree(&["a=x"])),
        ("numbers out of range", |_| new().entry(&Header::new(b'3', b"a").set(329, b"777777777777777"), b""), Tree(&["-a"])),
        ("over a directory", |_| new().file("a/b", "x").device(b'4', "a", 8, 0), Tree(&["-a"])),
        ("through a link out", |_| new().symlink("l", "../outside").device(b'4', "l/disk", 8, 0), Tree(&["l->../outside", "outside/", "-outside/disk"])),
        ("a fifo is no device", |_| new().entry(&Header::new(b'6', b"a"), b""), Tree(&["a|"])),
    ]);
}

#[test]
#[rustfmt::skip]
fn the_last_of_a_name_wins() {
    check(&[
        ("file, file", |_| new().file("a", "long").file("a", "x"), Tree(&["a=x"])),
        ("file, directory", |_| new().file("a", "x").dir("a").file("a/b", "y"), Tree(&["a/", "a/b=y"])),
        ("directory, file", |_| new().file("a/b/c", "x").file("a", "y"), Tree(&["a=y"])),
        ("directory, file, directory", |_| new().file("a/b", "x").file("a", "y").file("a/c", ""), Entry(EntryRule::ParentNotADirectory)),
        ("directory, directory", |_| new().file("a/b", "x").entry(&Header::new(b'5', b"a").mode(0o1700), b""), Tree(&["a/ 1700", "a/b=x"])),
        ("directory, link", |_| new().file("a/b/c/d", "x").symlink("a", "b"), Tree(&["a->b"])),
        ("link, link", |_| new().symlink("a", "b").symlink("a", "c"), Tree(&["a->c"])),
        ("link, hard link", |_| new().symlink("a", "b").file("c", "x").hard_link("a", "c"), Tree(&["a=x", "c==a"])),
        ("fifo, file", |_| new().entry(&Header::new(b'6', b"a"), b"").file("a", "x"), Tree(&["a=x"])),
        ("names that differ in slashes", |_| new().file("a", "x").file("./a", "y").file("//a", "z"), Tree(&["a=z"])),
        ("a directory without a mode", |_| new().entry(&Header::new(b'5', b"a").mode(0), b"").file("a/b", "x"), Tree(&["a/ 0", "a/b=x"])),
    ]);
}

#[test]
#[rustfmt::skip]
fn sizes_are_bounded_before_they_are_read() {
    check(&[
        ("8 EiB", |_| new().entry(&Header::new(b'0', b"a").set(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), b""), TooLarge(Limit::LogicalBytes)),
        ("8 EiB by PAX", |_| new().pax(&[("size", b"9223372036854775807")]).file("a", ""), TooLarge(Limit::LogicalBytes)),
        ("16 EiB by PAX", |_| new().pax(&[("size", b"18446744073709551615")]).file("a", ""), TooLarge(Limit::LogicalBytes)),
        ("64 GiB", |_| new().pax(&[("size", b"68719476736")]).file("a", ""), TooLarge(Limit::LogicalBytes)),
        ("a hole of 8 EiB", |_| new().entry(&Header::new(b'S', b"a").gnu().set(483, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), b""), TooLarge(Limit::LogicalBytes)),
        ("five holes of 8 GiB", |_| (0..5).fold(new(), |it, n| it.entry(&Header::new(b'S', &[b'a' + n]).gnu().set(483, b"77777777777\0"), b"")), TooLarge(Limit::LogicalBytes)),
        ("too many attributes", |_| { let names: Vec<_> = (0..65).map(|n| format!("SCHILY.xattr.user.{n}")).collect(); let records: Vec<_> = names.iter().map(|name| (name.as_str(), &b"v"[..])).collect(); new().pax(&records).file("a", "") }, TooLarge(Limit::Attributes)),
        ("a huge attribute", |_| new().pax(&[("SCHILY.xattr.user.a", &[b'v'; 65_537])]).file("a", ""), TooLarge(Limit::Attributes)),
        ("a huge long name", |_| new().extension(b'L', &vec![b'n'; (1 << 20) + 1]).file("a", ""), TooLarge(Limit::ExtensionBytes)),
        ("a huge PAX header", |_| new().pax(&[("comment", &vec![b'c'; 2 << 20])]).file("a", ""), TooLarge(Limit::ExtensionBytes)),
    ]);
}
