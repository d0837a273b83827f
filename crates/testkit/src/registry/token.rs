//! A token server: a name and a password against a signed right to pull.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;

use super::{PASSWORD, USERNAME};

/// What the registry calls itself.
pub(super) const SERVICE: &str = "test-registry";
/// What the token server calls itself.
pub(super) const ISSUER: &str = "test-issuer";
const HEADER_BYTES_MAX: u64 = 16 << 10;
const READ_DEADLINE: Duration = Duration::from_secs(5);
/// Tokens are valid through any test, and any clock that runs it.
const NOT_BEFORE_S: u64 = 1_600_000_000;
const EXPIRES_S: u64 = 4_000_000_000;

/// A running token server; dropping it ends it.
pub(super) struct TokenServer {
    address: SocketAddr,
    certificate: PathBuf,
    given: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TokenServer {
    pub(super) fn start(dir: &Path) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![ISSUER.to_owned()])?.self_signed(&key)?;
        let file = dir.join("token.pem");
        fs::write(&file, certificate.pem())?;
        let signer = Signer::new(&key, certificate.der())?;
        let (given, stop) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, stopped) = (given.clone(), stop.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that breaks off is the client's affair.
                if let Ok(true) = stream
                    .map_err(anyhow::Error::from)
                    .and_then(|stream| answer(&stream, &signer))
                {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Ok(Self {
            address,
            certificate: file,
            given,
            stop,
            thread: Some(thread),
        })
    }

    pub(super) fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    pub(super) fn certificate(&self) -> &Path {
        &self.certificate
    }

    pub(super) fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // A last connection wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers one request; whether a token was given.
fn answer(mut stream: &TcpStream, signer: &Signer) -> Result<bool> {
    stream.set_read_timeout(Some(READ_DEADLINE))?;
    let mut lines = BufReader::new(stream.try_clone()?.take(HEADER_BYTES_MAX)).lines();
    let request = lines.next().context("no request line")??;
    let mut authorization = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = Some(value.to_owned());
        }
    }
    let expected = format!(
        "Basic {}",
        STANDARD.encode(format!("{USERNAME}:{PASSWORD}"))
    );
    let granted = authorization.as_deref() == Some(expected.as_str());
    let (status, body) = if granted {
        (
            "200 OK",
            json!({"token": signer.token(&repository_of(&request)?)?, "expires_in": 300}),
        )
    } else {
        (
            "401 Unauthorized",
            json!({"errors": [{"code": "UNAUTHORIZED"}]}),
        )
    };
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    Ok(granted)
}

/// The repository of `GET /token?scope=repository:NAME:pull&… HTTP/1.1`.
fn repository_of(request: &str) -> Result<String> {
    let query = request
        .split(['?', ' '])
        .nth(2)
        .context("a request without a query")?;
    let scope = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("scope="));
    let scope = scope
        .context("a request without a scope")?
        .replace("%3A", ":")
        .replace("%2F", "/");
    let mut parts = scope.split(':');
    let (kind, name, action) = (parts.next(), parts.next(), parts.next());
    ensure!(
        kind == Some("repository") && action == Some("pull"),
        "the scope is {scope}"
    );
    Ok(name.unwrap_or_default().to_owned())
}

struct Signer {
    key: EcdsaKeyPair,
    certificate: String,
    random: SystemRandom,
}

impl Signer {
    fn new(key: &KeyPair, certificate: &[u8]) -> Result<Self> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &key.serialize_der(),
            &random,
        );
        let key = key.ok().context("the key is one of ECDSA P-256")?;
        Ok(Self {
            key,
            certificate: STANDARD.encode(certificate),
            random,
        })
    }

    /// A JSON web token for a pull from `repository`.
    fn token(&self, repository: &str) -> Result<String> {
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let claims = json!({
            "iss": ISSUER, "sub": USERNAME, "aud": SERVICE, "jti": "1",
            "iat": NOT_BEFORE_S, "nbf": NOT_BEFORE_S, "exp": EXPIRES_S,
            "access": [{"type": "repository", "name": repository, "actions": ["pull"]}],
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&self.random, signed.as_bytes());
        let signature = signature.ok().context("sign a token")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
