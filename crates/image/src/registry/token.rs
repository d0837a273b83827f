//! Answers to a registry's challenge.
//!
//! Credentials go to the registry, to its own token server, and nowhere else: a challenge is the
//! registry's text, so where its realm leads is checked before anything is sent. The scope is
//! ours, never the challenge's: a registry cannot ask for more than a pull of this repository.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burstlet_model::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::time::timeout;

use super::body::{self, Bound};
use super::challenge::Challenge;
use super::client::Shared;
use super::credentials::Credentials;
use super::error::Problem;
use super::http::Named;
use super::session::RESPONSE_DEADLINE;
use super::{RegistriesSettings, RegistryHost};

const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// Who asks which registry for which repository.
pub(super) struct Asker<'a> {
    pub(super) shared: &'a Shared,
    pub(super) registry: &'a RegistryHost,
    pub(super) repository: &'a str,
    pub(super) credentials: Option<&'a Credentials>,
}

/// What proves who asks.
pub(super) enum Proof {
    /// The credentials themselves.
    Shown(HeaderValue),
    /// A token that was given for them.
    Given {
        authorization: HeaderValue,
        /// Seconds for which it is good, if its server says so.
        life_s: Option<u64>,
    },
}

impl Asker<'_> {
    /// The proof that answers `challenge`.
    pub(super) async fn answer(&self, challenge: Challenge) -> Result<Proof, Problem> {
        match (challenge, self.credentials) {
            (_, Some(Credentials::RegistryToken(token))) => {
                bearer(token.expose()).map(Proof::Shown)
            }
            (Challenge::Basic, Some(Credentials::Basic { username, password })) => {
                basic(username, password).map(Proof::Shown)
            }
            (Challenge::Basic, _) => Err(Problem::Unauthorized(false)),
            (Challenge::Bearer { realm, service }, _) => self.token(&realm, service).await,
        }
    }

    async fn token(&self, realm: &str, service: Option<String>) -> Result<Proof, Problem> {
        let mut url = Url::parse(realm)
            .map_err(|_| Problem::Protocol("the challenge's realm is not a URL".to_owned()))?;
        let settings = &self.shared.settings;
        let named = check_realm(settings, self.registry, &url)?;
        let client = self
            .shared
            .clients
            .client(settings, self.registry, &url, named)?;
        let mut query = vec![("scope", format!("repository:{}:pull", self.repository))];
        query.extend(service.map(|service| ("service", service)));
        let request = match self.credentials {
            Some(Credentials::IdentityToken(token)) => {
                query.push(("grant_type", "refresh_token".to_owned()));
                query.push(("client_id", "burstlet".to_owned()));
                query.push(("refresh_token", token.expose().clone()));
                let form = encode_form(&query);
                let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                client.post(url).header(CONTENT_TYPE, form_type).body(form)
            }
            other => {
                url.query_pairs_mut().extend_pairs(&query);
                let request = client.get(url);
                match other {
                    Some(Credentials::Basic { username, password }) => {
                        request.header(AUTHORIZATION, basic(username, password)?)
                    }
                    _ => request,
                }
            }
        };
        let sent = timeout(RESPONSE_DEADLINE, request.send()).await;
        let response = sent.map_err(|_| Problem::Timeout(RESPONSE_DEADLINE))??;
        self.read_token(response).await
    }

    async fn read_token(&self, response: reqwest::Response) -> Result<Proof, Problem> {
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                return Err(Problem::Unauthorized(self.credentials.is_some()));
            }
            status if status.is_redirection() => {
                return Err(Problem::Redirect {
                    to: "another token server".to_owned(),
                    rule: "token servers may not redirect",
                });
            }
            _ => return Err(super::session::failure(response).await),
        }
        let bound = Bound {
            what: "token",
            max: TOKEN_BYTES_MAX,
        };
        let body = body::read(response, bound).await?;
        let odd = || Problem::Protocol("the token server's answer is not a token".to_owned());
        let raw: RawToken = serde_json::from_slice(&body).map_err(|_| odd())?;
        Ok(Proof::Given {
            authorization: bearer(&raw.token.or(raw.access_token).ok_or_else(odd)?)?,
            life_s: raw.expires_in.and_then(|life| life.as_u64()),
        })
    }
}

#[derive(Deserialize)]
struct RawToken {
    token: Option<String>,
    access_token: Option<String>,
    /// A hint; one that is no number says nothing.
    expires_in: Option<serde_json::Value>,
}

/// Whether the registry's credentials may go to `realm`, and who is answerable for its address.
fn check_realm(
    settings: &RegistriesSettings,
    registry: &RegistryHost,
    realm: &Url,
) -> Result<Named, Problem> {
    let refused = |rule| Problem::Redirect {
        to: without_query(realm),
        rule,
    };
    if !realm.username().is_empty() || realm.password().is_some() {
        return Err(refused("a token server's URL may not carry a user"));
    }
    let own = settings.registries.get(registry);
    let same_host = registry.is_same_host(realm);
    let named = if registry.is_at(realm)
        || (same_host && own.is_some())
        || settings.lists(realm).is_some()
        || own.is_some_and(|own| own.token_hosts.iter().any(|host| host.is_at(realm)))
    {
        Named::ByUser
    } else if same_host || registry.has_known_token_host(realm) {
        Named::ByRegistry
    } else {
        let rule = "a token server must be the registry's own host or be listed in its token_hosts";
        return Err(refused(rule));
    };
    let plain =
        settings.allows_plain(realm) || (same_host && own.is_some_and(|own| own.plain_http));
    match realm.scheme() {
        "https" => Ok(named),
        "http" if plain => Ok(named),
        _ => Err(refused(
            "a token server must use https unless it is listed with plain_http",
        )),
    }
}

/// Where a challenge sends the credentials of a registry that nobody configured; `None` if it asks for
/// no token, or may not have them there.
#[cfg(feature = "fuzzing")]
pub(crate) fn leads_to(registry: &RegistryHost, challenge: &str) -> Option<Url> {
    let Ok(Challenge::Bearer { realm, .. }) = super::challenge::choose(challenge) else {
        return None;
    };
    let realm = Url::parse(&realm).ok()?;
    let allowed = check_realm(&RegistriesSettings::default(), registry, &realm);
    allowed.is_ok().then_some(realm)
}

/// The URL as it may be shown: queries carry signatures.
pub(super) fn without_query(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // A URL that cannot have a user has none to hide.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.to_string()
}

fn encode_form(pairs: &[(&str, String)]) -> String {
    Url::parse_with_params("http://form/", pairs)
        .ok()
        .and_then(|url| url.query().map(str::to_owned))
        .unwrap_or_default()
}

fn basic(username: &str, password: &Secret<String>) -> Result<HeaderValue, Problem> {
    let encoded = STANDARD.encode(format!("{username}:{}", password.expose()));
    sensitive(&format!("Basic {encoded}"))
}

fn bearer(token: &str) -> Result<HeaderValue, Problem> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Problem::Protocol("the token has odd characters".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::registry::RegistrySettings;

    fn settings() -> RegistriesSettings {
        let mut settings = RegistriesSettings::default();
        let plain = RegistrySettings {
            plain_http: true,
            ..RegistrySettings::default()
        };
        let with_tokens = RegistrySettings {
            token_hosts: vec!["login.corp:8443".parse().unwrap()],
            ..RegistrySettings::default()
        };
        settings
            .registries
            .insert("127.0.0.1:5000".parse().unwrap(), plain);
        settings
            .registries
            .insert("r.corp".parse().unwrap(), with_tokens);
        settings
    }

    /// `user`, `registry` or `refused`.
    fn judge(registry: &str, realm: &str) -> &'static str {
        let registry = registry.parse().unwrap();
        match check_realm(&settings(), &registry, &realm.parse().unwrap()) {
            Ok(Named::ByUser) => "user",
            Ok(Named::ByRegistry) => "registry",
            Err(_) => "refused",
        }
    }

    #[test]
    fn credentials_go_to_the_registry_and_its_token_server_only() {
        for (registry, realm, expected) in [
            ("r.io", "https://r.io/token", "user"),
            ("r.io", "http://r.io/token", "refused"),
            ("r.io", "https://r.io:8443/token", "registry"),
            ("r.io", "https://evil.io/token", "refused"),
            ("r.io", "https://auth.r.io/token", "refused"),
            ("r.io", "https://r.io.evil.io/token", "refused"),
            ("r.io", "https://r.io@evil.io/token", "refused"),
            ("r.io", "https://user@r.io/token", "refused"),
            ("r.io", "ftp://r.io/token", "refused"),
            ("r.io", "https://169.254.169.254/token", "refused"),
            ("docker.io", "https://auth.docker.io/token", "registry"),
            ("docker.io", "http://auth.docker.io/token", "refused"),
            ("r.io", "https://auth.docker.io/token", "refused"),
            (
                "registry.gitlab.com",
                "https://gitlab.com/jwt/auth",
                "registry",
            ),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/token", "user"),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/token", "user"),
            ("127.0.0.1:5000", "http://127.0.0.2:5000/token", "refused"),
            ("r.corp", "https://login.corp:8443/token", "user"),
            ("r.corp", "http://login.corp:8443/token", "refused"),
            ("r.corp", "https://login.corp/token", "refused"),
            ("r.io", "https://login.corp:8443/token", "refused"),
            ("r.io", "http://127.0.0.1:5000/token", "user"),
        ] {
            assert_eq!(judge(registry, realm), expected, "{registry} {realm}");
        }
    }

    #[test]
    fn shown_urls_have_no_secrets() {
        let url = "https://u:p@cdn.io/blob?X-Amz-Signature=s#f"
            .parse()
            .unwrap();
        assert_eq!(without_query(&url), "https://cdn.io/blob");
    }

    #[test]
    fn forms_are_encoded() {
        let form = encode_form(&[("a", "x y&=".to_owned()), ("b", "ü".to_owned())]);
        assert_eq!(form, "a=x+y%26%3D&b=%C3%BC");
    }
}
