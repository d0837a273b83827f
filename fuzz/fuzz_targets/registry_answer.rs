//! What a registry answers, and files of credentials. A challenge leads the credentials of a registry
//! to its own host and to no other; a file's credentials are for a host and for nothing else.
#![no_main]

use burstlet_image::fuzzing::token_server;
use burstlet_image::registry::{Credentials, RegistryHost, parse_pull_secret};
use libfuzzer_sys::fuzz_target;

/// Bytes of the longest challenge.
const CHALLENGE_BYTES_MAX: usize = 4096;

fuzz_target!(|data: (u8, &str)| {
    let (kind, text) = data;
    match kind % 4 {
        0 => check_secret(text),
        1 => check_challenge("r.io", &[("r.io", None)], text),
        2 => check_challenge("r.io:5000", &[("r.io", None)], text),
        _ => {
            let hosts = [
                ("registry-1.docker.io", None),
                ("auth.docker.io", Some(443)),
            ];
            check_challenge("docker.io", &hosts, text);
        }
    }
});

/// `hosts` are those that the credentials may go to, each with its port if only that one may.
fn check_challenge(registry: &str, hosts: &[(&str, Option<u16>)], challenge: &str) {
    let registry: RegistryHost = registry.parse().expect("a registry");
    let Some((host, port)) = token_server(&registry, challenge) else {
        return;
    };
    let may = |(known, only): &(&str, Option<u16>)| {
        host == *known && only.is_none_or(|only| port == only)
    };
    assert!(hosts.iter().any(may), "credentials go to {host}:{port}");
    assert!(challenge.len() <= CHALLENGE_BYTES_MAX);
}

fn check_secret(text: &str) {
    for found in parse_pull_secret(text).unwrap_or_default() {
        let registry = found.registry.as_str();
        assert_eq!(registry.parse::<RegistryHost>(), Ok(found.registry.clone()));
        assert!(
            !registry.contains(['/', '@', '?', '#', '\\', ' ']),
            "{registry:?}"
        );
        if let Credentials::Basic { username, password } = &found.credentials {
            assert!(
                !username.contains(':'),
                "{username:?} in a header of name and password"
            );
            let (secret, shown) = (password.expose(), format!("{found:?}"));
            let is_elsewhere =
                username.contains(secret.as_str()) || registry.contains(secret.as_str());
            // A short one stands in some word of what is shown.
            assert!(secret.len() < 24 || is_elsewhere || !shown.contains(secret.as_str()));
        }
    }
}
