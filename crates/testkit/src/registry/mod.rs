//! Debian's `docker-registry`, started for one test on a free port of the loopback address.
//!
//! Images are put where the registry keeps them rather than pushed: it serves the same bytes.

mod token;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::image::{Blob, BuiltImage};
use token::TokenServer;

/// The account that a registry with authentication knows.
pub const USERNAME: &str = "tester";
/// Its password.
pub const PASSWORD: &str = "correct horse";
/// [`PASSWORD`] by bcrypt, as `htpasswd -B` writes it.
const PASSWORD_HASH: &str = "$2b$04$oKrbDWZE.RPIg7pmQOwGZO5lcFZ1j/e/XmORdIt4YEATK2grlp1xW";
const START_DEADLINE: Duration = Duration::from_secs(20);
const START_POLL: Duration = Duration::from_millis(20);
/// Another process may take the free port before the registry does.
const STARTS_MAX: u32 = 3;

/// How a registry wants to be spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Who may pull.
    pub auth: Auth,
    /// Whether it speaks TLS under a certificate of its own authority.
    pub tls: bool,
}

/// Who may pull.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Everybody.
    #[default]
    None,
    /// [`USERNAME`] with [`PASSWORD`], by HTTP's basic authentication.
    Basic,
    /// The same, by a token of a token server on another port of the same address.
    Token,
}

/// A running registry; dropping it ends it.
pub struct Registry {
    process: Child,
    address: SocketAddr,
    token_server: Option<TokenServer>,
    dir: TempDir,
}

impl Registry {
    /// A registry for everybody, without TLS.
    ///
    /// # Errors
    /// It does not start.
    pub fn plain() -> Result<Self> {
        Self::start(Options::default())
    }

    /// Starts a registry and waits until it listens.
    ///
    /// # Errors
    /// `docker-registry` is not installed or does not start.
    pub fn start(options: Options) -> Result<Self> {
        let mut last = None;
        for _ in 0..STARTS_MAX {
            match Self::start_once(options) {
                Ok(registry) => return Ok(registry),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt to start docker-registry")?)
    }

    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The certificate of its authority, in PEM; only with TLS.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// `127.0.0.1:PORT/REPOSITORY:TAG`
    #[must_use]
    pub fn reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.address)
    }

    /// The requests that the token server answered, if there is one.
    #[must_use]
    pub fn tokens_given(&self) -> usize {
        self.token_server.as_ref().map_or(0, TokenServer::given)
    }

    /// Puts an image into the registry; its reference.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn push(&self, repository: &str, tag: &str, image: &BuiltImage) -> Result<String> {
        for blob in image.blobs() {
            self.put_blob(repository, blob)?;
        }
        self.put_manifest(repository, tag, &image.manifest)?;
        Ok(self.reference(repository, tag))
    }

    /// Puts a blob into a repository.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn put_blob(&self, repository: &str, blob: &Blob) -> Result<()> {
        self.put_data(blob)?;
        let layers = self
            .repository(repository)
            .join("_layers/sha256")
            .join(blob.hex());
        write(&layers.join("link"), blob.digest.as_bytes())
    }

    /// Puts a manifest or index into a repository and tags it.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn put_manifest(&self, repository: &str, tag: &str, manifest: &Blob) -> Result<()> {
        self.put_data(manifest)?;
        let manifests = self.repository(repository).join("_manifests");
        let tag = manifests.join("tags").join(tag);
        for link in [
            manifests.join("revisions/sha256").join(manifest.hex()),
            tag.join("current"),
            tag.join("index/sha256").join(manifest.hex()),
        ] {
            write(&link.join("link"), manifest.digest.as_bytes())?;
        }
        Ok(())
    }

    fn put_data(&self, blob: &Blob) -> Result<()> {
        let (begin, _) = blob.hex().split_at(2);
        let dir = self
            .storage()
            .join("blobs/sha256")
            .join(begin)
            .join(blob.hex());
        write(&dir.join("data"), &blob.bytes)
    }

    fn storage(&self) -> PathBuf {
        self.dir.path().join("storage/docker/registry/v2")
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.storage().join("repositories").join(name)
    }

    fn start_once(options: Options) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("burstlet-registry-")
            .tempdir()?;
        let address = free_port()?;
        let token_server = match options.auth {
            Auth::Token => Some(TokenServer::start(dir.path())?),
            Auth::None | Auth::Basic => None,
        };
        let config = config(dir.path(), address, options, token_server.as_ref())?;
        let config_file = dir.path().join("config.yml");
        fs::write(&config_file, config)?;
        let log = fs::File::create(dir.path().join("log"))?;
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config_file)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start docker-registry: install the package of this name")?;
        let mut registry = Self {
            process,
            address,
            token_server,
            dir,
        };
        registry.wait_until_listening()?;
        Ok(registry)
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < START_DEADLINE {
            if let Some(status) = self.process.try_wait()? {
                let log = fs::read_to_string(self.dir.path().join("log"))?;
                bail!("docker-registry ended ({status}): {log}");
            }
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            sleep(START_POLL);
        }
        bail!(
            "docker-registry does not listen on {} in time",
            self.address
        )
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It is our own child; whether it ended before does not matter.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config(
    dir: &Path,
    address: SocketAddr,
    options: Options,
    token_server: Option<&TokenServer>,
) -> Result<String> {
    let shown = dir.display();
    let mut text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {shown}/storage\n"
    );
    match options.auth {
        Auth::None => {}
        Auth::Basic => {
            fs::write(
                dir.join("htpasswd"),
                format!("{USERNAME}:{PASSWORD_HASH}\n"),
            )?;
            text += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {shown}/htpasswd\n");
        }
        Auth::Token => {
            let server = token_server.context("token authentication has a token server")?;
            text += &format!(
                "auth:\n  token:\n    realm: {}\n    service: {}\n    issuer: {}\n    rootcertbundle: {}\n",
                server.realm(),
                token::SERVICE,
                token::ISSUER,
                server.certificate().display(),
            );
        }
    }
    text += &format!("http:\n  addr: {address}\n  secret: test\n");
    if options.tls {
        write_certificates(dir)?;
        text +=
            &format!("  tls:\n    certificate: {shown}/server.pem\n    key: {shown}/server.key\n");
    }
    Ok(text)
}

/// An authority, and a server's certificate for the loopback address under it.
fn write_certificates(dir: &Path) -> Result<()> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let server = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    fs::write(dir.join("ca.pem"), authority.pem())?;
    fs::write(dir.join("server.pem"), server.pem())?;
    fs::write(dir.join("server.key"), key.serialize_pem())?;
    Ok(())
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file has a directory")?)?;
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
