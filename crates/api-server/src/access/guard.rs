//! The guard: lets a call in, with who makes it, or refuses it. It looks calls up by their exact
//! names; what is in no table, such as health and reflection, is for everybody who is known.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use burstlet_access::{Identity, Standing, identify};
use burstlet_model::Stamp;
use burstlet_proto::{CALLS, Call};
use futures_util::future::BoxFuture;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{Extensions, HeaderMap, Request, Response};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};
use tower::Layer;

use super::Gate;
use super::caller::Caller;
use super::judge::judge;
use super::record::Recorder;
use crate::status;

type Clock = dyn Fn() -> Stamp + Send + Sync;

/// Stands before all services of a server.
#[derive(Clone)]
pub(crate) struct Guard {
    gate: Arc<Gate>,
    now: Arc<Clock>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

impl Guard {
    pub(crate) fn new(gate: Gate, now: impl Fn() -> Stamp + Send + Sync + 'static) -> Self {
        Self {
            gate: Arc::new(gate),
            now: Arc::new(now),
        }
    }

    /// Who makes a call: whom its token is about, else whom its connection shows.
    async fn caller(&self, head: &Parts) -> Result<Caller, Status> {
        let now = (self.now)();
        let (identity, standing) = match bearer(&head.headers)? {
            Some(token) => {
                let tokens = self.gate.tokens.as_ref();
                let tokens =
                    tokens.ok_or_else(|| status::not_known("tokens are not taken here"))?;
                let identified = tokens.identify(token, now).await;
                (identified.map_err(|error| status::token(&error))?, None)
            }
            None => self.of_connection(&head.extensions)?,
        };
        if identity.has_expired(now.wall) {
            return Err(status::credential_expired());
        }
        if let Some(standing) = &standing {
            let stands = standing.check(now.wall);
            stands.map_err(|error| status::not_standing(&error))?;
        }
        Ok(Caller::new(identity, standing))
    }

    /// Whom the connection of a call shows.
    fn of_connection(
        &self,
        connection: &Extensions,
    ) -> Result<(Identity, Option<Standing>), Status> {
        if let Some(unix) = connection.get::<UdsConnectInfo>() {
            // The door lets in root and our own user only.
            let uid = unix.peer_cred.map(|peer| peer.uid());
            let uid = uid.ok_or_else(|| status::not_known("the socket has no peer"))?;
            return Ok((Identity::of_socket(uid), None));
        }
        let tls = connection.get::<TlsConnectInfo<TcpConnectInfo>>();
        let chain = tls.and_then(TlsConnectInfo::peer_certs);
        let chain = chain.as_ref().map_or(&[][..], |chain| chain.as_slice());
        let needed = match self.gate.tokens {
            Some(_) => "a client certificate or a token is needed",
            None => "a client certificate is needed",
        };
        let own = chain.first().ok_or_else(|| status::not_known(needed))?;
        let identity = identify(own, &self.gate.trust_domain)
            .map_err(|error| status::not_known(&error.to_string()))?;
        let revocations = self.gate.revocations.as_ref();
        Ok((identity, revocations.map(|lists| lists.standing(chain))))
    }

    /// What is to be written of a call.
    fn recorder(&self, call: Option<&'static Call>, connection: &Extensions) -> Recorder {
        let tls = connection.get::<TlsConnectInfo<TcpConnectInfo>>();
        let peer = tls.and_then(|tls| tls.get_ref().remote_addr());
        let trail = self.gate.trail.clone();
        Recorder::new(trail, call, peer, Arc::clone(&self.now))
    }
}

impl<S> Layer<S> for Guard {
    type Service = GuardedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardedService {
            guard: self.clone(),
            inner,
        }
    }
}

/// The services below, guarded.
#[derive(Clone, Debug)]
pub(crate) struct GuardedService<S> {
    guard: Guard,
    inner: S,
}

impl<S> Service<Request<Body>> for GuardedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let guard = self.guard.clone();
        // The one that is ready goes with the call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let call = find(head.uri.path());
            let recorder = guard.recorder(call, &head.extensions);
            let caller = match guard.caller(&head).await {
                Ok(caller) => caller,
                Err(status) => return Ok(recorder.stranger(status)),
            };
            if let Some(call) = call
                && let Err(denied) = judge(caller.identity(), call)
            {
                let status = status::denied(caller.identity(), call, denied);
                return Ok(recorder.refused(&caller, status).await);
            }
            head.extensions.insert(caller.clone());
            let recorder = recorder.begin(caller);
            let answer = inner.call(Request::from_parts(head, body)).await?;
            Ok(recorder.answered(answer).await)
        })
    }
}

/// The token of a call, if it has one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Status> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = given.next() else {
        return Ok(None);
    };
    let text = first.to_str().ok().filter(|_| given.next().is_none());
    let split = text.and_then(|text| text.split_once(' '));
    match split {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token)),
        _ => Err(status::not_known("authorization must be one bearer token")),
    }
}

/// The call of this path, which must be its name and nothing else.
fn find(path: &str) -> Option<&'static Call> {
    let name = path.strip_prefix('/')?;
    CALLS.iter().find(|call| call.method == name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_or_none() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(|token| token.map(str::to_owned)).ok()
        };
        assert_eq!(with(&[]), Some(None));
        assert_eq!(with(&["Bearer abc"]), Some(Some("abc".to_owned())));
        assert_eq!(with(&["bearer abc"]), Some(Some("abc".to_owned())));
        for bad in [
            &["Basic abc"][..],
            &["Bearer"],
            &[""],
            &["Bearer a", "Bearer b"],
        ] {
            assert_eq!(with(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_a_calls_own_path_leads_to_it() {
        let good = "/burstlet.v1.ContainerGroups/Delete";
        assert!(find(good).is_some());
        for bad in [
            "burstlet.v1.ContainerGroups/Delete",
            "//burstlet.v1.ContainerGroups/Delete",
            "/burstlet.v1.ContainerGroups/Delete/",
            "/burstlet.v1.ContainerGroups//Delete",
            "/burstlet.v1.containergroups/delete",
            "/burstlet.v1.ContainerGroups/%44elete",
            "/x/../burstlet.v1.ContainerGroups/Delete",
            "*",
            "/",
            "",
        ] {
            assert_eq!(find(bad), None, "{bad}");
        }
    }
}
