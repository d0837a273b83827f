//! Which extended attributes of an image are kept. All others could mean something to overlayfs,
//! to a security module or to the host.

use crate::unpack::fault::{LayerFault, Limit};

/// Attributes of one entry.
const ATTRIBUTES_MAX: usize = 64;
/// The kernel's own bounds.
const NAME_BYTES_MAX: usize = 255;
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Whether the attribute is set; those left out are counted by the caller.
pub(crate) fn kept(name: &[u8], value: &[u8], count: usize) -> Result<bool, LayerFault> {
    let bound = if count > ATTRIBUTES_MAX {
        Some(ATTRIBUTES_MAX)
    } else if name.len() > NAME_BYTES_MAX {
        Some(NAME_BYTES_MAX)
    } else if value.len() > VALUE_BYTES_MAX {
        Some(VALUE_BYTES_MAX)
    } else {
        None
    };
    if let Some(max) = bound {
        return Err(LayerFault::TooLarge {
            limit: Limit::Attributes,
            max: max as u64,
        });
    }
    let user = name.strip_prefix(b"user.");
    let of_overlay = |rest: &[u8]| rest == b"overlay" || rest.starts_with(b"overlay.");
    Ok(name == b"security.capability"
        || user.is_some_and(|rest| !rest.is_empty() && !of_overlay(rest)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_harmless_is_kept() {
        for (name, expected) in [
            (&b"user.mime_type"[..], true),
            (b"user.overlayfs", true),
            (b"security.capability", true),
            (b"user.", false),
            (b"user.overlay", false),
            (b"user.overlay.opaque", false),
            (b"user.overlay.redirect", false),
            (b"trusted.overlay.opaque", false),
            (b"trusted.overlay.metacopy", false),
            (b"trusted.a", false),
            (b"security.selinux", false),
            (b"security.ima", false),
            (b"security.evm", false),
            (b"security.capability.x", false),
            (b"system.posix_acl_access", false),
            (b"system.nfs4_acl", false),
            (b"btrfs.compression", false),
            (b"USER.a", false),
            (b"", false),
        ] {
            assert_eq!(
                kept(name, b"v", 1).unwrap(),
                expected,
                "{}",
                name.escape_ascii()
            );
        }
    }

    #[test]
    fn number_and_size_are_bounded() {
        let long = [&b"user."[..], &[b'n'; 251]].concat();
        assert!(kept(&long, b"", 1).is_err());
        assert!(kept(&long[..255], b"", 1).unwrap());
        assert!(kept(b"user.a", &vec![0; VALUE_BYTES_MAX + 1], 1).is_err());
        assert!(kept(b"user.a", &vec![0; VALUE_BYTES_MAX], ATTRIBUTES_MAX).unwrap());
        assert!(kept(b"user.a", b"", ATTRIBUTES_MAX + 1).is_err());
    }
}
