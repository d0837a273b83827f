//! Requests and limits in the API's form.

use burstlet_model::spec::{ResourceList, Resources};
use burstlet_model::{Bytes, MilliCpu};
use burstlet_supervisor::TooLittle;
use serde_json::{Map, Value};

/// Amounts that are this node's to say; the others are as the pod asks for them.
const OURS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Why a pod does not have the resources that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Time will not help.
    pub(crate) for_good: bool,
    pub(crate) message: String,
}

impl Pending {
    /// There is not enough; the sentence is a kubelet's.
    pub(crate) fn short_of(short: &TooLittle) -> Self {
        Self {
            for_good: short.is_for_good(),
            message: format!(
                "Node didn't have enough resource: {}, requested: {}, used: {}, capacity: {}",
                short.resource, short.requested, short.used, short.capacity
            ),
        }
    }

    /// Kubernetes' word.
    pub(crate) const fn reason(&self) -> &'static str {
        match self.for_good {
            true => "Infeasible",
            false => "Deferred",
        }
    }
}

/// `resources` as they are, in the words of those that are asked for: the same amount keeps the text
/// that the API server has for it.
pub(crate) fn written(asked: &Value, resources: &Resources) -> Value {
    let mut written = Map::new();
    for (name, list) in [
        ("limits", resources.limits),
        ("requests", resources.requests),
    ] {
        let list = amounts(&asked[name], list);
        if !list.is_empty() {
            written.insert(name.to_owned(), list.into());
        }
    }
    written.into()
}

fn amounts(asked: &Value, list: ResourceList) -> Map<String, Value> {
    let mut amounts = asked.as_object().cloned().unwrap_or_default();
    for name in OURS {
        let before = amounts.get(name).and_then(Value::as_str);
        let is_same = before.map(|text| amount(name, text)) == Some(numbered(name, list));
        match numbered(name, list) {
            Some(_) if is_same => {}
            Some(number) => drop(amounts.insert(name.to_owned(), text(name, number).into())),
            None => drop(amounts.remove(name)),
        }
    }
    amounts
}

/// Thousandths of a core, or bytes.
fn numbered(name: &str, list: ResourceList) -> Option<u64> {
    match name {
        "cpu" => list.cpu.map(|cpu| cpu.0),
        "memory" => list.memory.map(|bytes| bytes.0),
        _ => list.ephemeral_storage.map(|bytes| bytes.0),
    }
}

fn amount(name: &str, text: &str) -> Option<u64> {
    match name {
        "cpu" => MilliCpu::parse(text).ok().map(|cpu| cpu.0),
        _ => Bytes::parse(text).ok().map(|bytes| bytes.0),
    }
}

/// An amount as the API server would write it: of what is no multiple of a power of two it takes the
/// largest power of a thousand.
fn text(name: &str, number: u64) -> String {
    if name == "cpu" {
        return MilliCpu(number).to_string();
    }
    let binary = Bytes(number).to_string();
    let is_plain = binary.bytes().all(|byte| byte.is_ascii_digit());
    let powers = [(1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")];
    let decimal = powers
        .into_iter()
        .find(|(power, _)| is_plain && number != 0 && number.is_multiple_of(*power));
    decimal.map_or(binary, |(power, suffix)| {
        format!("{}{suffix}", number / power)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(cpu: Option<u64>, memory: Option<u64>) -> ResourceList {
        ResourceList {
            cpu: cpu.map(MilliCpu),
            memory: memory.map(Bytes),
            ..ResourceList::default()
        }
    }

    #[test]
    fn what_is_as_asked_keeps_its_words_and_the_rest_is_written_as_the_server_would() {
        let asked = json!({
            "limits": {"cpu": "0.2", "memory": "64Mi", "example.com/thing": "1"},
            "requests": {"memory": "0.5Gi"},
        });
        let resources = Resources {
            limits: list(Some(200), Some(128 << 20)),
            requests: list(Some(1000), Some(1 << 29)),
        };
        let expected = json!({
            "limits": {"cpu": "0.2", "memory": "128Mi", "example.com/thing": "1"},
            "requests": {"cpu": "1", "memory": "0.5Gi"},
        });
        assert_eq!(written(&asked, &resources), expected);
    }

    #[test]
    fn what_is_not_there_yet_is_not_said() {
        let asked = json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}});
        let resources = Resources {
            limits: list(None, None),
            requests: list(Some(500), None),
        };
        let expected = json!({"requests": {"cpu": "500m"}});
        assert_eq!(written(&asked, &resources), expected);
        let none = Resources::default();
        assert_eq!(written(&Value::Null, &none), json!({}));
    }

    #[test]
    fn amounts_of_memory_have_one_text() {
        for (bytes, expected) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1Ki"),
            (1000, "1k"),
            (1_500_000, "1500k"),
            (2_000_000_000, "1953125Ki"),
            (3_000_000_001_000, "3000000001k"),
            (1 << 30, "1Gi"),
            (1_024_000, "1000Ki"),
        ] {
            assert_eq!(text("memory", bytes), expected);
        }
    }
}
