//! Which images need signatures.

use super::*;

#[test]
fn the_longest_entry_counts_however_a_name_is_written() {
    let keys: Vec<_> = (0..3).map(|_| Signer::ed25519().public()).collect();
    let of = |at: usize| vec![keys[at].clone()];
    let mut policy = SignaturePolicy::default();
    for (scope, keys) in [
        ("registry.example", of(0)),
        ("registry.example/shop", of(1)),
        ("registry.example/shop/try", vec![]),
        ("docker.io/library", of(2)),
        ("127.0.0.1:5000", of(0)),
    ] {
        policy.insert(scope, keys).unwrap();
    }
    let check = |policy: &SignaturePolicy, name: &str, expected: Option<usize>| {
        let found = policy.wanted(&name.parse().unwrap());
        let expected = expected.map(|at| wanted(std::slice::from_ref(&keys[at])));
        assert_eq!(found, expected, "{name}");
    };
    for (name, expected) in [
        ("registry.example/web", Some(0)),
        ("registry.example/shop/web:1", Some(1)),
        ("registry.example/shop", Some(1)),
        ("registry.example/shopping/web", Some(0)),
        ("registry.example/shop/try/web", None),
        ("registry.example/shop/trying", Some(1)),
        ("Registry.EXAMPLE/shop/web", Some(1)),
        ("registry.example:443/shop/web", Some(1)),
        ("registry.example:80/shop/web", Some(1)),
        ("127.0.0.1:5000/web", Some(0)),
        ("127.1:5000/web", Some(0)),
        ("0x7f000001:5000/web", Some(0)),
        ("busybox", Some(2)),
        ("index.docker.io/library/busybox", Some(2)),
        ("registry-1.docker.io/library/busybox", Some(2)),
        ("registry.example:5000/web", None),
        ("other.example/web", None),
        ("me/app", None),
    ] {
        check(&policy, name, expected);
    }
    policy.insert("*", of(2)).unwrap();
    check(&policy, "other.example/web", Some(2));
    check(&policy, "registry.example/shop/try/web", None);
    check(&policy, "registry.example/web", Some(0));
    policy.take_nameless();
    let found = policy.wanted(&"registry.example/web".parse().unwrap());
    assert!(found.unwrap().takes_nameless);
}

#[test]
fn entries_are_what_names_begin_with() {
    let mut policy = SignaturePolicy::default();
    for odd in [
        "",
        "/",
        "registry",
        "registry.example/",
        "registry.example//b",
        "registry.example/A",
        "registry.example/a:1",
        "registry.example/a/*",
        "registry.example/a@b",
        "registry.example/..",
        "https://registry.example",
        "a.*",
        " registry.example",
        "**",
    ] {
        let refused = policy.insert(odd, vec![]);
        assert_eq!(refused, Err(ScopeError::Name(odd.to_owned())));
    }
    assert_eq!(policy, SignaturePolicy::default());
    policy.insert("registry.example", vec![]).unwrap();
    for again in [
        "registry.example",
        "Registry.example",
        "registry.example:443",
    ] {
        let refused = policy.insert(again, vec![]);
        assert_eq!(refused, Err(ScopeError::Twice(again.to_owned())));
    }
}
