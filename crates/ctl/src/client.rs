//! The way to the agent: a unix socket, or TCP with mutual TLS.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burstlet_proto::v1::container_groups_client::ContainerGroupsClient;
use burstlet_proto::v1::images_client::ImagesClient;
use burstlet_proto::v1::metering_client::MeteringClient;
use burstlet_proto::v1::node_client::NodeClient;
use burstlet_proto::v1::{self, GroupRef};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::Status;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::cli::Connection;
use crate::error::UsageError;

/// The longest wait for a connection.
const CONNECT_SECONDS_MAX: u64 = 10;
/// The largest answer taken; a page of groups with all their annotations may be large.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The most groups asked for at once.
const PAGE_GROUPS: u32 = 500;

/// Where the agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// `HOST:PORT`.
    Tcp(String),
}

/// The agent cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("connect to {address}")]
pub(crate) struct ConnectError {
    address: Address,
    source: io::Error,
}

/// `ContainerGroups`, as the agent is reached.
pub(crate) type Groups = ContainerGroupsClient<Way>;

/// The way to the agent: a connection, and the token that each request carries if there is one.
pub(crate) type Way = InterceptedService<Channel, Bearer>;

/// Shows the user's token.
#[derive(Clone)]
pub(crate) struct Bearer(Option<AsciiMetadataValue>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(token) = &self.0 {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// The agent's services, and the names that the user may leave out.
pub(crate) struct Client {
    way: Way,
    namespace: String,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(connection: &Connection) -> Result<Self> {
        let channel = match &connection.address {
            Address::Unix(path) => connect_unix(path, &connection.address).await?,
            Address::Tcp(host) => connect_tls(host, connection).await?,
        };
        let bearer = bearer(connection)?;
        Ok(Self {
            way: InterceptedService::new(channel, bearer),
            namespace: connection.namespace.clone(),
        })
    }

    pub(crate) fn groups(&self) -> Groups {
        ContainerGroupsClient::new(self.way.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn images(&self) -> ImagesClient<Way> {
        ImagesClient::new(self.way.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn node(&self) -> NodeClient<Way> {
        NodeClient::new(self.way.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn metering(&self) -> MeteringClient<Way> {
        MeteringClient::new(self.way.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The namespace that the user works in.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The group that the user names.
    pub(crate) fn group(&self, name: &str) -> Option<GroupRef> {
        Some(group_ref(&self.namespace, name))
    }

    /// The group that the user names, as it is now.
    pub(crate) async fn get(&self, name: &str) -> Result<v1::ContainerGroup> {
        let request = v1::GetRequest {
            group: self.group(name),
        };
        let group = self
            .groups()
            .get(request)
            .await
            .with_context(|| format!("get {name}"))?;
        Ok(group.into_inner())
    }

    /// All groups of a namespace, or of all if it is empty, that the selector matches.
    pub(crate) async fn list(
        &self,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<v1::ContainerGroup>> {
        let mut request = v1::ListRequest {
            namespace: namespace.to_owned(),
            label_selector: selector.to_owned(),
            page_size: PAGE_GROUPS,
            ..v1::ListRequest::default()
        };
        let mut groups = Vec::new();
        loop {
            let page = self
                .groups()
                .list(request.clone())
                .await
                .context("list the groups")?;
            let page = page.into_inner();
            groups.extend(page.groups);
            if page.next_page_token.is_empty() {
                return Ok(groups);
            }
            request.page_token = page.next_page_token;
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err("the path of a unix socket begins with /".to_owned()),
            };
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        let host = text
            .strip_prefix("tcp://")
            .or_else(|| text.strip_prefix("https://"));
        let host = host.unwrap_or(text).trim_end_matches('/');
        match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Tcp(host.to_owned()))
            }
            _ => Err("neither unix:///PATH nor tcp://HOST:PORT".to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

impl ConnectError {
    /// What the user can do.
    pub(crate) fn advice(&self) -> &'static str {
        match (self.source.kind(), &self.address) {
            (ErrorKind::PermissionDenied, _) => {
                "  The socket is for the agent's own user: try again with sudo."
            }
            (ErrorKind::NotFound | ErrorKind::ConnectionRefused, Address::Unix(_)) => {
                "  Is the agent running? Start it with `sudo burstlet` or `systemctl start \
                 burstlet`,\n  or say where it listens with --address or BURSTLET_ADDRESS."
            }
            (_, Address::Unix(_)) => "  Say where the agent listens with --address.",
            (_, Address::Tcp(_)) => {
                "  Is the agent running, does it listen on this address ([api] listen), and do \
                 the certificates fit?"
            }
        }
    }
}

/// `NAME`, `NAMESPACE/NAME`, or a uid.
pub(crate) fn group_ref(namespace: &str, name: &str) -> GroupRef {
    let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
    match is_uid(name) {
        true => GroupRef {
            uid: name.to_owned(),
            ..GroupRef::default()
        },
        false => GroupRef {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: String::new(),
        },
    }
}

fn is_uid(name: &str) -> bool {
    let is_place_of_dash = |at| matches!(at, 8 | 13 | 18 | 23);
    name.len() == 36
        && name
            .bytes()
            .enumerate()
            .all(|(at, byte)| match is_place_of_dash(at) {
                true => byte == b'-',
                false => byte.is_ascii_hexdigit(),
            })
}

async fn connect_unix(path: &Path, address: &Address) -> Result<Channel> {
    let fault = |source| ConnectError {
        address: address.clone(),
        source,
    };
    // Try once before: the channel hides what the kernel says.
    drop(UnixStream::connect(path).await.map_err(fault)?);
    let path = path.to_owned();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The name is not looked up: the connector above decides.
    let endpoint = Endpoint::from_static("http://burstlet.invalid");
    let channel = endpoint.connect_with_connector(connector).await;
    Ok(channel.map_err(|source| fault(io::Error::other(source)))?)
}

async fn connect_tls(host: &str, connection: &Connection) -> Result<Channel> {
    let missing = |text: &str| UsageError(text.to_owned());
    let ca = connection.tls_ca.as_deref();
    let ca = ca.ok_or_else(|| missing("TCP needs TLS: give --tls-ca"))?;
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("read {}", path.display()));
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
    let tls = match (&connection.tls_cert, &connection.tls_key) {
        (Some(cert), Some(key)) => tls.identity(Identity::from_pem(read(cert)?, read(key)?)),
        (None, None) if connection.token_file.is_some() => tls,
        _ => {
            let text =
                "TCP needs to know who you are: give --tls-cert and --tls-key, or --token-file";
            return Err(missing(text).into());
        }
    };
    let endpoint = Endpoint::from_shared(format!("https://{host}"))
        .with_context(|| format!("read the address {host}"))?
        .tls_config(tls)
        .context("use the certificates")?
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX));
    let fault = |source| ConnectError {
        address: connection.address.clone(),
        source: io::Error::other(source),
    };
    Ok(endpoint.connect().await.map_err(fault)?)
}

/// The token of the user's file, without the newline that editors put behind it.
fn bearer(connection: &Connection) -> Result<Bearer> {
    let Some(path) = &connection.token_file else {
        return Ok(Bearer(None));
    };
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let value = format!("Bearer {}", text.trim()).parse::<AsciiMetadataValue>();
    let mut value = value.with_context(|| format!("{} holds no token", path.display()))?;
    value.set_sensitive(true);
    Ok(Bearer(Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_address(text: &str, expected: Result<&str, &str>) {
        let address = text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(
            address.as_deref().map_err(String::as_str),
            expected,
            "{text}"
        );
    }

    #[test]
    fn addresses_are_sockets_or_hosts_with_ports() {
        check_address("unix:///run/x.sock", Ok("unix:///run/x.sock"));
        check_address("unix:/run/x.sock", Ok("unix:///run/x.sock"));
        check_address("/run/x.sock", Ok("unix:///run/x.sock"));
        check_address(
            "unix://run/x.sock",
            Err("the path of a unix socket begins with /"),
        );
        check_address("tcp://node:7443", Ok("tcp://node:7443"));
        check_address("https://[::1]:7443/", Ok("tcp://[::1]:7443"));
        check_address("10.0.0.1:7443", Ok("tcp://10.0.0.1:7443"));
        let neither = Err("neither unix:///PATH nor tcp://HOST:PORT");
        for text in [
            "",
            "node",
            "tcp://node",
            "tcp://:1",
            "node:99999",
            "run/x.sock",
        ] {
            check_address(text, neither);
        }
    }

    #[test]
    fn groups_are_named_in_three_ways() {
        let show = |name| {
            let group = group_ref("team", name);
            format!("{}|{}|{}", group.namespace, group.name, group.uid)
        };
        assert_eq!(show("web"), "team|web|");
        assert_eq!(show("other/web"), "other|web|");
        let uid = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(show(uid), format!("||{uid}"));
        assert_eq!(
            show("01890a5d-ac96-774b-bcce-b302099a80zz")
                .split('|')
                .nth(2),
            Some("")
        );
    }
}
