//! Guesses which name was meant.

/// The most letters by which a guess may differ.
const DISTANCE_MAX: usize = 2;
/// Longer names are not guessed at.
const NAME_BYTES_MAX: usize = 64;

/// The name that `name` is most like, if it is like one at all.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let plain = plain(name);
    known
        .map(|other| (distance(&plain, &self::plain(other)), other))
        .filter(|(distance, other)| *distance <= DISTANCE_MAX && *distance < other.len())
        .min()
        .map(|(_, other)| other)
}

/// Without what people get wrong most: case, `_` and `-`.
fn plain(name: &str) -> Vec<char> {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Levenshtein's distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let best = (diagonal + usize::from(x != y))
                .min(left + 1)
                .min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses() {
        let known = [
            "image",
            "imagePullPolicy",
            "env",
            "envFrom",
            "tty",
            "volumeMounts",
        ];
        for (name, guess) in [
            ("Image", Some("image")),
            ("imgae", Some("image")),
            ("image_pull_policy", Some("imagePullPolicy")),
            ("volumemount", Some("volumeMounts")),
            ("en", Some("env")),
            ("somethingElse", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), guess, "{name}");
        }
    }

    #[test]
    fn counts_edits() {
        let count = |a: &str, b: &str| {
            distance(
                &a.chars().collect::<Vec<_>>(),
                &b.chars().collect::<Vec<_>>(),
            )
        };
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("abc", ""), 3);
        assert_eq!(count("abc", "abc"), 0);
    }
}
