//! What a side of `cp` names.

use std::path::PathBuf;
use std::str::FromStr;

/// A side of `cp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A path here.
    Local(PathBuf),
    /// A path in a container.
    Remote(Remote),
    /// An archive on standard input or output.
    Stream,
}

/// A path in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) group: String,
    pub(super) path: String,
}

impl FromStr for Place {
    type Err = String;

    /// As with docker: what begins with `.` or `/` or has no colon is here.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "-" => Ok(Self::Stream),
            _ if text.starts_with(['.', '/']) => Ok(Self::Local(text.into())),
            Some(("", _)) => Err("a group's name comes before the colon".to_owned()),
            Some((_, "")) => Err("a path comes after the colon".to_owned()),
            Some((group, path)) => Ok(Self::Remote(Remote {
                group: group.to_owned(),
                path: path.to_owned(),
            })),
            None if text.is_empty() => Err("a path is not empty".to_owned()),
            None => Ok(Self::Local(text.into())),
        }
    }
}

impl Remote {
    /// The directory, and the name in it; `.` for all that a directory holds.
    pub(super) fn split(&self) -> (&str, &str) {
        let path = self.path.trim_end_matches('/');
        match path.rsplit_once('/') {
            _ if path.is_empty() => ("/", "."),
            Some(("", name)) => ("/", name),
            Some((parent, name)) => (parent, name),
            None => (".", path),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn sides_are_here_or_there() {
        let read = |text: &str| text.parse::<Place>();
        let remote = |group: &str, path: &str| {
            Ok(Place::Remote(Remote {
                group: group.to_owned(),
                path: path.to_owned(),
            }))
        };
        assert_eq!(read("web:/etc"), remote("web", "/etc"));
        assert_eq!(read("team/web:etc/a:b"), remote("team/web", "etc/a:b"));
        for text in ["/a:b", "./a:b", "../x", "file", "dir/file"] {
            assert_eq!(read(text), Ok(Place::Local(text.into())));
        }
        assert_eq!(read("-"), Ok(Place::Stream));
        for text in [":x", "web:", ""] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_split_for_tar() {
        let split = |path: &str| {
            let remote = Remote {
                group: String::new(),
                path: path.to_owned(),
            };
            let (parent, name) = remote.split();
            format!("{parent} {name}")
        };
        let paths = ["/etc/passwd", "/etc/", "/etc", "/", "a/b", "a", "/etc/."];
        let expected = [
            "/etc passwd",
            "/ etc",
            "/ etc",
            "/ .",
            "a b",
            ". a",
            "/etc .",
        ];
        assert_eq!(paths.map(split), expected);
    }
}
