//! Which group is meant by a name.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};

use burstlet_model::{GroupName, Name};
use ipnet::Ipv4Net;

use crate::{Isolation, Lease};

/// The attached groups by address and by name.
#[derive(Debug)]
pub(crate) struct Names {
    domain: String,
    subnet: Ipv4Net,
    by_address: HashMap<Ipv4Addr, Holder>,
    by_name: HashMap<Holder, Ipv4Addr>,
}

/// Who has a name. Pods and other groups have their names from two authorities that know nothing
/// of each other: who may make the one must not be able to stand in for the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    /// The group.
    pub(crate) group: GroupName,
    /// Whether it is one of a cluster's pods.
    pub(crate) is_pod: bool,
}

impl From<&Lease> for Holder {
    fn from(lease: &Lease) -> Self {
        Self {
            group: lease.group.clone(),
            is_pod: lease.isolation == Isolation::Cluster,
        }
    }
}

impl Holder {
    /// Whether the two may know each other's names.
    fn is_beside(&self, other: &Self) -> bool {
        self.group.namespace == other.group.namespace && self.is_pod == other.is_pod
    }
}

/// What a name stands for, for the one who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The asker is not a group.
    NotServed,
    /// A group of the asker's namespace.
    Group(Ipv4Addr),
    /// The full name of a group of the asker's namespace.
    Named(String),
    /// Nothing that exists for the asker.
    Nothing,
    /// A name of the world outside.
    Outside,
}

impl Names {
    fn new(domain: &str, subnet: Ipv4Net) -> Self {
        Self {
            domain: domain.trim_matches('.').to_ascii_lowercase(),
            subnet,
            by_address: HashMap::new(),
            by_name: HashMap::new(),
        }
    }

    fn insert(&mut self, holder: Holder, address: Ipv4Addr) {
        self.by_address.insert(address, holder.clone());
        self.by_name.insert(holder, address);
    }

    fn remove(&mut self, address: Ipv4Addr) {
        if let Some(holder) = self.by_address.remove(&address)
            // The name may belong to a newer group by now.
            && self.by_name.get(&holder) == Some(&address)
        {
            self.by_name.remove(&holder);
        }
    }

    /// What `name`, without a dot at the end, means for `asker`.
    pub(crate) fn meaning(&self, asker: Ipv4Addr, name: &str) -> Meaning {
        let Some(asker) = self.by_address.get(&asker) else {
            return Meaning::NotServed;
        };
        let name = name.to_ascii_lowercase();
        let (rest, inside) = match self.below_domain(&name) {
            Some(rest) => (rest, true),
            None => (name.as_str(), false),
        };
        let found = self.beside(asker, rest).or_else(|| {
            let namespace = asker.group.namespace.as_str();
            let of_namespace = rest.strip_suffix(namespace)?.strip_suffix('.')?;
            self.beside(asker, of_namespace)
        });
        match found {
            Some(address) => Meaning::Group(address),
            None if inside || !name.contains('.') => Meaning::Nothing,
            None => Meaning::Outside,
        }
    }

    /// What the reverse name of `address` means for `asker`.
    pub(crate) fn reverse(&self, asker: Ipv4Addr, address: Ipv4Addr) -> Meaning {
        let Some(asker) = self.by_address.get(&asker) else {
            return Meaning::NotServed;
        };
        if !self.subnet.contains(&address) {
            return Meaning::Outside;
        }
        match self.by_address.get(&address) {
            Some(holder) if holder.is_beside(asker) => {
                let GroupName { namespace, name } = &holder.group;
                Meaning::Named(format!("{name}.{namespace}.{}.", self.domain))
            }
            _ => Meaning::Nothing,
        }
    }

    fn below_domain<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_suffix(self.domain.as_str())?;
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_suffix('.')
        }
    }

    /// The group of this name that `asker` may ask for.
    fn beside(&self, asker: &Holder, name: &str) -> Option<Ipv4Addr> {
        let holder = Holder {
            group: GroupName {
                namespace: asker.group.namespace.clone(),
                name: Name::new(name).ok()?,
            },
            is_pod: asker.is_pod,
        };
        self.by_name.get(&holder).copied()
    }
}

/// The names, shared between those who attach groups and the server.
#[derive(Clone, Debug)]
pub(crate) struct SharedNames(Arc<RwLock<Names>>);

impl SharedNames {
    pub(crate) fn new(domain: &str, subnet: Ipv4Net) -> Self {
        Self(Arc::new(RwLock::new(Names::new(domain, subnet))))
    }

    pub(crate) fn insert(&self, holder: Holder, address: Ipv4Addr) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(holder, address);
    }

    pub(crate) fn remove(&self, address: Ipv4Addr) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(address);
    }

    /// Makes the names those of `holders` only.
    pub(crate) fn replace(&self, holders: Vec<(Holder, Ipv4Addr)>) {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        names.by_address.clear();
        names.by_name.clear();
        for (holder, address) in holders {
            names.insert(holder, address);
        }
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Names) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(super) mod tests {
    use burstlet_model::Namespace;

    use super::*;

    pub(crate) const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    pub(crate) const DOTTED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
    pub(crate) const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);
    const POD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);
    pub(crate) const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    fn group(namespace: &str, name: &str) -> Holder {
        Holder {
            group: GroupName {
                namespace: Namespace::new(namespace).unwrap(),
                name: Name::new(name).unwrap(),
            },
            is_pod: false,
        }
    }

    fn pod(namespace: &str, name: &str) -> Holder {
        Holder {
            is_pod: true,
            ..group(namespace, name)
        }
    }

    pub(crate) fn names() -> SharedNames {
        let names = SharedNames::new("Burstlet.local.", "10.0.0.0/24".parse().unwrap());
        names.insert(group("shop", "web"), WEB);
        names.insert(group("shop", "a.b"), DOTTED);
        names.insert(group("bank", "vault"), OTHER);
        names
    }

    #[test]
    fn meanings() {
        let names = names();
        for (asker, name, meaning) in [
            (WEB, "web", Meaning::Group(WEB)),
            (WEB, "WEB", Meaning::Group(WEB)),
            (DOTTED, "web.shop", Meaning::Group(WEB)),
            (DOTTED, "web.shop.burstlet.local", Meaning::Group(WEB)),
            (DOTTED, "web.burstlet.local", Meaning::Group(WEB)),
            (WEB, "a.b", Meaning::Group(DOTTED)),
            (WEB, "a.b.shop.burstlet.local", Meaning::Group(DOTTED)),
            (WEB, "vault", Meaning::Nothing),
            (WEB, "vault.bank", Meaning::Outside),
            (WEB, "vault.bank.burstlet.local", Meaning::Nothing),
            (OTHER, "vault", Meaning::Group(OTHER)),
            (OTHER, "web.shop.burstlet.local", Meaning::Nothing),
            (WEB, "burstlet.local", Meaning::Nothing),
            (WEB, "notburstlet.local", Meaning::Outside),
            (WEB, "example.com", Meaning::Outside),
            (WEB, "shop", Meaning::Nothing),
            (WEB, "", Meaning::Nothing),
            (STRANGER, "web", Meaning::NotServed),
            (STRANGER, "example.com", Meaning::NotServed),
        ] {
            assert_eq!(
                names.read(|n| n.meaning(asker, name)),
                meaning,
                "{asker} {name:?}"
            );
        }
    }

    #[test]
    fn reverse_names() {
        let names = names();
        let full = Meaning::Named("web.shop.burstlet.local.".to_owned());
        for (asker, address, meaning) in [
            (DOTTED, WEB, full),
            (OTHER, WEB, Meaning::Nothing),
            (WEB, STRANGER, Meaning::Nothing),
            (WEB, Ipv4Addr::new(8, 8, 8, 8), Meaning::Outside),
            (STRANGER, WEB, Meaning::NotServed),
        ] {
            assert_eq!(
                names.read(|n| n.reverse(asker, address)),
                meaning,
                "{asker} {address}"
            );
        }
    }

    #[test]
    fn pods_and_groups_have_names_of_their_own() {
        let names = names();
        names.insert(pod("shop", "web"), POD);
        for (asker, name, meaning) in [
            (DOTTED, "web", Meaning::Group(WEB)),
            (POD, "web", Meaning::Group(POD)),
            (POD, "a.b.shop.burstlet.local", Meaning::Nothing),
        ] {
            let said = names.read(|n| n.meaning(asker, name));
            assert_eq!(said, meaning, "{asker} {name:?}");
        }
        let backwards = |asker, address| names.read(|n| n.reverse(asker, address));
        assert_eq!(backwards(DOTTED, POD), Meaning::Nothing);
        assert_eq!(backwards(POD, WEB), Meaning::Nothing);
        names.remove(POD);
        let left = names.read(|n| n.meaning(DOTTED, "web"));
        assert_eq!(left, Meaning::Group(WEB));
    }

    #[test]
    fn a_name_goes_with_its_group_only() {
        let names = names();
        let newer = Ipv4Addr::new(10, 0, 0, 5);
        names.insert(group("shop", "web"), newer);
        names.remove(WEB);
        assert_eq!(
            names.read(|n| n.meaning(DOTTED, "web")),
            Meaning::Group(newer)
        );
        assert_eq!(names.read(|n| n.meaning(WEB, "web")), Meaning::NotServed);
        names.remove(newer);
        assert_eq!(names.read(|n| n.meaning(DOTTED, "web")), Meaning::Nothing);
    }
}
