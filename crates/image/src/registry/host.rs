//! A registry's place: host and port as references and the configuration write them.

use std::fmt;
use std::str::FromStr;

use burstlet_model::ImageRef;
use reqwest::Url;

/// Why a text is not a registry host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a registry: write HOST or HOST:PORT, without scheme and path")]
pub struct RegistryHostError(String);

/// `HOST` or `HOST:PORT`, in lower case. IPv6 addresses are in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost(String);

/// Docker Hub's name, the host that serves its API, and where its tokens come from.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// Token servers of public registries that are not the registry itself.
const KNOWN_TOKEN_HOSTS: [(&str, &str); 2] = [
    (DOCKER_HUB_API, "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
];

impl RegistryHost {
    /// The registry that `reference` names.
    #[must_use]
    pub fn of(reference: &ImageRef) -> Self {
        Self(reference.registry().to_ascii_lowercase())
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host and port that it leads to, in one way of writing: what is written of one registry is
    /// not left behind by writing it in another way. Ports that are a scheme's own are left out.
    pub(crate) fn place(&self) -> String {
        let leads_to_hub = matches!(self.0.as_str(), DOCKER_HUB | DOCKER_HUB_API);
        let written = Url::parse(&format!("https://{}/", self.0)).ok();
        let host = written.as_ref().and_then(Url::host_str);
        match (leads_to_hub, host, written.as_ref().and_then(Url::port)) {
            (true, ..) => DOCKER_HUB.to_owned(),
            (_, Some(host), None | Some(80)) => host.to_owned(),
            (_, Some(host), Some(port)) => format!("{host}:{port}"),
            (_, None, _) => self.0.clone(),
        }
    }

    /// Where the registry's API is: Docker Hub's is at another name.
    pub(super) fn api(&self) -> &str {
        if self.0 == DOCKER_HUB {
            DOCKER_HUB_API
        } else {
            &self.0
        }
    }

    /// Whether `url` is at this host and port.
    pub(super) fn is_at(&self, url: &Url) -> bool {
        authorities(url)
            .iter()
            .any(|authority| authority == self.api())
    }

    /// Whether `url` is at this host, whatever the port.
    pub(super) fn is_same_host(&self, url: &Url) -> bool {
        let host = match self.api().rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => self.api(),
        };
        url.host_str() == Some(host)
    }

    /// Whether `url` is the well-known token server of this registry.
    pub(super) fn has_known_token_host(&self, url: &Url) -> bool {
        let at = |host: &str| authorities(url).iter().any(|authority| authority == host);
        KNOWN_TOKEN_HOSTS
            .iter()
            .any(|(registry, token)| *registry == self.api() && at(token))
    }
}

/// How `url`'s host and port can be written: with the port, and without where it is the default.
fn authorities(url: &Url) -> Vec<String> {
    let Some(host) = url.host_str() else {
        return Vec::new();
    };
    let mut written = Vec::with_capacity(2);
    if let Some(port) = url.port_or_known_default() {
        written.push(format!("{host}:{port}"));
    }
    if url.port().is_none() {
        written.push(host.to_owned());
    }
    written
}

impl FromStr for RegistryHost {
    type Err = RegistryHostError;

    fn from_str(text: &str) -> Result<Self, RegistryHostError> {
        // A host is what a reference may have before its first slash.
        let refused = || RegistryHostError(text.to_owned());
        let dotted = text.contains(['.', ':']) || text == "localhost";
        let reference: ImageRef = format!("{text}/x").parse().map_err(|_| refused())?;
        if !dotted || text.contains(['/', '@']) {
            return Err(refused());
        }
        Ok(Self::of(&reference))
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_parsed() {
        for good in [
            "docker.io",
            "localhost",
            "localhost:5000",
            "10.0.0.1:80",
            "[::1]:5000",
            "R.io",
        ] {
            assert!(good.parse::<RegistryHost>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://r.io",
            "r.io/x",
            "r.io:0",
            "user@r.io",
            "r io",
            "app",
            "r.io/",
        ] {
            assert!(bad.parse::<RegistryHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_is_at_its_host_and_port_only() {
        for (host, url, at, same) in [
            ("r.io", "https://r.io/v2/", true, true),
            ("r.io", "https://r.io:443/v2/", true, true),
            ("r.io:443", "https://r.io/v2/", true, true),
            ("r.io", "https://r.io:444/v2/", false, true),
            ("r.io:5000", "http://r.io:5000/", true, true),
            ("r.io:5000", "http://r.io/", false, true),
            ("r.io", "https://evil.r.io/", false, false),
            ("r.io", "https://r.io.evil/", false, false),
            ("r.io", "https://r.io@evil/", false, false),
            ("R.io", "https://r.IO/", true, true),
            ("[::1]:5000", "http://[::1]:5000/", true, true),
            ("[::1]", "https://[::1]:5000/", false, true),
            ("docker.io", "https://registry-1.docker.io/", true, true),
            ("docker.io", "https://docker.io/", false, false),
        ] {
            let host: RegistryHost = host.parse().unwrap();
            let url: Url = url.parse().unwrap();
            assert_eq!(host.is_at(&url), at, "{host} {url}");
            assert_eq!(host.is_same_host(&url), same, "{host} {url}");
        }
        let hub: RegistryHost = "docker.io".parse().unwrap();
        assert!(hub.has_known_token_host(&"https://auth.docker.io/token".parse().unwrap()));
        assert!(!hub.has_known_token_host(&"https://auth.docker.io:444/token".parse().unwrap()));
    }
}
