//! An OIDC issuer on loopback: it serves what says where its keys are, and its keys, over HTTPS by an
//! authority of its own, and signs whatever a test asks for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// Bytes of a request.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running issuer.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    ca: String,
    key: EcdsaKeyPair,
    asked: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Issuer {
    /// Starts one on a port of its own.
    #[must_use]
    pub fn start() -> Self {
        let (ca, tls) = tls();
        let random = SystemRandom::new();
        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, ends) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let server = Server {
            tls,
            keys: keys(&key),
            url: url(address),
            asked: Arc::clone(&asked),
            ends: Arc::clone(&ends),
        };
        let thread = std::thread::spawn(move || server.run(&listener));
        Self {
            address,
            ca,
            key,
            asked,
            ends,
            thread: Some(thread),
        }
    }

    /// What it calls itself.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// The authority of its certificate, in PEM.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// How many requests it has answered.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A token that it has signed, with a header of the test's own.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.unwrap());
        format!("{message}.{signature}")
    }

    /// A token for the audience `burstlet` that is valid for decades, with more claims.
    #[must_use]
    pub fn token(&self, more: &Value) -> String {
        let mut claims = json!({
            "iss": self.url(), "aud": "burstlet", "sub": "alice", "exp": 4_102_444_800_u64,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.sign(&json!({"alg": "ES256", "kid": "es"}), &claims)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Wakes the thread, which looks whether it is to end.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Server {
    tls: Arc<ServerConfig>,
    keys: Value,
    url: String,
    asked: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
}

impl Server {
    fn run(&self, listener: &TcpListener) {
        for client in listener.incoming().flatten() {
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            // Who breaks off is none of ours.
            let _ = self.answer(client);
        }
    }

    fn answer(&self, client: TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        let connection = ServerConnection::new(Arc::clone(&self.tls));
        let connection = connection.map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, client);
        let mut request = Vec::new();
        let mut piece = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let count = stream.read(&mut piece)?;
            if count == 0 || request.len() > REQUEST_BYTES_MAX {
                return Ok(());
            }
            request.extend_from_slice(piece.get(..count).unwrap_or_default());
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (status, body) = match String::from_utf8_lossy(&request).split(' ').nth(1) {
            Some("/.well-known/openid-configuration") => {
                let keys = format!("{}/keys", self.url);
                ("200 OK", json!({"issuer": self.url, "jwks_uri": keys}))
            }
            Some("/keys") => ("200 OK", self.keys.clone()),
            _ => ("404 Not Found", json!({})),
        };
        let body = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        )?;
        stream.conn.send_close_notify();
        stream.flush()
    }
}

fn url(address: SocketAddr) -> String {
    format!("https://localhost:{}", address.port())
}

fn keys(key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    json!({"keys": [{
        "kty": "EC", "crv": "P-256", "kid": "es", "use": "sig", "alg": "ES256",
        "x": coordinate(1..33), "y": coordinate(33..65),
    }]})
}

/// An authority's certificate in PEM, and a server of it for `localhost`.
fn tls() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = CertifiedIssuer::self_signed(params, key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (authority.pem(), Arc::new(config))
}
