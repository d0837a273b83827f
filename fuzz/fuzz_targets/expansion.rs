//! `$(NAME)` in commands and environments: the same as a reading of the rules letter by letter, and
//! what is written verbatim stays.
#![no_main]

use burstlet_model::expand::{expand, verbatim};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (expanded, unknown) = expand(text, value);
    assert_eq!((expanded, unknown), naive(text));
    assert_eq!(
        expand(&verbatim(text), value),
        (text.to_owned(), Vec::new())
    );
});

fn value(name: &str) -> Option<&'static str> {
    match name {
        "A" => Some("one"),
        "B" => Some("$(A)$$"),
        "" => Some("nameless"),
        _ => None,
    }
}

fn naive(text: &str) -> (String, Vec<String>) {
    let letters: Vec<char> = text.chars().collect();
    let (mut expanded, mut unknown, mut at) = (String::new(), Vec::new(), 0);
    while let Some(letter) = letters.get(at) {
        let end = letters[at..].iter().position(|c| *c == ')');
        match (letter, letters.get(at + 1), end) {
            ('$', Some('$'), _) => {
                expanded.push('$');
                at += 2;
            }
            ('$', Some('('), Some(end)) => {
                let name: String = letters[at + 2..at + end].iter().collect();
                match value(&name) {
                    Some(value) => expanded.push_str(value),
                    None => {
                        expanded.extend(&letters[at..=at + end]);
                        unknown.push(name);
                    }
                }
                at += end + 1;
            }
            _ => {
                expanded.push(*letter);
                at += 1;
            }
        }
    }
    (expanded, unknown)
}
