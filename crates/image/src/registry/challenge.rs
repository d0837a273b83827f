//! The `WWW-Authenticate` header, parsed by the grammar of RFC 9110 and nothing more.

/// Why a challenge is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry's authentication challenge is refused: {0}")]
pub struct ChallengeError(&'static str);

/// What a registry asks for. Schemes that we do not speak are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

const HEADER_BYTES_MAX: usize = 4096;
const CHALLENGES_MAX: usize = 8;
const PARAMETERS_MAX: usize = 16;

/// Chooses the strongest challenge of a header that we can answer.
pub(super) fn choose(header: &str) -> Result<Challenge, ChallengeError> {
    let mut challenges = parse(header)?;
    let bearer = challenges
        .iter()
        .position(|one| matches!(one, Challenge::Bearer { .. }));
    match bearer.or_else(|| (!challenges.is_empty()).then_some(0)) {
        Some(at) => Ok(challenges.swap_remove(at)),
        None => Err(ChallengeError("it offers neither Bearer nor Basic")),
    }
}

/// All challenges of a header that we can answer.
fn parse(header: &str) -> Result<Vec<Challenge>, ChallengeError> {
    if header.len() > HEADER_BYTES_MAX {
        return Err(ChallengeError("it is longer than 4 KiB"));
    }
    let mut reader = Reader { rest: header };
    let mut challenges = Vec::new();
    reader.skip_commas();
    for _ in 0..CHALLENGES_MAX {
        if reader.rest.is_empty() {
            return Ok(challenges);
        }
        let scheme = reader
            .token()
            .ok_or(ChallengeError("a scheme's name is missing"))?;
        let parameters = reader.parameters()?;
        if scheme.eq_ignore_ascii_case("basic") {
            challenges.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer") {
            challenges.push(bearer(parameters)?);
        }
    }
    Err(ChallengeError("it has too many schemes"))
}

type Parameters = Vec<(String, String)>;

fn bearer(mut parameters: Parameters) -> Result<Challenge, ChallengeError> {
    let mut take = |name: &str| {
        let at = parameters.iter().position(|(key, _)| key == name)?;
        Some(parameters.swap_remove(at).1)
    };
    let realm = take("realm").ok_or(ChallengeError("Bearer without a realm"))?;
    Ok(Challenge::Bearer {
        realm,
        service: take("service"),
    })
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn skip_commas(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// The parameters up to the end or to the next scheme.
    fn parameters(&mut self) -> Result<Parameters, ChallengeError> {
        let mut parameters = Parameters::new();
        loop {
            self.skip_commas();
            let before = self.rest;
            let Some(name) = self.token() else {
                return if self.rest.is_empty() {
                    Ok(parameters)
                } else {
                    Err(ChallengeError("a parameter's name is missing"))
                };
            };
            self.skip_space();
            let Some(rest) = self.rest.strip_prefix('=') else {
                // Not a parameter but the next scheme.
                self.rest = before;
                return Ok(parameters);
            };
            self.rest = rest;
            self.skip_space();
            let value = self.value()?;
            let name = name.to_ascii_lowercase();
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(ChallengeError("a parameter occurs twice"));
            }
            if parameters.len() == PARAMETERS_MAX {
                return Err(ChallengeError("it has too many parameters"));
            }
            parameters.push((name, value));
            self.end_of_parameter()?;
        }
    }

    fn end_of_parameter(&mut self) -> Result<(), ChallengeError> {
        self.skip_space();
        match self.rest.chars().next() {
            None | Some(',') => Ok(()),
            Some(_) => Err(ChallengeError("a comma is missing after a parameter")),
        }
    }

    fn value(&mut self) -> Result<String, ChallengeError> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let token = self
                .token()
                .ok_or(ChallengeError("a parameter has no value"))?;
            return Ok(token.to_owned());
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = quoted.get(at + 1..).unwrap_or("");
                    return Ok(value);
                }
                '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
                c if c.is_control() => {
                    return Err(ChallengeError("a value has a control character"));
                }
                c => value.push(c),
            }
        }
        Err(ChallengeError("a quoted value does not end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_of_known_registries() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull""#,
                bearer("https://auth.docker.io/token", Some("registry.docker.io")),
            ),
            (r#"Basic realm="Registry Realm""#, Challenge::Basic),
            ("basic", Challenge::Basic),
            (r#"bearer REALM="x""#, bearer("x", None)),
            (
                r#"Basic realm="a", Bearer realm="b" , service=c"#,
                bearer("b", Some("c")),
            ),
            (r#"Negotiate, Basic realm="a, Bearer""#, Challenge::Basic),
            (r#"Bearer realm = "a\"b""#, bearer("a\"b", None)),
            (
                r#"Digest nonce="x", realm="y", Basic realm="z""#,
                Challenge::Basic,
            ),
        ] {
            assert_eq!(choose(header), Ok(expected), "{header}");
        }
    }

    #[test]
    fn refused() {
        let long = format!("Bearer realm=\"{}\"", "x".repeat(HEADER_BYTES_MAX));
        let many: String = (0..20).map(|n| format!("p{n}=1,")).collect();
        for header in [
            "",
            "Negotiate",
            "Bearer",
            r#"Bearer service="a""#,
            r#"Bearer realm="a"#,
            r#"Bearer realm="a" service="b""#,
            r#"Bearer realm="a",realm="b""#,
            "Bearer realm=",
            "Bearer realm=\"a\u{7}\"",
            "=x",
            long.as_str(),
            &format!("Bearer {many}"),
        ] {
            assert!(choose(header).is_err(), "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "\\PC{0,100}") {
            let _ = choose(&header);
        }

        #[test]
        fn what_is_quoted_comes_back(realm in "[ -~]{0,40}", service in "[ -~]{0,40}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!(
                "Basic realm=\"x\", Bearer realm=\"{}\",service=\"{}\"", quote(&realm), quote(&service),
            );
            prop_assert_eq!(choose(&header), Ok(bearer(&realm, Some(&service))));
        }
    }
}
