//! What must be kept on disk and is nobody's to read there: sealed under a key of this host.
//!
//! A group's definition may hold secrets, passwords of registries and values of variables, and the
//! next agent needs them. So they are on disk, but a copy of the state directory alone, in a backup
//! or on a disk that was given away, tells nothing when the key is kept elsewhere: as the systemd
//! credential `burstlet-host-key`. Without one, the agent makes a key file in the state directory,
//! which keeps the secrets out of what single files show, and no more.
//!
//! What is sealed is bound to what it is of, so that nobody can put one group's in the place of
//! another's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::records::replace_durably;

const KEY_BYTES: usize = 32;
/// The key file in the state directory.
const FILE: &str = "host.key";
/// The credential's name in the directory that systemd names.
const CREDENTIAL: &str = "burstlet-host-key";
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Seals and opens.
pub(crate) struct Vault {
    key: LessSafeKey,
    random: SystemRandom,
}

/// Why there is no key, or something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    /// The key cannot be read, or a new one not be written.
    #[error("read or make the host's key {path}")]
    Io { path: PathBuf, source: io::Error },
    /// The key is not one.
    #[error("the host's key {path} has {found} bytes and must have {KEY_BYTES}")]
    Length { path: PathBuf, found: usize },
    /// There is no key, and there is something to be opened with it.
    #[error(
        "the host's key {path} is gone, and groups' records are sealed under it: put it back, give it as the credential {CREDENTIAL}, or uninstall"
    )]
    Gone { path: PathBuf },
    /// The kernel gave no random bytes.
    #[error("get random bytes")]
    Random,
    /// What is to be opened is damaged, of something else, or sealed under another key.
    #[error("cannot be opened with this host's key")]
    Closed,
}

impl Vault {
    /// Reads the host's key, or makes one if there is none and nothing `is_sealed` yet. Blocks.
    ///
    /// # Errors
    /// The key cannot be read or made, or is gone.
    pub(crate) fn open(
        state_dir: &Path,
        is_sealed: impl FnOnce() -> bool,
    ) -> Result<Self, VaultError> {
        let credentials = std::env::var_os(CREDENTIALS_DIRECTORY);
        let credential = credentials.map(|dir| Path::new(&dir).join(CREDENTIAL));
        let path = credential
            .filter(|path| path.exists())
            .unwrap_or_else(|| state_dir.join(FILE));
        match fs::read(&path) {
            Ok(bytes) => Self::with(&bytes, &path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(VaultError::Io {
                path,
                source: error,
            }),
            Err(_) if is_sealed() => Err(VaultError::Gone { path }),
            Err(_) => Self::make(state_dir, &path),
        }
    }

    /// A key for this process only: it opens nothing.
    ///
    /// # Errors
    /// There are no random bytes.
    pub(crate) fn throwaway() -> Result<Self, VaultError> {
        Self::with(&new_key()?, Path::new(FILE))
    }

    fn make(state_dir: &Path, path: &Path) -> Result<Self, VaultError> {
        let key = new_key()?;
        replace_durably(state_dir, FILE, &key).map_err(|source| VaultError::Io {
            path: path.to_owned(),
            source,
        })?;
        tracing::info!(path = %path.display(), "made the host's key");
        Self::with(&key, path)
    }

    fn with(bytes: &[u8], path: &Path) -> Result<Self, VaultError> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| VaultError::Length {
            path: path.to_owned(),
            found: bytes.len(),
        })?;
        Ok(Self {
            key: LessSafeKey::new(key),
            random: SystemRandom::new(),
        })
    }

    /// Seals `plain`, which is `about` something, as text.
    ///
    /// # Errors
    /// There are no random bytes.
    pub(crate) fn seal(&self, about: &str, plain: &[u8]) -> Result<String, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| VaultError::Random)?;
        let mut sealed = plain.to_vec();
        // Random numbers of 96 bits are told apart for far more records than a host ever writes.
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(about.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| VaultError::Random)?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what [`Vault::seal`] sealed about the same.
    ///
    /// # Errors
    /// It is damaged, about something else, or sealed under another key.
    pub(crate) fn unseal(&self, about: &str, sealed: &str) -> Result<Vec<u8>, VaultError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| VaultError::Closed)?;
        let (nonce, rest) = bytes
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(VaultError::Closed)?;
        let mut rest = rest.to_vec();
        let opened = self.key.open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(about.as_bytes()),
            &mut rest,
        );
        opened
            .map(|plain| plain.to_vec())
            .map_err(|_| VaultError::Closed)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

fn new_key() -> Result<[u8; KEY_BYTES], VaultError> {
    let mut key = [0; KEY_BYTES];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| VaultError::Random)?;
    Ok(key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_the_next_agent_and_for_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path(), || false).unwrap();
        let sealed = vault.seal("group a", b"secret").unwrap();
        assert_ne!(sealed, vault.seal("group a", b"secret").unwrap());
        let next = Vault::open(dir.path(), || true).unwrap();
        assert_eq!(next.unseal("group a", &sealed).unwrap(), b"secret");
        let mut damaged = STANDARD.decode(&sealed).unwrap();
        damaged[NONCE_LEN] ^= 1;
        let damaged = STANDARD.encode(damaged);
        for (about, text) in [
            ("group b", sealed.as_str()),
            ("group a", damaged.as_str()),
            ("group a", "c2hvcnQ="),
            ("group a", "no base64"),
            ("group a", ""),
        ] {
            let opened = next.unseal(about, text);
            assert!(matches!(opened, Err(VaultError::Closed)), "{about} {text}");
        }
    }

    #[test]
    fn the_key_is_closed_to_others_and_never_replaced_in_silence() {
        let dir = tempfile::tempdir().unwrap();
        Vault::open(dir.path(), || false).unwrap();
        let path = dir.path().join(FILE);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        let short = Vault::open(dir.path(), || false);
        assert!(matches!(short, Err(VaultError::Length { found: 5, .. })));
        fs::remove_file(&path).unwrap();
        let gone = Vault::open(dir.path(), || true);
        assert!(matches!(gone, Err(VaultError::Gone { .. })));
        assert!(!path.exists());
    }
}
