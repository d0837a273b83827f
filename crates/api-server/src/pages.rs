//! Pages of a list that is ordered by name: a token names the last group of the page before, so
//! that groups that come and go in between neither repeat others nor hide them.

use burstlet_model::{GroupName, Name, Namespace};
use burstlet_supervisor::Snapshot;
use burstlet_supervisor::record::Origin;
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

/// Where a group stands in the list. A pod may have the name of a group that is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    name: GroupName,
    origin: Origin,
}

impl Place {
    /// That of a group.
    pub(crate) fn of(group: &Snapshot) -> Self {
        Self {
            name: group.name().clone(),
            origin: group.definition.origin,
        }
    }

    /// The token of a page that ends here.
    pub(crate) fn token(&self) -> String {
        format!("{}/{}", self.origin.as_str(), self.name)
    }

    /// Where the page with this token ends; `None` if it is no token.
    pub(crate) fn of_token(token: &str) -> Option<Self> {
        let mut parts = token.splitn(3, '/');
        let origin = parts.next()?;
        let known = [Origin::Direct, Origin::Kubernetes];
        let origin = known.into_iter().find(|known| known.as_str() == origin)?;
        let name = GroupName {
            namespace: Namespace::new(parts.next()?).ok()?,
            name: Name::new(parts.next()?).ok()?,
        };
        Some(Self { name, origin })
    }
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
        let direct = Place::of_token("direct/shop/web.blue").unwrap();
        assert_eq!(direct.token(), "direct/shop/web.blue");
        let pod = Place::of_token("kubernetes/shop/web.blue").unwrap();
        let next = Place::of_token("direct/shop/web.green").unwrap();
        assert!(direct < pod && pod < next);
        for bad in [
            "",
            "shop",
            "shop/web",
            "direct/a/b/c",
            "direct/../x",
            "direct/a/",
        ] {
            assert_eq!(Place::of_token(bad), None, "{bad}");
        }
    }
}
