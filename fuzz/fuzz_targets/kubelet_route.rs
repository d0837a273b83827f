//! Paths of requests to the kubelet's port. However a path is spelled it is the same thing and needs
//! the same right; no path that steps up is anything; and a session needs the right to create.
#![no_main]

use burstlet_kubelet_api::fuzzing::read;
use hyper::Method;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (u8, &str)| {
    let (method, path) = data;
    let method = match method % 4 {
        0 => Method::GET,
        1 => Method::POST,
        2 => Method::PUT,
        _ => Method::DELETE,
    };
    let found = read(&method, path);
    assert!(!found.subresources.is_empty());
    if found.is_session {
        assert_eq!(found.verb, "create");
        assert!(method == Method::GET || method == Method::POST);
    }
    if found.is_nothing && method == Method::GET {
        assert_eq!(found.verb, "get");
    }
    assert_eq!(
        read(&method, &format!("//{}//", path.replace('/', "//"))),
        found
    );
    if path.split('/').any(|part| part == ".." || part == ".") {
        assert!(found.is_nothing, "{path:?} steps up");
    }
    if !path.contains('%') {
        let spelled: String = path.bytes().map(spell).collect();
        assert_eq!(read(&method, &spelled), found, "{spelled}");
    }
});

fn spell(byte: u8) -> String {
    match byte {
        b'/' => "/".to_owned(),
        other => format!("%{other:02x}"),
    }
}
