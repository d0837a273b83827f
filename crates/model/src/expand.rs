//! `$(NAME)` as Kubernetes expands it: `$$` is a dollar sign, what is not known stays as it is,
//! and nothing is expanded twice.

/// `text` with references replaced by what `lookup` knows, and the names that it does not know.
#[must_use]
pub fn expand<'v>(text: &str, lookup: impl Fn(&str) -> Option<&'v str>) -> (String, Vec<String>) {
    let mut expanded = String::with_capacity(text.len());
    let mut unknown = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|a| a.split_once(')'))
        {
            match lookup(name) {
                Some(value) => expanded.push_str(value),
                None => {
                    expanded.push_str(&format!("$({name})"));
                    unknown.push(name.to_owned());
                }
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    (expanded, unknown)
}

/// Text that expands to `text` whatever is known.
#[must_use]
pub fn verbatim(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(name: &str) -> Option<&'static str> {
        match name {
            "A" => Some("one"),
            "B" => Some("$(A)"),
            _ => None,
        }
    }

    #[test]
    fn expands_as_kubernetes() {
        for (text, expanded) in [
            ("$(A)", "one"),
            ("x$(A)y", "xoney"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$one"),
            ("$(B)", "$(A)"),
            ("$(C)", "$(C)"),
            ("$(A", "$(A"),
            ("$", "$"),
            ("$$", "$"),
            ("$x", "$x"),
            ("$()", "$()"),
            ("", ""),
        ] {
            assert_eq!(expand(text, value).0, expanded, "{text}");
        }
        assert_eq!(expand("$(C)$(A)$(D)", value).1, ["C", "D"]);
    }

    proptest! {
        #[test]
        fn verbatim_survives(text in "[$()A-C]{0,20}") {
            let (expanded, unknown) = expand(&verbatim(&text), value);
            prop_assert_eq!(expanded, text);
            prop_assert!(unknown.is_empty());
        }
    }
}
