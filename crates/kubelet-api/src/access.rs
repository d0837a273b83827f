//! Who asks, and whether they may.

use std::collections::BTreeMap;

use burstlet_model::Secret;

use crate::refused::Refused;

/// Whoever knows the cluster's users and their rights.
pub trait Guard: Send + Sync + 'static {
    /// Whose token it is; `None` for nobody's.
    ///
    /// # Errors
    /// It cannot be told; the client is then refused.
    fn authenticate(
        &self,
        token: &Secret<String>,
    ) -> impl Future<Output = Result<Option<Identity>, Refused>> + Send;

    /// Whether somebody has this right over this node.
    ///
    /// # Errors
    /// It cannot be told; the client is then refused.
    fn authorize(
        &self,
        who: &Identity,
        asked: Asked,
    ) -> impl Future<Output = Result<bool, Refused>> + Send;
}

/// Somebody, as the cluster knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The name of the user.
    pub user: String,
    /// What tells users of one name apart, if known.
    pub uid: Option<String>,
    /// The groups they are of.
    pub groups: Vec<String>,
    /// What else the cluster knows, and wants to be told with each question.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// A right over a part of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked {
    /// `get`, `create` and so on.
    pub verb: &'static str,
    /// The part of the node, such as `proxy` or `metrics`.
    pub subresource: &'static str,
}
