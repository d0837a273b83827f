//! Environment variables: what a container has by reference is put in its place.

use burstlet_model::expand::verbatim;
use serde_json::{Map, Value, json};

use super::inline::{Inline, Missing};
use super::needs::{items, text};

/// Kubernetes' word for a container that cannot be put together (yet).
pub(crate) const CONFIG_ERROR: &str = "CreateContainerConfigError";

/// Replaces `envFrom` and references in `env`; variables of Services come first.
pub(crate) fn inline(container: &mut Map<String, Value>, with: &Inline<'_>) -> Result<(), Missing> {
    let own_name = container.get("name").and_then(Value::as_str);
    let missing = |message| Missing {
        reason: CONFIG_ERROR,
        message,
        container: own_name.map(str::to_owned),
    };
    let mut variables: Vec<Value> = with.services.iter().map(|(n, v)| literal(n, v)).collect();
    for source in items(container.get("envFrom")) {
        variables.extend(all_of(source, with).map_err(missing)?);
    }
    for variable in items(container.get("env")) {
        variables.extend(one(variable, with).map_err(missing)?);
    }
    container.remove("envFrom");
    if variables.is_empty() {
        container.remove("env");
    } else {
        container.insert("env".to_owned(), variables.into());
    }
    Ok(())
}

/// A variable that is exactly `value`.
fn literal(name: &str, value: &str) -> Value {
    json!({"name": name, "value": verbatim(value)})
}

fn all_of(source: &Value, with: &Inline<'_>) -> Result<Vec<Value>, String> {
    let prefix = text(source, "prefix").unwrap_or_default();
    let (reference, secret) = match source.get("secretRef") {
        Some(reference) => (reference, true),
        None => (&source["configMapRef"], false),
    };
    let name = text(reference, "name").unwrap_or_default();
    let found = match secret {
        true => with.fetched.secrets.get(name),
        false => with.fetched.config_maps.get(name),
    };
    let Some(object) = found else {
        return match reference["optional"].as_bool() {
            Some(true) => Ok(Vec::new()),
            _ if secret => Err(format!("secret \"{name}\" not found")),
            _ => Err(format!("configmap \"{name}\" not found")),
        };
    };
    let data = object["data"].as_object().into_iter().flatten();
    Ok(data
        .filter_map(|(key, value)| {
            let name = format!("{prefix}{key}");
            match secret {
                true => Some(json!({"name": name, "secretValue": decoded(value)?})),
                false => Some(literal(&name, value.as_str()?)),
            }
        })
        .collect())
}

/// `None` for an optional one that is not there.
fn one(variable: &Value, with: &Inline<'_>) -> Result<Option<Value>, String> {
    let from = &variable["valueFrom"];
    let name = &variable["name"];
    if let Some(reference) = from.get("secretKeyRef") {
        let object = text(reference, "name").unwrap_or_default();
        let found = keyed(
            with.fetched.secrets.get(object),
            reference,
            "secret",
            "Secret",
            with,
        )?;
        let value = found.and_then(decoded);
        return Ok(value.map(|value| json!({"name": name, "secretValue": value})));
    }
    if let Some(reference) = from.get("configMapKeyRef") {
        let object = text(reference, "name").unwrap_or_default();
        let maps = &with.fetched.config_maps;
        let found = keyed(maps.get(object), reference, "configmap", "ConfigMap", with)?;
        let value = found.and_then(Value::as_str).map(verbatim);
        return Ok(value.map(|value| json!({"name": name, "value": value})));
    }
    if from["fieldRef"]["fieldPath"] == "spec.serviceAccountName" {
        let account = verbatim(with.service_account);
        return Ok(Some(json!({"name": name, "value": account})));
    }
    Ok(Some(variable.clone()))
}

fn keyed<'o>(
    object: Option<&'o Value>,
    reference: &Value,
    word: &str,
    kind: &str,
    with: &Inline<'_>,
) -> Result<Option<&'o Value>, String> {
    let optional = reference["optional"] == true;
    let name = text(reference, "name").unwrap_or_default();
    let key = text(reference, "key").unwrap_or_default();
    match object.map(|object| object["data"].get(key)) {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional => Ok(None),
        Some(None) => Err(format!(
            "couldn't find key {key} in {kind} {}/{name}",
            with.namespace
        )),
        None => Err(format!("{word} \"{name}\" not found")),
    }
}

/// A Secret's value as text: a variable cannot hold anything else.
fn decoded(value: &Value) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str()?);
    Some(String::from_utf8_lossy(&bytes.ok()?).into_owned())
}
