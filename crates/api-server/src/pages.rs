//! Pages of a list that is ordered by name: a token names the last group of the page before, so
//! that groups that come and go in between neither repeat others nor hide them.

use burstlet_model::{GroupName, Name, Namespace};
use prost::Message;

/// Groups on a page.
const PAGE_GROUPS_MAX: usize = 500;
/// Bytes of a page, below the 4 MiB that clients take; the first group always fits.
const PAGE_BYTES_MAX: usize = 3 << 20;

/// As many of `items` as make a page, and whether there are more.
pub(crate) fn page<T: Message>(items: impl Iterator<Item = T>, wanted: u32) -> (Vec<T>, bool) {
    let max = match usize::try_from(wanted) {
        Ok(0) | Err(_) => PAGE_GROUPS_MAX,
        Ok(wanted) => wanted.min(PAGE_GROUPS_MAX),
    };
    let mut page = Vec::new();
    let mut bytes = 0;
    for item in items {
        bytes += item.encoded_len();
        if page.len() == max || (bytes > PAGE_BYTES_MAX && !page.is_empty()) {
            return (page, true);
        }
        page.push(item);
    }
    (page, false)
}

/// The token of a page that ends with `last`.
pub(crate) fn token(last: &GroupName) -> String {
    last.to_string()
}

/// The group that a token names; `None` if it is no token.
pub(crate) fn parse_token(token: &str) -> Option<GroupName> {
    let (namespace, name) = token.split_once('/')?;
    Some(GroupName {
        namespace: Namespace::new(namespace).ok()?,
        name: Name::new(name).ok()?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded() {
        let item = |len: usize| "x".repeat(len);
        let (one, more) = page((0..5).map(|_| item(1)), 2);
        assert_eq!((one.len(), more), (2, true));
        let (all, more) = page((0..2).map(|_| item(1)), 2);
        assert_eq!((all.len(), more), (2, false));
        let (big, more) = page((0..4).map(|_| item(2 << 20)), 0);
        assert_eq!((big.len(), more), (1, true));
        let (many, more) = page((0..501).map(|_| item(1)), 9999);
        assert_eq!((many.len(), more), (500, true));
    }

    #[test]
    fn tokens() {
        let name = parse_token("shop/web.blue").unwrap();
        assert_eq!(token(&name), "shop/web.blue");
        for bad in ["", "shop", "a/b/c", "../x", "a/"] {
            assert_eq!(parse_token(bad), None, "{bad}");
        }
    }
}
