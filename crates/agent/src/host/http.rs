//! One HTTP request into a group, as probes and hooks make it: over a connection made inside the
//! group's network, following redirects on the same host only, reading a bounded body.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use burstlet_model::spec::{HttpGet, HttpScheme};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, LOCATION, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Redirects followed, as a kubelet does.
const REDIRECTS_MAX: u32 = 10;
/// Body read, as a kubelet does.
const BODY_BYTES_MAX: usize = 10 << 10;
/// Of the body, shown to people.
const SHOWN_BYTES_MAX: usize = 256;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The request cannot be made from what the specification says.
    #[error("make the request for {url}: {problem}")]
    Request { url: String, problem: String },
    /// The other side speaks no HTTP, or broke off.
    #[error("speak HTTP with {address}: {problem}")]
    Protocol {
        address: SocketAddr,
        problem: String,
    },
    /// No connection, in the words of who tried: they name the address.
    #[error("{0}")]
    Connect(String),
    /// Names are resolved by the group, and the agent is not in it.
    #[error("{0:?} is not an IP address: probes and hooks take addresses only")]
    Name(String),
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The beginning of the body, for people.
    pub(super) shown: String,
}

impl Answer {
    /// Whether a probe counts it as success.
    pub(super) fn is_success(&self) -> bool {
        (200..400).contains(&self.status.as_u16())
    }
}

/// Where a request or probe connects to: the host given, else the group's own address.
pub(super) fn target(host: Option<&str>, port: u16, own: IpAddr) -> Result<SocketAddr, HttpError> {
    let ip = match host {
        None => own,
        Some("localhost") => IpAddr::from([127, 0, 0, 1]),
        Some(host) => host.parse().map_err(|_| HttpError::Name(host.to_owned()))?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// Makes the request. `dial` connects from inside the group's network.
pub(super) async fn get<D, F>(get: &HttpGet, own: IpAddr, dial: D) -> Result<Answer, HttpError>
where
    D: Fn(SocketAddr) -> F,
    F: Future<Output = Result<TcpStream, String>>,
{
    let address = target(get.host.as_deref(), get.port, own)?;
    let mut path = get.path.clone();
    for _ in 0..=REDIRECTS_MAX {
        let stream = dial(address).await.map_err(HttpError::Connect)?;
        let request = request(get, &path, address)?;
        let (answer, location) = match get.scheme {
            HttpScheme::Http => exchange(stream, request, address).await?,
            HttpScheme::Https => exchange(tls(stream, address).await?, request, address).await?,
        };
        match location.and_then(|location| same_host(&location, address)) {
            Some(next) if answer.status.is_redirection() => path = next,
            _ => return Ok(answer),
        }
    }
    let problem = format!("more than {REDIRECTS_MAX} redirects");
    Err(HttpError::Protocol { address, problem })
}

fn request(
    get: &HttpGet,
    path: &str,
    address: SocketAddr,
) -> Result<Request<Empty<Bytes>>, HttpError> {
    let mut builder = Request::builder().method(Method::GET).uri(path);
    let has = |name: &str| {
        get.headers
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(name))
    };
    if !has(HOST.as_str()) {
        builder = builder.header(HOST, address.to_string());
    }
    if !has(USER_AGENT.as_str()) {
        builder = builder.header(
            USER_AGENT,
            concat!("burstlet-probe/", env!("CARGO_PKG_VERSION")),
        );
    }
    if !has("accept") {
        builder = builder.header("accept", "*/*");
    }
    for (name, value) in &get.headers {
        builder = builder.header(name, value);
    }
    builder = builder.header("connection", "close");
    builder
        .body(Empty::new())
        .map_err(|error| HttpError::Request {
            url: format!("http://{address}{path}"),
            problem: error.to_string(),
        })
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    address: SocketAddr,
) -> Result<(Answer, Option<String>), HttpError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let protocol = |error: hyper::Error| HttpError::Protocol {
        address,
        problem: error.to_string(),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(protocol)?;
    // The connection ends with the sender: it is dropped when this function returns.
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(protocol);
    let outcome = match response {
        Ok(response) => {
            let status = response.status();
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let location = location.map(str::to_owned);
            let body = Limited::new(response.into_body(), BODY_BYTES_MAX)
                .collect()
                .await;
            let body = body
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            let shown = &body[..body.len().min(SHOWN_BYTES_MAX)];
            let shown = printable(&String::from_utf8_lossy(shown));
            Ok((Answer { status, shown }, location))
        }
        Err(error) => Err(error),
    };
    driver.abort();
    outcome
}

/// The text on one line, with what no terminal should see escaped.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c.is_control() {
            true => shown.extend(c.escape_debug()),
            false => shown.push(c),
        }
    }
    shown
}

/// The path to go on with, if a redirect stays on the host that was asked.
fn same_host(location: &str, address: SocketAddr) -> Option<String> {
    let uri: Uri = location.parse().ok()?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    match uri.authority() {
        None => Some(path.to_owned()),
        Some(authority) if authority.as_str() == address.to_string() => Some(path.to_owned()),
        Some(authority)
            if authority.port().is_none() && authority.host() == address.ip().to_string() =>
        {
            Some(path.to_owned())
        }
        Some(_) => None,
    }
}

async fn tls(
    stream: TcpStream,
    address: SocketAddr,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, HttpError> {
    let problem = |problem: String| HttpError::Protocol { address, problem };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| problem(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    let connector = TlsConnector::from(Arc::new(config));
    connector
        .connect(name, stream)
        .await
        .map_err(|error| problem(error.to_string()))
}

/// Takes every certificate, as a kubelet's probes do: what is asked is whether the container
/// answers, over a connection that never leaves its own network.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn ask(port: u16, path: &str) -> HttpGet {
        HttpGet {
            host: None,
            port,
            path: path.to_owned(),
            scheme: HttpScheme::Http,
            headers: Vec::new(),
        }
    }

    /// Serves `answers`, one connection each, and gives back the requests' first lines.
    async fn serve(answers: Vec<String>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4096];
                let n = stream.read(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                seen.push(text.lines().next().unwrap().to_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            seen
        });
        (port, task)
    }

    async fn run(get_what: &HttpGet) -> Result<Answer, HttpError> {
        let dial = |address: SocketAddr| async move {
            TcpStream::connect(address)
                .await
                .map_err(|error| error.to_string())
        };
        get(get_what, IpAddr::from([127, 0, 0, 1]), dial).await
    }

    #[tokio::test]
    async fn redirects_stay_on_the_host() {
        let (port, seen) = serve(vec![
            "HTTP/1.1 302 Found\r\nlocation: /next?x=1\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 301 Moved\r\nlocation: http://192.0.2.1/else\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
        ])
        .await;
        let answer = run(&ask(port, "/first")).await.unwrap();
        assert_eq!(answer.status, 301);
        assert!(answer.is_success());
        assert_eq!(
            seen.await.unwrap(),
            ["GET /first HTTP/1.1", "GET /next?x=1 HTTP/1.1"]
        );
    }

    #[test]
    fn bodies_are_shown_on_one_line() {
        for (body, shown) in [
            ("<a href=\"x\">é</a>.\n\n", "<a href=\"x\">é</a>."),
            ("two\nlines\u{1b}[2J", "two\\nlines\\u{1b}[2J"),
            ("", ""),
        ] {
            assert_eq!(printable(body), shown);
        }
    }

    #[tokio::test]
    async fn failures_are_told() {
        let (port, _) = serve(vec![
            "HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nlater".to_owned(),
        ])
        .await;
        let answer = run(&ask(port, "/")).await.unwrap();
        assert!(!answer.is_success());
        assert_eq!(answer.shown, "late");
        let (port, _) = serve(vec!["not http at all\r\n\r\n".to_owned()]).await;
        assert!(matches!(
            run(&ask(port, "/")).await,
            Err(HttpError::Protocol { .. })
        ));
        assert!(matches!(
            run(&ask(1, "/")).await,
            Err(HttpError::Connect(_))
        ));
        let named = HttpGet {
            host: Some("example.com".to_owned()),
            ..ask(1, "/")
        };
        assert!(matches!(run(&named).await, Err(HttpError::Name(_))));
    }
}
