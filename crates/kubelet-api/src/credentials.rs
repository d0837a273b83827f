//! Who sent a request, and whether they may: the one gate before every route.

use burstlet_model::Secret;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};

use crate::access::{Asked, Guard, Identity};
use crate::body::{Answer, TEXT, answer};
use crate::route::Needed;

/// Bytes of a token.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Who sent a request: by the certificate of its connection, or by its token.
pub(crate) async fn authenticate<G: Guard>(
    guard: &G,
    by_certificate: Option<&Identity>,
    headers: &HeaderMap,
) -> Result<Identity, Box<Answer>> {
    if let Some(identity) = by_certificate {
        return Ok(identity.clone());
    }
    let unknown = || Box::new(answer(StatusCode::UNAUTHORIZED, TEXT, "Unauthorized"));
    let token = bearer(headers).ok_or_else(unknown)?;
    match guard.authenticate(&token).await {
        Ok(identity) => identity.ok_or_else(unknown),
        Err(refused) => {
            tracing::warn!(%refused, "a token cannot be judged: its sender is refused");
            Err(unknown())
        }
    }
}

/// Whether they have one of the rights that are needed.
pub(crate) async fn authorize<G: Guard>(
    guard: &G,
    who: &Identity,
    needed: Needed,
) -> Result<(), Box<Answer>> {
    for subresource in needed.subresources {
        let asked = Asked {
            verb: needed.verb,
            subresource,
        };
        match guard.authorize(who, asked).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(refused) => {
                tracing::warn!(%refused, user = who.user, "a right cannot be judged");
                let text = format!("Authorization error ({})", describe(who, needed));
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Err(Box::new(answer(status, TEXT, text)));
            }
        }
    }
    let text = format!("Forbidden ({})", describe(who, needed));
    Err(Box::new(answer(StatusCode::FORBIDDEN, TEXT, text)))
}

fn bearer(headers: &HeaderMap) -> Option<Secret<String>> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let is_good = scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.len() <= TOKEN_BYTES_MAX;
    is_good.then(|| Secret::new(token.to_owned()))
}

/// In a kubelet's words.
fn describe(who: &Identity, needed: Needed) -> String {
    format!(
        "user={}, verb={}, resource=nodes, subresource(s)=[{}]",
        who.user,
        needed.verb,
        needed.subresources.join(" ")
    )
}
