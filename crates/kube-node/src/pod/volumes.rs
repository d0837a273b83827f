//! Volumes: what they have by reference is put in its place.

use serde_json::{Map, Value, json};

use super::claims;
use super::inline::{Inline, Missing};
use super::needs::{TokenNeed, items, text};

/// Kubernetes' word for a volume that cannot be set up yet.
pub(crate) const MOUNT_ERROR: &str = "FailedMount";

/// Replaces references to ConfigMaps, Secrets and tokens by what they hold, and claims by what they are
/// bound to.
pub(crate) fn inline(volume: &mut Map<String, Value>, with: &Inline<'_>) -> Result<(), Missing> {
    let name = volume
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let missing = {
        let name = name.to_owned();
        move |problem: String| Missing {
            reason: MOUNT_ERROR,
            message: format!("MountVolume.SetUp failed for volume \"{name}\" : {problem}"),
            container: None,
        }
    };
    if claims::is_claim(volume) {
        // One that is not resolved stays, and is refused with its path.
        if let Some(source) = with.fetched.volumes.get(name) {
            *volume = named(name, source);
        }
    } else if let Some(config) = volume.get_mut("configMap") {
        let name = text(config, "name").unwrap_or_default().to_owned();
        let object = with.fetched.config_maps.get(&name);
        *config = filled(config, object, &Kind::config_map(&name)).map_err(missing)?;
    } else if let Some(secret) = volume.get_mut("secret") {
        let name = text(secret, "secretName").unwrap_or_default().to_owned();
        let object = with.fetched.secrets.get(&name);
        *secret = filled(secret, object, &Kind::secret(&name)).map_err(missing)?;
    } else if let Some(projected) = volume.get_mut("projected") {
        let sources = items(projected.get("sources"));
        let sources: Result<Vec<Value>, String> =
            sources.map(|source| projection(source, with)).collect();
        projected["sources"] = sources.map_err(missing)?.into();
    }
    Ok(())
}

/// A volume with its name.
fn named(name: &str, source: &Value) -> Map<String, Value> {
    let mut volume = source.as_object().cloned().unwrap_or_default();
    volume.insert("name".to_owned(), name.into());
    volume
}

fn projection(source: &Value, with: &Inline<'_>) -> Result<Value, String> {
    if let Some(config) = source.get("configMap") {
        let name = text(config, "name").unwrap_or_default();
        let object = with.fetched.config_maps.get(name);
        return Ok(json!({"configMap": filled(config, object, &Kind::config_map(name))?}));
    }
    if let Some(secret) = source.get("secret") {
        let name = text(secret, "name").unwrap_or_default();
        let object = with.fetched.secrets.get(name);
        return Ok(json!({"secret": filled(secret, object, &Kind::secret(name))?}));
    }
    if let Some(token) = source.get("serviceAccountToken") {
        let need = TokenNeed::of(token);
        let Some(issued) = with.fetched.tokens.get(&need) else {
            return Err("the service account's token was not issued".to_owned());
        };
        return Ok(json!({"secret": {
            "stringData": {"token": issued},
            "items": [{"key": "token", "path": token["path"]}],
        }}));
    }
    Ok(source.clone())
}

/// What is filled in, and how it is spoken of.
struct Kind<'n> {
    word: &'static str,
    name: &'n str,
    /// The fields that hold contents.
    contents: &'static [&'static str],
}

impl<'n> Kind<'n> {
    const fn config_map(name: &'n str) -> Self {
        Self {
            word: "configmap",
            name,
            contents: &["data", "binaryData"],
        }
    }

    const fn secret(name: &'n str) -> Self {
        Self {
            word: "secret",
            name,
            contents: &["data"],
        }
    }
}

/// The volume with the object's contents instead of its name.
fn filled(volume: &Value, object: Option<&Value>, kind: &Kind<'_>) -> Result<Value, String> {
    let optional = volume["optional"] == true;
    let mut filled = volume.as_object().cloned().unwrap_or_default();
    for name in ["name", "secretName", "optional"] {
        filled.remove(name);
    }
    match object {
        Some(object) => {
            for field in kind.contents {
                if let Some(contents) = object.get(*field).filter(|c| c.is_object()) {
                    filled.insert((*field).to_owned(), contents.clone());
                }
            }
        }
        None if optional => {}
        None => return Err(format!("{} \"{}\" not found", kind.word, kind.name)),
    }
    let has = |key: &str| {
        kind.contents
            .iter()
            .any(|field| filled.get(*field).is_some_and(|c| c.get(key).is_some()))
    };
    let absent = |item: &&Value| !text(item, "key").is_some_and(&has);
    if let Some(item) = items(volume.get("items"))
        .find(absent)
        .filter(|_| !optional)
    {
        return Err(format!(
            "{} references non-existent key: {}",
            kind.word,
            text(item, "key").unwrap_or_default()
        ));
    }
    let kept: Vec<Value> = items(volume.get("items"))
        .filter(|item| !absent(item))
        .cloned()
        .collect();
    // Without any of the keys it asks for, a volume is empty; without `items` it would be all.
    if filled
        .remove("items")
        .is_some_and(|items| items.as_array().is_some_and(|i| !i.is_empty()))
    {
        if kept.is_empty() {
            filled.retain(|name, _| !kind.contents.contains(&name.as_str()));
        } else {
            filled.insert("items".to_owned(), kept.into());
        }
    }
    Ok(Value::Object(filled))
}
