//! Certificates of callers. Somebody is known only by the one URI that says all that he may, spelled as
//! the certificate has it.
#![no_main]

use burstlet_access::{Proof, Reach, TrustDomain, identify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    let domain = TrustDomain::default();
    let Ok(found) = identify(der, &domain) else {
        return;
    };
    let expected = match &found.reach {
        Reach::Node => format!("spiffe://burstlet/role/{}", found.role),
        Reach::Namespace(name) => format!("spiffe://burstlet/tenant/{name}/role/{}", found.role),
    };
    assert_eq!(found.who, expected);
    assert_eq!(found.proof, Proof::Certificate);
    assert!(found.expires.is_some() && found.credential.is_some());
    let occurrences = der
        .windows(expected.len())
        .filter(|part| *part == expected.as_bytes());
    assert!(
        occurrences.count() >= 1,
        "{expected} is not in the certificate"
    );
});
