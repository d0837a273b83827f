//! Every way that a path may lead out by, with everything that may be done by such a path.

use burstlet_image::unpack::{EntryRule, LayerFault, NameRule, UnpackError};

use super::support::archive::{Archive, Header};
use super::support::{Stage, blob, config};
use super::{at, header, links};

/// How a path comes to lead to the canaries: what makes it so, and the path.
type Way = (&'static str, fn(&str) -> (Archive, String));
/// What is done by such a path.
type Act = (&'static str, fn(Archive, &str) -> Archive);

fn linked(target: &str) -> (Archive, String) {
    (Archive::new().symlink("l", target), "l".to_owned())
}

#[rustfmt::skip]
const WAYS: &[Way] = &[
    ("an absolute link", |out| linked(out)),
    ("a relative link", |_| linked("../outside")),
    ("a link far up and down", |out| linked(&format!("{}{out}", "../".repeat(40)))),
    ("a link through the process", |_| linked("/proc/self/cwd/../outside")),
    ("a link to a link", |_| (Archive::new().symlink("b", "../outside").symlink("a", "b"), "a".to_owned())),
    ("a hard link to a link", |_| (linked("../outside").0.hard_link("h", "l"), "h".to_owned())),
    ("a link below a directory", |_| (Archive::new().dir("d/e").symlink("d/e/l", "../../../outside"), "d/e/l".to_owned())),
    ("a link that was a directory", |_| (Archive::new().file("a/sub/x", "x").symlink("a", "../outside"), "a".to_owned())),
    ("a link that was hidden", |_| (Archive::new().file(".wh.l", "").symlink("l", "../outside"), "l".to_owned())),
    ("a link through a link up", |_| (Archive::new().symlink("u", "..").symlink("l", "u/outside"), "l".to_owned())),
    ("a link by an extended header", |out| (Archive::new().pax(&[("linkpath", out.as_bytes())]).entry(&Header::new(b'2', b"l"), b""), "l".to_owned())),
    ("an absolute name", |out| (Archive::new(), out.to_owned())),
    ("a name with dots", |out| (Archive::new(), format!("/.{out}/.")),),
    ("a name that goes up", |_| (Archive::new().dir("d"), "d/../../outside".to_owned())),
];

#[rustfmt::skip]
const ACTS: &[Act] = &[
    ("replaces a file", |it, p| it.file(format!("{p}/passwd"), "x")),
    ("makes a file", |it, p| it.file(format!("{p}/new"), "x")),
    ("makes a file further down", |it, p| it.file(format!("{p}/sub/canary"), "x")),
    ("makes directories", |it, p| it.dir(format!("{p}/sub/a/b"))),
    ("changes a directory", |it, p| at(it, b'5', &format!("{p}/sub"))),
    ("changes the directory itself", |it, p| at(it, b'5', p)),
    ("changes a file", |it, p| at(it, b'0', &format!("{p}/passwd"))),
    ("replaces a file by a link", |it, p| it.symlink(format!("{p}/passwd"), "/etc/shadow")),
    ("replaces a directory by a link", |it, p| it.symlink(format!("{p}/sub"), "/etc")),
    ("links a file there", |it, p| it.file("own", "x").hard_link(format!("{p}/passwd"), "own")),
    ("links a file from there", |it, p| it.hard_link("stolen", format!("{p}/passwd"))),
    ("makes a fifo", |it, p| at(it, b'6', &format!("{p}/passwd"))),
    ("makes a device", |it, p| at(it, b'4', &format!("{p}/passwd"))),
    ("hides a file", |it, p| it.file(format!("{p}/.wh.passwd"), "")),
    ("hides a directory", |it, p| it.file(format!("{p}/.wh.sub"), "")),
    ("hides all that is there", |it, p| it.file(format!("{p}/.wh..wh..opq"), "")),
    ("sets an attribute", |it, p| {
        let path = format!("{p}/passwd");
        it.pax(&[("path", path.as_bytes()), ("SCHILY.xattr.user.a", b"b")]).entry(&header(b'0'), b"")
    }),
];

#[test]
fn every_act_by_every_way_out_stays_inside() {
    for (way, lead) in WAYS {
        for (act, done) in ACTS {
            let stage = Stage::new();
            let (archive, path) = lead(&stage.outside().display().to_string());
            let layer = done(archive, &path).end();
            let result = stage.unpack_with(config(), blob(&layer));
            assert_eq!(links(&stage.outside()), 2, "{act} by {way}");
            let goes_up = path.contains("/..");
            let right = match &result {
                Err(UnpackError::Layer(LayerFault::Name { rule, .. })) => {
                    goes_up && *rule == NameRule::DotDot
                }
                Err(UnpackError::Layer(LayerFault::Entry { rule, .. })) => {
                    *act == "links a file from there" && *rule == EntryRule::LinkSourceMissing
                }
                other => other.is_ok() && !goes_up && *act != "links a file from there",
            };
            assert!(right, "{act} by {way}: {result:?}");
        }
    }
}
