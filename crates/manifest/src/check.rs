//! Checks of single texts that several fields share. Each gives the problem in words, or nothing.

use crate::bounds::PATH_BYTES_MAX;

/// The most bytes of a label's value or of a key's name part.
const LABEL_BYTES_MAX: usize = 63;
/// The most bytes of a DNS name.
const DNS_NAME_BYTES_MAX: usize = 253;
/// The most bytes of a port's name.
const PORT_NAME_BYTES_MAX: usize = 15;

pub(crate) fn absolute_path(text: &str) -> Option<&'static str> {
    if text.starts_with('/') {
        path(text)
    } else {
        Some("the path must be absolute")
    }
}

pub(crate) fn relative_path(text: &str) -> Option<&'static str> {
    if text.starts_with('/') {
        Some("the path must be relative")
    } else {
        path(text)
    }
}

fn path(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("the path is empty")
    } else if text.len() > PATH_BYTES_MAX {
        Some("the path is too long")
    } else if text.chars().any(char::is_control) {
        Some("the path has control characters")
    } else if text.split('/').any(|part| part == "..") {
        Some("the path must not have '..'")
    } else {
        None
    }
}

/// A path of a file in a config, secret or downward volume.
pub(crate) fn file_path(text: &str) -> Option<&'static str> {
    relative_path(text).or_else(|| {
        if text.starts_with("..") {
            Some("the path must not start with '..'")
        } else if text.split('/').any(|part| part.is_empty() || part == ".") {
            Some("the path has an empty part or '.'")
        } else if text.split('/').any(|part| part.len() > 255) {
            Some("a part of the path is longer than 255 bytes")
        } else {
            None
        }
    })
}

pub(crate) fn is_dns_label(text: &str) -> bool {
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    matches!(bytes.len(), 1..=LABEL_BYTES_MAX)
        && bytes.iter().all(|b| edge(b) || *b == b'-')
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

pub(crate) fn is_dns_name(text: &str) -> bool {
    text.len() <= DNS_NAME_BYTES_MAX && text.split('.').all(is_dns_label)
}

/// A host as a URL has it: a name, in any case, or an address.
pub(crate) fn is_host(text: &str) -> bool {
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<std::net::IpAddr>().is_ok() || is_dns_name(&text.to_ascii_lowercase())
}

/// A key of labels or annotations: `[prefix/]name`.
pub(crate) fn is_qualified_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_name(prefix) && is_label_text(name),
        None => is_label_text(text),
    }
}

/// The value of a label; may be empty.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_text(text)
}

fn is_label_text(text: &str) -> bool {
    let edge = |b: &u8| b.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    matches!(bytes.len(), 1..=LABEL_BYTES_MAX)
        && bytes
            .iter()
            .all(|b| edge(b) || matches!(b, b'-' | b'_' | b'.'))
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

/// A key of a ConfigMap or Secret.
pub(crate) fn is_data_key(text: &str) -> bool {
    matches!(text.len(), 1..=DNS_NAME_BYTES_MAX)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && text != "."
        && !text.starts_with("..")
}

/// A port's name: letters, digits and single `-` within, at least one letter.
pub(crate) fn is_port_name(text: &str) -> bool {
    text.len() <= PORT_NAME_BYTES_MAX
        && is_dns_label(text)
        && !text.contains("--")
        && text.bytes().any(|b| b.is_ascii_lowercase())
}

/// An environment variable's name: printable ASCII but `=`.
pub(crate) fn is_env_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'=')
}

/// The name of one file in a directory.
pub(crate) fn is_file_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains('/') && is_one_line(text)
}

/// Text that fits on one line of a log or header.
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// The name of an HTTP header (RFC 9110's token).
pub(crate) fn is_header_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for good in ["/a", "/", "/a/b.c", "/a..b"] {
            assert_eq!(absolute_path(good), None, "{good}");
        }
        for bad in ["", "a", "/..", "/a/../b", "/a\nb"] {
            assert!(absolute_path(bad).is_some(), "{bad:?}");
        }
        for good in ["a", "a/b", "..a/b", "a/..b"] {
            assert_eq!(relative_path(good), None, "{good}");
        }
        for bad in ["", "/a", "..", "a/../b"] {
            assert!(relative_path(bad).is_some(), "{bad:?}");
        }
        for bad in ["..a", "a//b", "./a", "a/", "..data"] {
            assert!(file_path(bad).is_some(), "{bad:?}");
        }
        assert_eq!(file_path("a/b"), None);
    }

    /// A check, what passes it, and what does not.
    type Row = (
        fn(&str) -> bool,
        &'static [&'static str],
        &'static [&'static str],
    );

    #[test]
    fn names() {
        let table: [Row; 6] = [
            (
                is_qualified_key,
                &["a", "a.b/c", "A_b"],
                &["", "/a", "a/", "A/b/c", "-a", "a b"],
            ),
            (is_label_value, &["", "a", "1.2-3_x"], &["-", "a b", "ä"]),
            (
                is_data_key,
                &["a", ".a", "A.b_c-d"],
                &["", ".", "..", "..a", "a/b"],
            ),
            (
                is_port_name,
                &["http", "a-1"],
                &["", "80", "a--b", "A", "abcdefghijklmnop"],
            ),
            (is_env_name, &["A", "a.b", "A B"], &["", "A=B", "Ä", "A\n"]),
            (
                is_host,
                &["a", "A.example", "10.0.0.1", "::1", "[::1]"],
                &["", "a b", "a/b", "-"],
            ),
        ];
        for (valid, good, bad) in table {
            for text in good {
                assert!(valid(text), "{text:?}");
            }
            for text in bad {
                assert!(!valid(text), "{text:?}");
            }
        }
    }
}
