//! What a container's spec asks to be mounted, as the kernel takes it. Pure.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use oci_spec::runtime::Mount;

use crate::sys::mounts::NewFs;

/// One mount in the container.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Where, as the container sees it.
    pub(super) destination: PathBuf,
    /// What.
    pub(super) what: What,
}

/// What is mounted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A file system of its own.
    Fs(NewFs),
    /// What is at `source` now, with all that is mounted there.
    Bind {
        /// Where the keeper has it.
        source: PathBuf,
        /// What holds for the top mount from now on (`MOUNT_ATTR_…`).
        attributes: u64,
    },
}

/// The kinds of file systems that are made here.
const KINDS: [&str; 5] = ["proc", "tmpfs", "devpts", "mqueue", "sysfs"];

/// The mount as a step, or `None` if there is anything about it that is not known here.
pub(super) fn step(mount: &Mount) -> Option<Step> {
    let no_ids = |ids: &Option<Vec<_>>| ids.as_ref().is_none_or(Vec::is_empty);
    if !no_ids(mount.uid_mappings()) || !no_ids(mount.gid_mappings()) {
        return None;
    }
    let options = mount.options().as_deref().unwrap_or_default();
    let source = mount.source().as_ref()?;
    let kind = mount.typ().as_deref()?;
    let what = if kind == "bind" {
        let source = source.clone();
        bind_attributes(options).map(|attributes| What::Bind { source, attributes })?
    } else {
        let kind = KINDS.contains(&kind).then(|| text(kind.as_bytes()))??;
        let source = text(source.as_os_str().as_bytes())?;
        What::Fs(file_system(kind, source, options)?)
    };
    Some(Step {
        destination: mount.destination().clone(),
        what,
    })
}

/// A bind takes all that is mounted below, and keeps to this mount namespace, as every mount here.
fn bind_attributes(options: &[String]) -> Option<u64> {
    options.iter().try_fold(0, |attributes, option| {
        let more = match option.as_str() {
            "rbind" | "rprivate" | "rw" => 0,
            other => attribute(other)?,
        };
        Some(attributes | more)
    })
}

fn file_system(kind: CString, source: CString, options: &[String]) -> Option<NewFs> {
    let mut made = NewFs {
        kind,
        source,
        options: Vec::new(),
        attributes: 0,
    };
    for option in options {
        if let Some(attribute) = attribute(option) {
            made.attributes |= attribute;
        } else if let Some((name, value)) = option.split_once('=') {
            let value = text(value.as_bytes())?;
            made.options.push((text(name.as_bytes())?, Some(value)));
        } else {
            match option.as_str() {
                "rw" => {}
                "newinstance" => made.options.push((c"newinstance".to_owned(), None)),
                _ => return None,
            }
        }
    }
    Some(made)
}

/// Options that take something away. Those that would give it back are not known here.
fn attribute(option: &str) -> Option<u64> {
    Some(match option {
        "ro" => libc::MOUNT_ATTR_RDONLY,
        "nosuid" => libc::MOUNT_ATTR_NOSUID,
        "nodev" => libc::MOUNT_ATTR_NODEV,
        "noexec" => libc::MOUNT_ATTR_NOEXEC,
        "strictatime" => libc::MOUNT_ATTR_STRICTATIME,
        _ => return None,
    })
}

fn text(bytes: &[u8]) -> Option<CString> {
    CString::new(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn mount(kind: &str, source: &str, options: &[&str]) -> Mount {
        let mut mount = Mount::default();
        let options = options.iter().map(|o| (*o).to_owned()).collect();
        mount
            .set_destination("/there".into())
            .set_typ(Some(kind.to_owned()))
            .set_source(Some(source.into()))
            .set_options(Some(options));
        mount
    }

    #[test]
    fn file_systems_keep_their_options_and_give_up_rights() {
        let made = step(&mount(
            "tmpfs",
            "shm",
            &["nosuid", "ro", "mode=1777", "size=64k", "strictatime"],
        ));
        let What::Fs(fs) = made.unwrap().what else {
            panic!("not a file system")
        };
        let option =
            |name: &str, value: &str| (text(name.as_bytes()).unwrap(), text(value.as_bytes()));
        assert_eq!(fs.options, [option("mode", "1777"), option("size", "64k")]);
        let expected =
            libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_STRICTATIME;
        assert_eq!(fs.attributes, expected);
        assert_eq!(
            (fs.kind.as_c_str(), fs.source.as_c_str()),
            (c"tmpfs", c"shm")
        );
        let pts = step(&mount("devpts", "devpts", &["newinstance", "gid=5"])).unwrap();
        let What::Fs(fs) = pts.what else {
            panic!("not a file system")
        };
        assert_eq!(
            fs.options,
            [(c"newinstance".to_owned(), None), option("gid", "5")]
        );
    }

    #[test]
    fn binds_are_deep_and_private() {
        let made = step(&mount(
            "bind",
            "/stage/c/a/m0",
            &["rbind", "rprivate", "nodev", "ro"],
        ));
        let expected = What::Bind {
            source: "/stage/c/a/m0".into(),
            attributes: libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_RDONLY,
        };
        assert_eq!(made.unwrap().what, expected);
    }

    #[test]
    fn what_is_not_known_here_is_not_done_here() {
        let unknown = [
            ("bind", &["bind"][..]),
            ("bind", &["rbind", "rslave"]),
            ("bind", &["rbind", "rro"]),
            ("bind", &["rbind", "exec"]),
            ("tmpfs", &["tmpcopyup"]),
            ("tmpfs", &["suid"]),
            ("cgroup", &[]),
            ("ext4", &[]),
        ];
        for (kind, options) in unknown {
            assert_eq!(step(&mount(kind, "x", options)), None, "{kind} {options:?}");
        }
    }
}
