/// The first protocol that the client offers and the server knows, by its name.
///
/// `offered` are values of headers, each a list with commas.
pub fn first_known<'a, T>(
    offered: impl IntoIterator<Item = &'a str>,
    known: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    offered
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .find_map(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offered: &[&str], expected: Option<&str>) {
        let known = ["v4", "v3"];
        let found = first_known(offered.iter().copied(), |name| {
            known.iter().find(|known| **known == name).copied()
        });
        assert_eq!(found, expected, "{offered:?}");
    }

    #[test]
    fn the_client_s_order_counts() {
        check(&["v5, v4,v3"], Some("v4"));
        check(&["v3", "v4"], Some("v3"));
        check(&["v2"], None);
        check(&["", " , "], None);
        check(&[], None);
    }
}
