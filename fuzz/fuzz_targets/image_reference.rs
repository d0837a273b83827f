//! Names from users: image references, digests, names and uids. What is taken is spelled in one way,
//! and holds nothing that could step out of a path or a line.
#![no_main]

use burstlet_model::{ContainerName, Digest, GroupUid, ImageRef, Name, Namespace};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<ImageRef>() {
        let spelled = reference.to_string();
        check_word(&spelled, "/:@._-[]");
        assert_eq!(spelled.parse(), Ok(reference.clone()), "{spelled}");
        let familiar = reference.familiar();
        assert_eq!(familiar.parse(), Ok(reference.clone()), "{familiar}");
        let parts = reference.repository().split('/');
        assert!(parts.into_iter().all(|part| !part.starts_with('.')));
        assert!(reference.tag().is_some() || reference.digest().is_some());
    }
    let words = [
        (Digest::new(text).map(|d| d.to_string()), ":"),
        (Name::new(text).map(|n| n.to_string()), ".-"),
        (Namespace::new(text).map(|n| n.to_string()), "-"),
        (ContainerName::new(text).map(|n| n.to_string()), "-"),
        (GroupUid::new(text).map(|u| u.to_string()), "-"),
    ];
    for (word, marks) in words.into_iter().filter_map(|(w, m)| Some((w.ok()?, m))) {
        assert_eq!(word, text);
        assert!(!word.starts_with(['.', '-']) && word.len() <= 253);
        check_word(&word, marks);
    }
});

fn check_word(word: &str, marks: &str) {
    let is_good = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    assert!(!word.is_empty() && word.chars().all(is_good), "{word:?}");
    // A tag may have two dots in it; what steps out of a path is nothing else.
    let mut parts = word.split('/');
    assert!(parts.all(|part| part != "." && part != ".."), "{word:?}");
}
