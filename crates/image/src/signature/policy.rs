//! Whose signatures images need, by what their names begin with.

use std::collections::BTreeMap;

use burstlet_model::{ErrorKind, ImageRef};

use super::PublicKey;
use crate::registry::RegistryHost;

/// The entry for every image that no other entry is for.
const EVERY: &str = "*";

/// Whose signatures images need. Without an entry for it, an image needs none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignaturePolicy {
    /// By what names of repositories begin with, in one way of writing; the empty one is of all.
    entries: BTreeMap<String, Vec<PublicKey>>,
    takes_nameless: bool,
}

/// Whose signatures count for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    /// One of these has to have signed it.
    pub(crate) keys: &'a [PublicKey],
    /// Whether the digest is enough, where a signature has no name.
    pub(crate) takes_nameless: bool,
}

/// Why an entry is not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// It is for nothing that an image can be called.
    #[error(
        "{0:?} is not what names of images begin with: write HOST, HOST:PORT, HOST/PATH, or \"*\" for every image"
    )]
    Name(String),
    /// There is one already, perhaps in another way of writing.
    #[error("{0:?} has two entries")]
    Twice(String),
}

impl ScopeError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl SignaturePolicy {
    /// Adds a registry (`registry.example`), a part of one (`registry.example/team`) or every image
    /// (`*`), and the keys one of which must have signed its images. The longest entry that fits
    /// counts; with no keys its images need no signature.
    ///
    /// # Errors
    /// It is not what a repository's name can begin with, or is there already.
    pub fn insert(&mut self, scope: &str, keys: Vec<PublicKey>) -> Result<(), ScopeError> {
        let begin = match scope {
            EVERY => String::new(),
            scope => begin(scope).ok_or_else(|| ScopeError::Name(scope.to_owned()))?,
        };
        match self.entries.insert(begin, keys) {
            None => Ok(()),
            Some(_) => Err(ScopeError::Twice(scope.to_owned())),
        }
    }

    /// Lets signatures that name no repository count under every name that their key is listed for.
    pub const fn take_nameless(&mut self) {
        self.takes_nameless = true;
    }

    /// What counts for an image; `None` if it needs no signature.
    pub(crate) fn wanted(&self, image: &ImageRef) -> Option<Wanted<'_>> {
        let name = repository(image);
        let fitting = self.entries.iter().filter(|(begin, _)| fits(begin, &name));
        let (_, keys) = fitting.max_by_key(|(begin, _)| begin.len())?;
        (!keys.is_empty()).then_some(Wanted {
            keys,
            takes_nameless: self.takes_nameless,
        })
    }
}

/// An image's repository with its registry, in one way of writing.
pub(super) fn repository(image: &ImageRef) -> String {
    format!("{}/{}", RegistryHost::of(image).place(), image.repository())
}

/// An entry's beginning of names, in one way of writing.
fn begin(scope: &str) -> Option<String> {
    let (host, path) = match scope.split_once('/') {
        Some((host, path)) => (host, Some(path)),
        None => (scope, None),
    };
    let place = host.parse::<RegistryHost>().ok()?.place();
    let Some(path) = path else {
        return Some(place);
    };
    // A repository below it has to have a name.
    let below: ImageRef = format!("{host}/{path}/x").parse().ok()?;
    (below.repository().strip_suffix("/x") == Some(path)).then(|| format!("{place}/{path}"))
}

fn fits(begin: &str, name: &str) -> bool {
    let rest = name.strip_prefix(begin);
    begin.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
