//! Fields of the group and resources of its containers, as variables and as files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use burstlet_model::Quantity;
use burstlet_model::spec::{EnvSource, ResourceList, Resources};

use super::Cx;
use super::metadata::Named;
use crate::finding::{Rule, quote};
use crate::node::Node;
use burstlet_model::expand::verbatim;

/// What fields may refer to.
pub(super) struct Facts<'f> {
    /// `None` if the metadata is refused; then nothing is looked up.
    pub(super) named: Option<&'f Named>,
    /// By container.
    pub(super) resources: BTreeMap<&'f str, Resources>,
    /// How many devices each container has.
    pub(super) devices: BTreeMap<&'f str, u32>,
}

/// Fields that are the group's whole map.
const MAPS: [&str; 2] = ["metadata.labels", "metadata.annotations"];

impl Cx<'_> {
    /// A field as a variable.
    pub(super) fn field_variable(
        &mut self,
        node: &Node<'_>,
        facts: &Facts<'_>,
    ) -> Option<EnvSource> {
        let path = self.required(node, "fieldPath")?;
        match path {
            "metadata.uid" => Some(EnvSource::GroupUid),
            "spec.nodeName" => Some(EnvSource::NodeName),
            "status.podIP" | "status.podIPs" => Some(EnvSource::GroupIp),
            "status.hostIP" | "status.hostIPs" => Some(EnvSource::HostIp),
            "spec.serviceAccountName" => {
                let path = node.at("fieldPath");
                let message = "there are no service accounts";
                self.report
                    .refuse(Rule::Unsupported, path, message, "use value");
                None
            }
            _ if MAPS.contains(&path) => {
                let message = "all labels or annotations can only be a file";
                self.report.invalid(node.at("fieldPath"), message);
                None
            }
            _ => {
                let text = self.metadata_field(node, path, facts)?;
                Some(EnvSource::Literal(verbatim(&text)))
            }
        }
    }

    /// A field as the contents of a file.
    pub(super) fn field_file(&mut self, node: &Node<'_>, facts: &Facts<'_>) -> Option<String> {
        let path = self.required(node, "fieldPath")?;
        let named = facts.named?;
        match path {
            "metadata.uid" => Some(self.context.uid.to_string()),
            "metadata.labels" => Some(lines(&named.labels)),
            "metadata.annotations" => Some(lines(&named.annotations)),
            _ => self.metadata_field(node, path, facts),
        }
    }

    fn metadata_field(&mut self, node: &Node<'_>, path: &str, facts: &Facts<'_>) -> Option<String> {
        let named = facts.named?;
        match path {
            "metadata.name" => return Some(named.name.name.to_string()),
            "metadata.namespace" => return Some(named.name.namespace.to_string()),
            _ => {}
        }
        for (prefix, map) in [
            ("labels", &named.labels),
            ("annotations", &named.annotations),
        ] {
            if let Some(key) = subscript(path, prefix) {
                return Some(map.get(key).cloned().unwrap_or_default());
            }
        }
        let message = format!(
            "{} is not a field that can be referred to here",
            quote(path)
        );
        let way_out = "metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'] and \
                       metadata.annotations['KEY'] can; in variables also spec.nodeName, \
                       status.podIP and status.hostIP";
        self.report
            .refuse(Rule::Invalid, node.at("fieldPath"), message, way_out);
        None
    }

    /// A request or limit, divided and rounded up. `own` is the container that it stands in.
    pub(super) fn resource_field(
        &mut self,
        node: &Node<'_>,
        own: Option<&str>,
        facts: &Facts<'_>,
    ) -> Option<String> {
        let resource = self.required(node, "resource")?;
        let Some(container) = node.text("containerName").or(own) else {
            let path = node.at("containerName");
            self.report
                .refuse(Rule::Required, path, "a file needs a container's name", "");
            return None;
        };
        let Some(resources) = facts.resources.get(container) else {
            let message = format!("there is no container {}", quote(container));
            self.report.invalid(node.at("containerName"), message);
            return None;
        };
        let limits = resources.limits.or(self.context.allocatable);
        let amount = match resource.split_once('.') {
            Some(("limits", name)) => amount(limits, name),
            Some(("requests", name)) => amount(resources.requests, name),
            _ => None,
        };
        let Some(nano) = amount else {
            let message = format!("{} is not a resource of a container", quote(resource));
            let way_out = "limits or requests of cpu, memory or ephemeral-storage are";
            self.report
                .refuse(Rule::Invalid, node.at("resource"), message, way_out);
            return None;
        };
        let divisor = self.divisor(node)?;
        Some(nano.div_ceil(divisor).to_string())
    }

    /// The divisor in milli units.
    fn divisor(&mut self, node: &Node<'_>) -> Option<u128> {
        let text = node.text("divisor").unwrap_or("1");
        // Kubernetes takes 0 for 1.
        match Quantity::parse(text).map(Quantity::ceil_milli) {
            Ok(0) => Some(1000),
            Ok(milli) => Some(milli),
            Err(error) => {
                self.report.invalid(node.at("divisor"), error);
                None
            }
        }
    }
}

/// An amount in milli units; what is not stated is zero.
fn amount(list: ResourceList, name: &str) -> Option<u128> {
    let milli = |units: u64| u128::from(units) * 1000;
    match name {
        "cpu" => Some(list.cpu.map_or(0, |cpu| u128::from(cpu.0))),
        "memory" => Some(list.memory.map_or(0, |bytes| milli(bytes.0))),
        "ephemeral-storage" => Some(list.ephemeral_storage.map_or(0, |bytes| milli(bytes.0))),
        _ => None,
    }
}

/// `KEY` of `metadata.<map>['KEY']`.
fn subscript<'p>(path: &'p str, map: &str) -> Option<&'p str> {
    path.strip_prefix("metadata.")?
        .strip_prefix(map)?
        .strip_prefix("['")?
        .strip_suffix("']")
}

/// One `key="value"` for each line, as the kubelet writes them.
fn lines(map: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (i, (key, value)) in map.iter().enumerate() {
        let newline = if i == 0 { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{newline}{key}={}", go_quote(value));
    }
    text
}

/// As Go's `strconv.Quote` for what labels and annotations hold.
fn go_quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() && u32::from(c) < 0x80 => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
