use burstlet_model::Namespace;
use serde_json::{Map, Value};

use crate::identity::{Reach, Role};

/// What a claim means: whoever has this value in it has this role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRule {
    /// The claim's name. Its value is a text, or a list of texts.
    pub claim: String,
    /// The value, or one of the list.
    pub value: String,
    /// The role.
    pub role: Role,
    /// In this namespace; on the whole node if there is none.
    pub namespace: Option<Namespace>,
}

/// What the first rule that fits gives.
pub(super) fn decide(rules: &[TokenRule], claims: &Map<String, Value>) -> Option<(Role, Reach)> {
    let fits = |rule: &&TokenRule| match claims.get(&rule.claim) {
        Some(Value::String(text)) => *text == rule.value,
        Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(&rule.value)),
        _ => false,
    };
    let rule = rules.iter().find(fits)?;
    let reach = match &rule.namespace {
        Some(namespace) => Reach::Namespace(namespace.clone()),
        None => Reach::Node,
    };
    Some((rule.role, reach))
}
