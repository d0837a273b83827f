//! A group's source in other forms: as a Kubernetes Pod, and as the wire's messages have it.

use serde_json::{Map, Value, json};

use crate::matrix::DOCUMENT;
use crate::redact::redact;
use crate::schema::{Field, Shape, Support};
use crate::translate::SCHEDULING_ANNOTATION;

/// A group as a Kubernetes `v1` Pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodExport {
    /// The Pod; or a `v1` List of the ConfigMaps that it needs and the Pod.
    pub manifest: Value,
    /// What a Pod cannot say, and what must be seen to before it can run.
    pub notes: Vec<String>,
}

/// The source with only what the wire's messages know, in the shapes that they have: what is a
/// number or a name is text. Secrets are masked.
#[must_use]
pub fn to_wire(source: &Value) -> Value {
    match redact(source) {
        Value::Object(object) => {
            let mut wire = wire_object(&object, DOCUMENT);
            wire.remove("apiVersion");
            wire.remove("kind");
            Value::Object(wire)
        }
        other => other,
    }
}

fn wire_object(object: &Map<String, Value>, fields: &[Field]) -> Map<String, Value> {
    let mut wire = Map::new();
    for (name, value) in object {
        let Some(field) = fields.iter().find(|field| field.is_called(name)) else {
            continue;
        };
        if matches!(field.support, Support::Done | Support::Policy) {
            wire.insert(name.clone(), wire_value(value, field));
        }
    }
    wire
}

fn wire_value(value: &Value, field: &Field) -> Value {
    match (value, field.shape) {
        (Value::Number(number), Shape::NumberOrText) => number.to_string().into(),
        (Value::Object(object), Shape::Object(fields)) => {
            Value::Object(wire_object(object, fields))
        }
        (Value::Array(items), Shape::List(fields)) => items
            .iter()
            .map(|item| match item {
                Value::Object(object) => Value::Object(wire_object(object, fields)),
                other => other.clone(),
            })
            .collect(),
        _ => value.clone(),
    }
}

/// The source as a Pod. Inline configuration becomes ConfigMaps, inline secrets become references
/// to Secrets that the reader must make; words that a Pod lacks are left out and noted.
#[must_use]
pub fn to_pod(source: &Value) -> PodExport {
    let source = redact(source);
    let mut pod = PodMaker {
        name: text_at(&source, "/metadata/name"),
        namespace: text_at(&source, "/metadata/namespace"),
        extra: Vec::new(),
        notes: Vec::new(),
    };
    let mut object = source.as_object().cloned().unwrap_or_default();
    object.insert("apiVersion".to_owned(), "v1".into());
    object.insert("kind".to_owned(), "Pod".into());
    if let Some(volumes) = object
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("volumes"))
    {
        pod.volumes(volumes);
    }
    let spec = object.get_mut("spec").and_then(Value::as_object_mut);
    if spec.is_some_and(|spec| spec.remove("ephemeralContainers").is_some()) {
        let note =
            "spec.ephemeralContainers: a Pod is not created with them; kubectl debug adds them";
        pod.notes.push(note.to_owned());
    }
    for list in ["initContainers", "containers"] {
        if let Some(containers) = object.get_mut("spec").and_then(|spec| spec.get_mut(list)) {
            pod.containers(containers);
        }
    }
    annotate_scheduling(&mut object);
    let object = pod.without_own(&object, DOCUMENT, "");
    pod.finish(Value::Object(object))
}

/// A Pod says by an annotation how it is scheduled.
fn annotate_scheduling(group: &mut Map<String, Value>) {
    let spec = group.get_mut("spec").and_then(Value::as_object_mut);
    let Some(scheduling) = spec.and_then(|spec| spec.remove("scheduling")) else {
        return;
    };
    let metadata = group.entry("metadata").or_insert_with(|| json!({}));
    metadata["annotations"][SCHEDULING_ANNOTATION] = scheduling;
}

struct PodMaker {
    name: String,
    namespace: String,
    /// ConfigMaps that the Pod needs.
    extra: Vec<Value>,
    notes: Vec<String>,
}

impl PodMaker {
    fn volumes(&mut self, volumes: &mut Value) {
        for volume in volumes.as_array_mut().into_iter().flatten() {
            let name = format!("{}-{}", self.name, text_at(volume, "/name"));
            if let Some(config) = volume.get_mut("configMap") {
                self.config_map(config, &name);
            }
            if let Some(secret) = volume.get_mut("secret") {
                self.secret(secret, "secretName", &name);
            }
            let sources = volume
                .pointer_mut("/projected/sources")
                .and_then(Value::as_array_mut);
            for (i, source) in sources.into_iter().flatten().enumerate() {
                let name = format!("{name}-{i}");
                if let Some(config) = source.get_mut("configMap") {
                    self.config_map(config, &name);
                }
                if let Some(secret) = source.get_mut("secret") {
                    self.secret(secret, "name", &name);
                }
            }
        }
    }

    /// Moves the data into a ConfigMap of its own.
    fn config_map(&mut self, volume: &mut Value, name: &str) {
        let Some(volume) = volume.as_object_mut() else {
            return;
        };
        let mut map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.namespace},
        });
        for key in ["data", "binaryData"] {
            if let (Some(data), Some(map)) = (volume.remove(key), map.as_object_mut()) {
                map.insert(key.to_owned(), data);
            }
        }
        volume.insert("name".to_owned(), name.into());
        self.extra.push(map);
    }

    /// Replaces the data by a reference.
    fn secret(&mut self, volume: &mut Value, field: &str, name: &str) {
        let Some(volume) = volume.as_object_mut() else {
            return;
        };
        let mut keys = Vec::new();
        for part in ["data", "stringData"] {
            let data = volume.remove(part);
            keys.extend(
                data.iter()
                    .filter_map(Value::as_object)
                    .flat_map(Map::keys)
                    .cloned(),
            );
        }
        volume.insert(field.to_owned(), name.into());
        let keys = keys.join(", ");
        self.notes
            .push(format!("make the Secret {name} with the keys {keys} first"));
    }

    /// Replaces secret variables by references.
    fn containers(&mut self, containers: &mut Value) {
        for container in containers.as_array_mut().into_iter().flatten() {
            let secret = format!("{}-{}-env", self.name, text_at(container, "/name"));
            let env = container.get_mut("env").and_then(Value::as_array_mut);
            for variable in env.into_iter().flatten() {
                let key = text_at(variable, "/name");
                let Some(variable) = variable.as_object_mut() else {
                    continue;
                };
                if variable.remove("secretValue").is_some() {
                    let from = json!({"secretKeyRef": {"name": secret, "key": key}});
                    variable.insert("valueFrom".to_owned(), from);
                    self.notes
                        .push(format!("make the Secret {secret} with the key {key} first"));
                }
            }
        }
    }

    /// Leaves out, and notes, what a Pod has no word for.
    fn without_own(
        &mut self,
        object: &Map<String, Value>,
        fields: &[Field],
        prefix: &str,
    ) -> Map<String, Value> {
        let mut pod = Map::new();
        for (name, value) in object {
            let path = format!("{prefix}{name}");
            let Some(field) = fields.iter().find(|field| field.is_called(name)) else {
                pod.insert(name.clone(), value.clone());
                continue;
            };
            if field.own {
                self.notes
                    .push(format!("{path} is left out: a Pod has no such field"));
                continue;
            }
            let value = match (value, field.shape) {
                (Value::Object(object), Shape::Object(fields)) => {
                    Value::Object(self.without_own(object, fields, &format!("{path}.")))
                }
                (Value::Array(items), Shape::List(fields)) => {
                    let items = items.iter().enumerate();
                    items
                        .map(|(i, item)| match item {
                            Value::Object(object) => {
                                let prefix = format!("{path}[{i}].");
                                Value::Object(self.without_own(object, fields, &prefix))
                            }
                            other => other.clone(),
                        })
                        .collect()
                }
                _ => value.clone(),
            };
            pod.insert(name.clone(), value);
        }
        pod
    }

    fn finish(self, pod: Value) -> PodExport {
        let manifest = if self.extra.is_empty() {
            pod
        } else {
            let mut items = self.extra;
            items.push(pod);
            json!({"apiVersion": "v1", "kind": "List", "items": items})
        };
        PodExport {
            manifest,
            notes: self.notes,
        }
    }
}

fn text_at(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
