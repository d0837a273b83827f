//! The conversation with one host about one repository.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::body;
use super::challenge;
use super::client::Shared;
use super::credentials::{self, Found};
use super::error::Problem;
use super::http::Named;
use super::retry::retry_after;
use super::token::{Asker, Proof, without_query};
use super::token_cache::{Key, Token};
use super::{RegistryCredentials, RegistryHost};

/// How long a host may take to begin its answer.
pub(super) const RESPONSE_DEADLINE: Duration = Duration::from_secs(20);
const REDIRECTS_MAX: usize = 5;
const ERROR_BYTES_MAX: usize = 8 << 10;
const ERROR_CHARS_SHOWN: usize = 200;

/// One host's view of one repository, with what it knows of us.
pub(super) struct Session {
    shared: Arc<Shared>,
    host: RegistryHost,
    repository: String,
    of_request: Arc<[RegistryCredentials]>,
    authorization: Mutex<Option<HeaderValue>>,
    used_request_credentials: AtomicBool,
}

/// What is asked for, below the repository.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) accept: Option<&'static str>,
    /// Where to continue.
    pub(super) from: u64,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        host: RegistryHost,
        repository: String,
        of_request: Arc<[RegistryCredentials]>,
    ) -> Self {
        Self {
            shared,
            host,
            repository,
            of_request,
            authorization: Mutex::default(),
            used_request_credentials: AtomicBool::new(false),
        }
    }

    pub(super) const fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// Whether the registry was shown credentials that came with the request.
    pub(super) fn used_request_credentials(&self) -> bool {
        self.used_request_credentials.load(Ordering::Relaxed)
    }

    /// Asks, proving who we are if the registry wants to know. Any answer but success is a
    /// problem.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Response, Problem> {
        let url = self.url(&format!("/v2/{}/{}", self.repository, ask.path))?;
        let shown = self.known().await;
        let mut response = self.exchange(&url, ask, shown.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let proof = self.prove(&response, shown).await?;
            response = self.exchange(&url, ask, Some(&proof)).await?;
        }
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED => {
                Err(Problem::Unauthorized(self.credentials().await?.is_some()))
            }
            _ => Err(failure(response).await),
        }
    }

    /// Remembers that the host is of no use for a while.
    pub(super) fn note_outage(&self) {
        self.shared.health.failed(&self.host);
    }

    /// Measures how fast the host answers anything at all.
    pub(super) async fn measure(&self, deadline: Duration) {
        if self.answer(deadline).await.is_err() {
            self.note_outage();
        }
    }

    /// Whether the host answers as a registry that works: also one that wants to know who asks.
    pub(super) async fn reach(&self, deadline: Duration) -> Result<(), Problem> {
        let response = self.answer(deadline).await?;
        match response.status().is_server_error() {
            true => Err(failure(response).await),
            false => Ok(()),
        }
    }

    /// What the host says when it is asked for nothing.
    async fn answer(&self, deadline: Duration) -> Result<Response, Problem> {
        let ask = Ask {
            method: Method::GET,
            path: String::new(),
            accept: None,
            from: 0,
        };
        let url = self.url("/v2/")?;
        let answer = timeout(deadline, self.exchange(&url, &ask, None)).await;
        answer.unwrap_or(Err(Problem::Timeout(deadline)))
    }

    fn url(&self, path: &str) -> Result<Url, Problem> {
        let settings = self.shared.settings.registries.get(&self.host);
        let plain = settings.is_some_and(|settings| settings.plain_http);
        let scheme = if plain { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{}{path}", self.host.api()))
            .map_err(|_| Problem::Protocol("the registry's name makes no URL".to_owned()))
    }

    async fn credentials(&self) -> Result<Option<Found>, Problem> {
        credentials::find(&self.host, &self.of_request, &self.shared.settings).await
    }

    /// What the host is shown unasked: what it wanted to see in this pull, or a token of an earlier
    /// one.
    async fn known(&self) -> Option<HeaderValue> {
        let mut known = self.authorization.lock().await;
        if known.is_none()
            && let Some(token) = self.shared.tokens.get(&self.token_key())
        {
            self.note_use(token.of_request);
            *known = Some(token.authorization);
        }
        known.clone()
    }

    fn token_key(&self) -> Key {
        let given = self.of_request.iter().find(|one| one.registry == self.host);
        Key {
            registry: self.host.clone(),
            repository: self.repository.clone(),
            credentials: given.map(|one| one.credentials.fingerprint()),
        }
    }

    fn note_use(&self, of_request: bool) {
        self.used_request_credentials
            .fetch_or(of_request, Ordering::Relaxed);
    }

    /// Answers the challenge of a refused request. Requests that were refused together share
    /// one answer.
    async fn prove(
        &self,
        refused: &Response,
        shown: Option<HeaderValue>,
    ) -> Result<HeaderValue, Problem> {
        let mut known = self.authorization.lock().await;
        if let Some(newer) = known
            .as_ref()
            .filter(|newer| Some(*newer) != shown.as_ref())
        {
            return Ok(newer.clone());
        }
        let header = join_challenges(refused.headers())?;
        let challenge = challenge::choose(&header)?;
        let found = self.credentials().await?;
        let asker = Asker {
            shared: &self.shared,
            registry: &self.host,
            repository: &self.repository,
            credentials: found.as_ref().map(|found| &found.credentials),
        };
        let asked = Instant::now();
        let proof = asker.answer(challenge).await?;
        let of_request = found.is_some_and(|found| found.of_request);
        self.note_use(of_request);
        let authorization = match proof {
            Proof::Shown(authorization) => authorization,
            Proof::Given {
                authorization,
                life_s,
            } => {
                let token = Token::new(authorization.clone(), of_request, (asked, life_s));
                self.shared.tokens.put(self.token_key(), token);
                authorization
            }
        };
        *known = Some(authorization.clone());
        Ok(authorization)
    }

    /// One request with its redirects.
    async fn exchange(
        &self,
        url: &Url,
        ask: &Ask,
        proof: Option<&HeaderValue>,
    ) -> Result<Response, Problem> {
        let (mut url, mut named) = (url.clone(), Named::ByUser);
        for _ in 0..=REDIRECTS_MAX {
            let client =
                self.shared
                    .clients
                    .client(&self.shared.settings, &self.host, &url, named)?;
            // Whoever is redirected to is not the one that the credentials are for.
            let proof = proof.filter(|_| self.host.is_at(&url));
            let response = self.send(&client, &url, ask, proof).await?;
            let Some(target) = redirect_target(&url, &response)? else {
                return Ok(response);
            };
            self.check_redirect(&target)?;
            named = if self.host.is_at(&target) {
                Named::ByUser
            } else {
                Named::ByRegistry
            };
            url = target;
        }
        Err(Problem::Redirect {
            to: without_query(&url),
            rule: "there were too many redirects",
        })
    }

    async fn send(
        &self,
        client: &Client,
        url: &Url,
        ask: &Ask,
        proof: Option<&HeaderValue>,
    ) -> Result<Response, Problem> {
        let mut request = client.request(ask.method.clone(), url.clone());
        if let Some(accept) = ask.accept {
            request = request.header(ACCEPT, accept);
        }
        if ask.from > 0 {
            request = request.header(RANGE, format!("bytes={}-", ask.from));
        }
        if let Some(proof) = proof {
            request = request.header(AUTHORIZATION, proof);
        }
        let begun = Instant::now();
        let answer = timeout(RESPONSE_DEADLINE, request.send()).await;
        let answer = answer
            .map_err(|_| Problem::Timeout(RESPONSE_DEADLINE))
            .and_then(|sent| sent.map_err(Problem::from));
        if answer.is_ok() && self.host.is_at(url) {
            self.shared.health.answered(&self.host, begun.elapsed());
        }
        answer
    }

    fn check_redirect(&self, target: &Url) -> Result<(), Problem> {
        let refused = |rule| Problem::Redirect {
            to: without_query(target),
            rule,
        };
        if !target.username().is_empty() || target.password().is_some() {
            return Err(refused("a redirect's URL may not carry a user"));
        }
        match target.scheme() {
            "https" => Ok(()),
            "http" if self.shared.settings.allows_plain(target) => Ok(()),
            _ => Err(refused(
                "a redirect must use https unless its host is listed with plain_http",
            )),
        }
    }
}

fn redirect_target(url: &Url, response: &Response) -> Result<Option<Url>, Problem> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| url.join(location).ok());
    let odd = || Problem::Protocol("a redirect without a valid Location".to_owned());
    target.map(Some).ok_or_else(odd)
}

/// Several challenge headers mean the same as one with commas.
fn join_challenges(headers: &HeaderMap) -> Result<String, Problem> {
    let odd = |_| Problem::Protocol("the challenge is not text".to_owned());
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let texts = values.map(|value| value.to_str().map_err(odd));
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join(", "))
}

/// What an unsuccessful answer means.
pub(super) async fn failure(response: Response) -> Problem {
    let status = response.status();
    let header = response.headers().get(RETRY_AFTER);
    let delay = retry_after(header.and_then(|value| value.to_str().ok()));
    let message = shown_message(&body::read_some(response, ERROR_BYTES_MAX).await);
    match status {
        StatusCode::NOT_FOUND => Problem::NotFound,
        StatusCode::FORBIDDEN => Problem::Denied(message),
        StatusCode::TOO_MANY_REQUESTS => Problem::RateLimited(delay),
        status => Problem::Status {
            status: status.as_u16(),
            message,
        },
    }
}

/// The first error's message of a registry's error document, fit to be shown.
fn shown_message(body: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = parsed
        .as_ref()
        .and_then(|value| value.pointer("/errors/0/message")?.as_str());
    let clean = message.unwrap_or("").chars().filter(|c| !c.is_control());
    clean.take(ERROR_CHARS_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_message_is_shown_tamely() {
        let document = |message: &str| {
            serde_json::json!({"errors": [{"code": "DENIED", "message": message}]}).to_string()
        };
        for (body, shown) in [
            (document("no such thing"), "no such thing"),
            (document("\u{1b}[31mred\nline"), "[31mredline"),
            ("<html>".to_owned(), ""),
            (String::new(), ""),
            (r#"{"errors":[]}"#.to_owned(), ""),
        ] {
            assert_eq!(shown_message(body.as_bytes()), shown, "{body}");
        }
        let long = shown_message(document(&"x".repeat(5000)).as_bytes());
        assert_eq!(long.len(), ERROR_CHARS_SHOWN);
    }
}
