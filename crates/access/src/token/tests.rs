use burstlet_model::{BootTime, Namespace};
use burstlet_testkit::issuer::Issuer as TestIssuer;
use serde_json::json;

use super::*;
use crate::identity::{Reach, Role};

/// What an issuer with an RSA key has signed, made with `openssl`, and its keys.
const RSA_TOKEN: &str = concat!(
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY",
    "29tIiwiYXVkIjoiYnVyc3RsZXQiLCJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMCwiZ3JvdXBzIjpbImFkbWl",
    "ucyJdfQ.i1oeSDTsUMkJeEGN12mdBO1_SvmxA6R51vtlJ5WNJYfQyEkDpdJXldDIJAGysra74nIjj1RibG7Oh2Mvh0",
    "J4D0NtnHZ_tu7uNPZEWeVCDMEqmMdR-Ue4mHKl4SGbxoeOExbLMffTyj8EIj16cYf7A5twuFC5VcRW_y3y6_k1mj7l",
    "pr75s-DFghwTol-0Xq2H8o5pIj-Kz02jNtffdNayL0IgQA84yK5F87aNgu2_BuZX416f71ixBRGrhWBzM-vq3LsT3J",
    "w36hbuJJNbJRNZ9TDo5UNuVnC1obnHcxSWhHoIVCPlxdv0T5ZTQX0AYdeX68LTZg1CoLUckJntLi2Z5A",
);
const RSA_KEYS: &str = include_str!("rsa_keys.json");

fn rule(value: &str, role: Role, namespace: Option<&str>) -> TokenRule {
    TokenRule {
        claim: "groups".to_owned(),
        value: value.to_owned(),
        role,
        namespace: namespace.map(|name| Namespace::new(name).unwrap()),
    }
}

fn tokens(issuer: &str, ca: Option<&str>) -> Tokens {
    let settings = TokenSettings {
        issuer: issuer.to_owned(),
        audience: "burstlet".to_owned(),
        ca: ca.map(str::to_owned),
        rules: vec![
            rule("admins", Role::Admin, None),
            rule("shop", Role::Operator, Some("shop")),
        ],
    };
    Tokens::new(settings).unwrap()
}

const fn now() -> Stamp {
    Stamp {
        boot: BootTime(1_000_000_000_000),
        wall: WallTime(1_800_000_000_000_000_000),
    }
}

#[test]
fn a_token_of_another_program_is_understood() {
    let tokens = tokens("https://id.example.com", None);
    let keys: JwkSet = serde_json::from_str(RSA_KEYS).unwrap();
    let judge = |token: &str| tokens.judge(token, &header(token)?, &keys, now().wall);
    let identity = judge(RSA_TOKEN).unwrap();
    assert_eq!(identity.who, "https://id.example.com#alice");
    assert_eq!((identity.role, identity.reach), (Role::Admin, Reach::Node));
    assert_eq!(identity.proof, Proof::Token);
    let end_s = 4_102_444_800 + LEEWAY_S;
    assert_eq!(identity.expires, Some(WallTime(end_s * 1_000_000_000)));
    // The last character has bits that count for nothing, the one in the middle has not.
    let (kept, signature) = RSA_TOKEN.rsplit_once('.').unwrap();
    let other = if signature.as_bytes()[100] == b'A' {
        "B"
    } else {
        "A"
    };
    let forged = format!("{kept}.{}{other}{}", &signature[..100], &signature[101..]);
    assert!(matches!(judge(&forged), Err(TokenError::Invalid(_))));
}

#[tokio::test]
async fn the_issuer_is_asked_once_for_many_tokens() {
    let issuer = TestIssuer::start();
    let tokens = tokens(&issuer.url(), Some(issuer.ca()));
    for number in 0..5 {
        let token = issuer.token(&json!({"groups": ["x", "shop"], "jti": format!("t{number}")}));
        let identity = tokens.identify(&token, now()).await.unwrap();
        let shop = Reach::Namespace(Namespace::new("shop").unwrap());
        assert_eq!((identity.role, identity.reach), (Role::Operator, shop));
        assert_eq!(identity.credential, Some(format!("t{number}")));
    }
    assert_eq!(issuer.asked(), 2, "where the keys are, and the keys");
}

#[tokio::test]
async fn what_is_not_quite_a_token_is_none() {
    let issuer = TestIssuer::start();
    let tokens = tokens(&issuer.url(), Some(issuer.ca()));
    let base = json!({
        "iss": issuer.url(), "aud": "burstlet", "sub": "mallory", "groups": "admins",
        "exp": 4_102_444_800_u64,
    });
    let with = |name: &str, value: Value| {
        let mut claims = base.clone();
        match value {
            Value::Null => {
                claims.as_object_mut().unwrap().remove(name);
            }
            value => claims[name] = value,
        }
        claims
    };
    let es = json!({"alg": "ES256", "kid": "es"});
    tokens
        .identify(&issuer.sign(&es, &base), now())
        .await
        .unwrap();
    let ended_s = now().wall.unix_s() - LEEWAY_S;
    let begins_s = now().wall.unix_s() + LEEWAY_S + 1;
    let cases = [
        (
            "another issuer",
            issuer.sign(&es, &with("iss", json!("https://other"))),
        ),
        (
            "another audience",
            issuer.sign(&es, &with("aud", json!("burstlet2"))),
        ),
        ("no audience", issuer.sign(&es, &with("aud", Value::Null))),
        ("no subject", issuer.sign(&es, &with("sub", Value::Null))),
        ("no end", issuer.sign(&es, &with("exp", Value::Null))),
        (
            "an end that is no time",
            issuer.sign(&es, &with("exp", json!("later"))),
        ),
        ("ended", issuer.sign(&es, &with("exp", json!(ended_s)))),
        ("not begun", issuer.sign(&es, &with("nbf", json!(begins_s)))),
        (
            "no role",
            issuer.sign(&es, &with("groups", json!(["guests"]))),
        ),
        (
            "a claim of another form",
            issuer.sign(&es, &with("groups", json!({"admins": 1}))),
        ),
        (
            "an unknown key",
            issuer.sign(&json!({"alg": "ES256", "kid": "x"}), &base),
        ),
        (
            "another algorithm",
            issuer.sign(&json!({"alg": "RS256", "kid": "es"}), &base),
        ),
        (
            "a shared secret",
            issuer.sign(&json!({"alg": "HS256", "kid": "es"}), &base),
        ),
        (
            "no algorithm",
            issuer.sign(&json!({"alg": "none", "kid": "es"}), &base),
        ),
        ("of another key", TestIssuer::start().sign(&es, &base)),
        (
            "too long",
            issuer.token(&json!({"x": "y".repeat(TOKEN_BYTES_MAX)})),
        ),
        ("no token", "a.b.c".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in cases {
        let identity = tokens.identify(&token, now()).await;
        assert!(identity.is_err(), "{what}: {identity:?}");
    }
}

#[tokio::test]
async fn without_the_issuers_keys_nobody_is_known() {
    let gone = TestIssuer::start();
    let tokens = tokens(&gone.url(), Some(gone.ca()));
    let token = gone.token(&json!({"groups": "admins"}));
    drop(gone);
    let error = tokens.identify(&token, now()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn an_issuer_is_asked_over_tls_or_not_at_all() {
    for bad in ["http://id.example.com", "id.example.com", ""] {
        let settings = TokenSettings {
            issuer: bad.to_owned(),
            audience: "burstlet".to_owned(),
            ca: None,
            rules: Vec::new(),
        };
        let error = Tokens::new(settings).unwrap_err();
        assert!(matches!(error, IssuerError::NotHttps(_)), "{bad}: {error}");
    }
}
