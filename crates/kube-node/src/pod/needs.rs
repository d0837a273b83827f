//! What a pod refers to that has to be fetched before it can run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::claims::{self, Claim, Volumes};

/// What must be fetched, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) config_maps: BTreeSet<String>,
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) tokens: BTreeSet<TokenNeed>,
    pub(crate) claims: BTreeSet<String>,
}

/// A token of the pod's service account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenNeed {
    /// Who it is for; empty for the API server.
    pub(crate) audience: String,
    pub(crate) expiration_s: i64,
}

/// Something that pods refer to by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    ConfigMap,
    Secret,
}

/// What was fetched; what is missing does not exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) config_maps: BTreeMap<String, Value>,
    pub(crate) secrets: BTreeMap<String, Value>,
    pub(crate) tokens: BTreeMap<TokenNeed, String>,
    pub(crate) claims: BTreeMap<String, Claim>,
    /// The node's `metadata`, if a claim's volume asks for it.
    pub(crate) node: Value,
    /// What the claims come to.
    pub(crate) volumes: Volumes,
}

impl Needs {
    /// What may change of it, in a namespace.
    pub(crate) fn objects(&self, namespace: &str) -> impl Iterator<Item = Object> {
        let of = |kind, names: &BTreeSet<String>| {
            let names = names.clone().into_iter();
            let namespace = namespace.to_owned();
            names.map(move |name| Object {
                kind,
                namespace: namespace.clone(),
                name,
            })
        };
        of(Kind::ConfigMap, &self.config_maps).chain(of(Kind::Secret, &self.secrets))
    }
}

impl Fetched {
    /// The versions of `objects`, but for those that cannot change; empty for one that is not there.
    pub(crate) fn versions(
        &self,
        objects: impl Iterator<Item = Object>,
    ) -> BTreeMap<Object, String> {
        let version = |object: Object| {
            let found = match object.kind {
                Kind::ConfigMap => self.config_maps.get(&object.name),
                Kind::Secret => self.secrets.get(&object.name),
            };
            if found.is_some_and(|found| found["immutable"] == true) {
                return None;
            }
            let version = found.and_then(|f| f["metadata"]["resourceVersion"].as_str());
            Some((object, version.unwrap_or_default().to_owned()))
        };
        objects.filter_map(version).collect()
    }
}

/// What the API server makes of a token whose expiration is not stated.
const EXPIRATION_S_DEFAULT: i64 = 3600;

impl TokenNeed {
    /// From a projection's `serviceAccountToken`.
    pub(crate) fn of(projection: &Value) -> Self {
        Self {
            audience: text(projection, "audience").unwrap_or_default().to_owned(),
            expiration_s: projection["expirationSeconds"]
                .as_i64()
                .unwrap_or(EXPIRATION_S_DEFAULT),
        }
    }
}

/// Everything that a pod of this name refers to by its specification.
pub(crate) fn needs(pod: &str, spec: &Map<String, Value>) -> Needs {
    let mut needs = Needs {
        claims: claims::names(pod, spec),
        ..Needs::default()
    };
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items(spec.get(list)) {
            of_container(container, &mut needs);
        }
    }
    for volume in items(spec.get("volumes")) {
        of_volume(volume, &mut needs);
    }
    for secret in items(spec.get("imagePullSecrets")) {
        needs.secrets.extend(name(secret));
    }
    needs
}

/// The items of a list; none if it is none.
pub(crate) fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

/// A text of an object, unless it is empty.
pub(crate) fn text<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object[name].as_str().filter(|text| !text.is_empty())
}

fn name(reference: &Value) -> Option<String> {
    text(reference, "name").map(str::to_owned)
}

fn of_container(container: &Value, needs: &mut Needs) {
    for source in items(container.get("envFrom")) {
        needs.config_maps.extend(name(&source["configMapRef"]));
        needs.secrets.extend(name(&source["secretRef"]));
    }
    for variable in items(container.get("env")) {
        let from = &variable["valueFrom"];
        needs.config_maps.extend(name(&from["configMapKeyRef"]));
        needs.secrets.extend(name(&from["secretKeyRef"]));
    }
}

fn of_volume(volume: &Value, needs: &mut Needs) {
    needs.config_maps.extend(name(&volume["configMap"]));
    let secret = text(&volume["secret"], "secretName");
    needs.secrets.extend(secret.map(str::to_owned));
    for source in items(volume["projected"].get("sources")) {
        needs.config_maps.extend(name(&source["configMap"]));
        needs.secrets.extend(name(&source["secret"]));
        if let Some(token) = source.get("serviceAccountToken") {
            needs.tokens.insert(TokenNeed::of(token));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_reference_is_found_once() {
        let spec = json!({
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "m1"}}, {"secretRef": {"name": "s1"}}]}],
            "containers": [{"env": [
                {"name": "A", "value": "plain"},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "m2", "key": "k"}}},
                {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}},
            ]}],
            "volumes": [
                {"name": "v", "configMap": {"name": "m1"}},
                {"name": "w", "secret": {"secretName": "s2"}},
                {"name": "x", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                    {"serviceAccountToken": {"path": "other", "audience": "vault"}},
                    {"configMap": {"name": "m3"}},
                    {"secret": {"name": "s3"}},
                ]}},
                {"name": "y", "persistentVolumeClaim": {"claimName": "disk"}},
                {"name": "z", "ephemeral": {"volumeClaimTemplate": {}}},
            ],
            "ephemeralContainers": [{"envFrom": [{"configMapRef": {"name": "m4"}}]}],
            "imagePullSecrets": [{"name": "pull"}],
        });
        let found = spec.as_object().map(|spec| needs("web-0", spec));
        let found = found.unwrap_or_default();
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&found.config_maps), "m1 m2 m3 m4");
        assert_eq!(names(&found.secrets), "pull s1 s2 s3");
        assert_eq!(names(&found.claims), "disk web-0-z");
        let tokens: Vec<_> = found
            .tokens
            .iter()
            .map(|t| (t.audience.as_str(), t.expiration_s))
            .collect();
        assert_eq!(tokens, [("", 3607), ("vault", 3600)]);
    }

    #[test]
    fn what_cannot_change_has_no_version() {
        let needs = Needs {
            config_maps: ["fixed", "missing"].map(str::to_owned).into(),
            secrets: ["login"].map(str::to_owned).into(),
            ..Needs::default()
        };
        let mut fetched = Fetched::default();
        let fixed = json!({"immutable": true, "metadata": {"resourceVersion": "7"}});
        fetched.config_maps.insert("fixed".to_owned(), fixed);
        let login = json!({"metadata": {"resourceVersion": "8"}});
        fetched.secrets.insert("login".to_owned(), login);
        let versions = fetched.versions(needs.objects("shop"));
        let versions: Vec<_> = versions
            .iter()
            .map(|(object, version)| (object.kind, object.name.as_str(), version.as_str()))
            .collect();
        let expected = [
            (Kind::ConfigMap, "missing", ""),
            (Kind::Secret, "login", "8"),
        ];
        assert_eq!(versions, expected);
    }
}
