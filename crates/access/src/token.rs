//! The identity that an OIDC issuer's token states.
//!
//! ```text
//! token ─► header: which key, which algorithm? ─► the issuer's keys ─► signature
//!                                                                        │
//!        Identity ◄─ the first rule whose claim it has ◄─ issuer, audience, time
//! ```
//!
//! Only asymmetric algorithms are taken, and only with a key of their kind: a token cannot choose how
//! it is looked at. The issuer's keys are kept and renewed by [`issuer`].

mod crypto;
mod issuer;
mod keyring;
mod rules;

use burstlet_model::{ErrorKind, Stamp, WallTime};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::identity::{Identity, Proof};
use issuer::Issuer;
pub use issuer::IssuerError;
pub use rules::TokenRule;

/// Bytes of a token; a request's headers are no larger than twice this.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Bytes of a caller's name.
const WHO_BYTES_MAX: usize = 512;
/// How far the issuer's clock and ours may be apart.
const LEEWAY_S: i64 = 30;
/// What is taken: nothing that is signed with what also verifies.
const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::EdDSA,
];

/// Whose tokens are taken, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// The issuer, exactly as tokens name it: an `https` URL.
    pub issuer: String,
    /// For whom a token must be.
    pub audience: String,
    /// The authority of the issuer's own certificate, in PEM, if it is not one that this host
    /// trusts anyway.
    pub ca: Option<String>,
    /// What claims mean. The first that fits decides.
    pub rules: Vec<TokenRule>,
}

/// Why a token says of nobody who he is.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is not a token that could be taken.
    #[error("the token is not one that can be taken: {0}")]
    Malformed(&'static str),
    /// Nobody of the issuer's keys has signed it, or not for us.
    #[error("the token is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// The issuer has no such key.
    #[error("the issuer has no key of the token's name")]
    UnknownKey,
    /// It is not valid any more, or not yet.
    #[error("the token is not valid at this time")]
    NotNow,
    /// No rule gives its owner a role.
    #[error("the token is valid, and gives no role here")]
    NoRole,
    /// Without the issuer's keys no token can be looked at.
    #[error("the keys of the issuer cannot be had")]
    NoKeys,
}

impl TokenError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRole => ErrorKind::PermissionDenied,
            Self::NoKeys => ErrorKind::Unavailable,
            _ => ErrorKind::Unauthenticated,
        }
    }
}

/// Looks at tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokens {
    issuer: Issuer,
    validation: Validation,
    rules: std::sync::Arc<[TokenRule]>,
}

impl Tokens {
    /// Asks nobody yet: the keys are got with the first token.
    ///
    /// # Errors
    /// The issuer is no `https` URL, or its authority cannot be read.
    pub fn new(settings: TokenSettings) -> Result<Self, IssuerError> {
        crypto::install();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims = ["exp", "iss", "aud", "sub"].map(str::to_owned).into();
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        // By the clock that we are given, below.
        validation.validate_exp = false;
        Ok(Self {
            issuer: Issuer::new(settings.issuer, settings.ca.as_deref())?,
            validation,
            rules: settings.rules.into(),
        })
    }

    /// Whom a token is about.
    ///
    /// # Errors
    /// It does not say, or the issuer cannot be asked for its keys.
    pub async fn identify(&self, token: &str, now: Stamp) -> Result<Identity, TokenError> {
        let header = header(token)?;
        let keys = self.issuer.keys(header.kid.as_deref(), now.boot).await;
        let keys = keys.ok_or(TokenError::NoKeys)?;
        self.judge(token, &header, &keys, now.wall)
    }

    /// The same, by these keys.
    fn judge(
        &self,
        token: &str,
        header: &Header,
        keys: &JwkSet,
        now: WallTime,
    ) -> Result<Identity, TokenError> {
        let key = find(keys, header).ok_or(TokenError::UnknownKey)?;
        let key = DecodingKey::from_jwk(key).map_err(TokenError::Invalid)?;
        let validation = Validation {
            algorithms: vec![header.alg],
            ..self.validation.clone()
        };
        let claims = decode::<Map<String, Value>>(token, &key, &validation);
        let claims = claims.map_err(TokenError::Invalid)?.claims;
        let expires = valid_until(&claims, now).ok_or(TokenError::NotNow)?;
        let (role, reach) = rules::decide(&self.rules, &claims).ok_or(TokenError::NoRole)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let who = format!(
            "{}#{}",
            text("iss").unwrap_or_default(),
            text("sub").unwrap_or_default()
        );
        if who.len() > WHO_BYTES_MAX {
            return Err(TokenError::Malformed("its subject is too long"));
        }
        Ok(Identity {
            who,
            credential: text("jti").map(|id| id.chars().take(WHO_BYTES_MAX).collect()),
            proof: Proof::Token,
            role,
            reach,
            expires: Some(expires),
        })
    }
}

fn header(token: &str) -> Result<Header, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed("it is too long"));
    }
    let header = decode_header(token).map_err(TokenError::Invalid)?;
    match ALGORITHMS.contains(&header.alg) {
        true => Ok(header),
        false => Err(TokenError::Malformed("its algorithm is not taken")),
    }
}

/// The key that a token names; the only one if it names none.
fn find<'k>(keys: &'k JwkSet, header: &Header) -> Option<&'k Jwk> {
    let key = match (&header.kid, keys.keys.as_slice()) {
        (Some(kid), _) => keys.find(kid)?,
        (None, [only]) => only,
        (None, _) => return None,
    };
    let signs = matches!(
        key.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    );
    let is_public = !matches!(key.algorithm, AlgorithmParameters::OctetKey(_));
    let of_algorithm = key
        .common
        .key_algorithm
        .is_none_or(|algorithm| algorithm.to_string() == format!("{:?}", header.alg));
    (signs && is_public && of_algorithm).then_some(key)
}

/// When a token ends; `None` if it has ended, or not begun.
fn valid_until(claims: &Map<String, Value>, now: WallTime) -> Option<WallTime> {
    // Some issuers write fractions of seconds.
    let seconds = |name: &str| {
        let value = claims.get(name)?;
        value.as_i64().or_else(|| value.as_f64().map(|s| s as i64))
    };
    let end_s = seconds("exp")?;
    let now_s = now.unix_s();
    let has_begun = match claims.get("nbf") {
        Some(_) => seconds("nbf")? <= now_s.saturating_add(LEEWAY_S),
        None => true,
    };
    let end_s = end_s.saturating_add(LEEWAY_S);
    (has_begun && now_s < end_s).then(|| WallTime(end_s.saturating_mul(1_000_000_000)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
