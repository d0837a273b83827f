//! Probes, hooks and the stop signal.

use burstlet_model::spec::{
    Hook, HookAction, HttpGet, HttpScheme, Lifecycle, Port, Probe, ProbeAction, Signal,
};

use super::Cx;
use super::env::Env;
use crate::bounds::{COMMAND_BYTES_MAX, GRACE_S_MAX, HTTP_HEADERS_MAX, PROBE_S_MAX};
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;

impl Cx<'_> {
    pub(super) fn probe(
        &mut self,
        container: &Node<'_>,
        name: &str,
        env: &Env,
        ports: &[Port],
    ) -> Option<Probe> {
        let node = container.get(name)?;
        let action = self.probe_action(&node, env, ports);
        let number = |cx: &mut Self, name, min, default| {
            cx.bounded(&node, name, min, PROBE_S_MAX).unwrap_or(default)
        };
        let initial_delay_s = number(self, "initialDelaySeconds", 0, 0);
        let period_s = number(self, "periodSeconds", 1, 10);
        let timeout_s = number(self, "timeoutSeconds", 1, 1);
        let failure_threshold = number(self, "failureThreshold", 1, 3);
        // The other probes' value is 1, and the survey has warned of any other.
        let success_threshold = match name {
            "readinessProbe" => number(self, "successThreshold", 1, 1),
            _ => 1,
        };
        let grace = self.bounded(&node, "terminationGracePeriodSeconds", 1, GRACE_S_MAX);
        Some(Probe {
            action: action?,
            initial_delay_s,
            period_s,
            timeout_s,
            success_threshold,
            failure_threshold,
            termination_grace_period_s: grace,
        })
    }

    fn probe_action(&mut self, node: &Node<'_>, env: &Env, ports: &[Port]) -> Option<ProbeAction> {
        let handler = self.handler(node, &["exec", "httpGet", "tcpSocket", "grpc"])?;
        match handler {
            "exec" => {
                let command = self.exec(&node.get("exec")?)?;
                Some(ProbeAction::Exec(env.expand_command(command)))
            }
            "httpGet" => self
                .http_get(&node.get("httpGet")?, ports)
                .map(ProbeAction::HttpGet),
            "tcpSocket" => {
                let node = node.get("tcpSocket")?;
                let port = self.port(&node, ports);
                let host = self.host(&node)?;
                Some(ProbeAction::TcpSocket { host, port: port? })
            }
            _ => {
                let node = node.get("grpc")?;
                let port = self.port(&node, &[])?;
                let service = node.text("service").unwrap_or_default().to_owned();
                Some(ProbeAction::Grpc { port, service })
            }
        }
    }

    pub(super) fn lifecycle(&mut self, container: &Node<'_>, ports: &[Port]) -> Lifecycle {
        let Some(node) = container.get("lifecycle") else {
            return Lifecycle::default();
        };
        let stop_signal = node.text("stopSignal").and_then(|text| {
            let signal = Signal::parse(text);
            if signal.is_none() {
                let message = format!("{} is not a signal", quote(text));
                self.report.invalid(node.at("stopSignal"), message);
            }
            signal
        });
        Lifecycle {
            post_start: self.hook(&node, "postStart", ports),
            pre_stop: self.hook(&node, "preStop", ports),
            stop_signal,
        }
    }

    fn hook(&mut self, lifecycle: &Node<'_>, name: &str, ports: &[Port]) -> Option<Hook> {
        let node = lifecycle.get(name)?;
        let action = match self.handler(&node, &["exec", "httpGet", "sleep"])? {
            "exec" => HookAction::Exec(self.exec(&node.get("exec")?)?),
            "httpGet" => HookAction::HttpGet(self.http_get(&node.get("httpGet")?, ports)?),
            _ => {
                let node = node.get("sleep")?;
                let duration_s = self.bounded(&node, "seconds", 0, GRACE_S_MAX).unwrap_or(0);
                HookAction::Sleep { duration_s }
            }
        };
        Some(Hook { action })
    }

    /// The one handler that is given.
    fn handler(&mut self, node: &Node<'_>, names: &[&'static str]) -> Option<&'static str> {
        let given: Vec<_> = names
            .iter()
            .copied()
            .filter(|name| node.has(name))
            .collect();
        match given.as_slice() {
            [one] => Some(one),
            // A handler that is refused has been reported already.
            [] if node.has("tcpSocket") => None,
            [] => {
                let message = format!(
                    "it says not what to do: one of {} is needed",
                    names.join(", ")
                );
                self.report.refuse(Rule::Required, node.path(), message, "");
                None
            }
            many => {
                let message = format!("only one of {} can be given", many.join(", "));
                self.report.invalid(node.path(), message);
                None
            }
        }
    }

    fn exec(&mut self, node: &Node<'_>) -> Option<Vec<String>> {
        let command = node.owned_texts("command");
        if command.is_empty() {
            if node.is_refused("command") {
                return None;
            }
            self.report.refuse(
                Rule::Required,
                node.at("command"),
                "the command is missing",
                "",
            );
            return None;
        }
        let bytes = command.iter().map(String::len).sum();
        self.at_most(
            node.at("command"),
            bytes,
            COMMAND_BYTES_MAX,
            "bytes of command",
        );
        Some(command)
    }

    fn http_get(&mut self, node: &Node<'_>, ports: &[Port]) -> Option<HttpGet> {
        let port = self.port(node, ports);
        let host = self.host(node);
        let path = self.http_path(node);
        let schemes = [("HTTP", HttpScheme::Http), ("HTTPS", HttpScheme::Https)];
        let scheme = self
            .word(node, "scheme", &schemes)
            .unwrap_or(HttpScheme::Http);
        let headers = self.headers(node);
        Some(HttpGet {
            host: host?,
            port: port?,
            path: path?,
            scheme,
            headers,
        })
    }

    fn http_path(&mut self, node: &Node<'_>) -> Option<String> {
        let path = node.text("path").unwrap_or("/");
        if path.chars().any(|c| c.is_control() || c == ' ') {
            self.report
                .invalid(node.at("path"), "the path has spaces or control characters");
            return None;
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(format!("{slash}{path}"))
    }

    fn headers(&mut self, node: &Node<'_>) -> Vec<(String, String)> {
        let items = node.items("httpHeaders");
        self.at_most(
            node.at("httpHeaders"),
            items.len(),
            HTTP_HEADERS_MAX,
            "headers",
        );
        let mut headers = Vec::new();
        for node in items {
            let Some(name) = self.required(&node, "name") else {
                continue;
            };
            let value = node.text("value").unwrap_or_default();
            if !check::is_header_name(name) {
                self.report
                    .invalid(node.at("name"), "not the name of an HTTP header");
            } else if !check::is_one_line(value) {
                self.report
                    .invalid(node.at("value"), "the value has control characters");
            } else {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        headers
    }

    /// `None` inside if no host is given; `None` outside if it is refused.
    #[allow(clippy::option_option, reason = "missing and refused differ")]
    fn host(&mut self, node: &Node<'_>) -> Option<Option<String>> {
        let Some(host) = node.text("host") else {
            return Some(None);
        };
        if !check::is_host(host) {
            let message = format!("{} is not a host name or address", quote(host));
            self.report.invalid(node.at("host"), message);
            return None;
        }
        Some(Some(host.to_owned()))
    }

    /// A port by number, or by its name among the container's ports.
    fn port(&mut self, node: &Node<'_>, ports: &[Port]) -> Option<u16> {
        let path = node.at("port");
        if let Some(name) = node.text("port") {
            let found = ports.iter().find(|port| port.name.as_deref() == Some(name));
            if found.is_none() {
                let message = format!("the container has no port {}", quote(name));
                let way_out = "give a number, or name one of the container's ports";
                self.report.refuse(Rule::Invalid, path, message, way_out);
            }
            return found.map(|port| port.container_port);
        }
        let Some(number) = node.number("port") else {
            if node.is_refused("port") {
                return None;
            }
            self.report
                .refuse(Rule::Required, path, "the port is missing", "");
            return None;
        };
        let port = port_number(number);
        if port.is_none() {
            self.report.invalid(path, format!("{number} is not a port"));
        }
        port
    }
}

/// A port from 1 to 65535.
pub(super) fn port_number(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port != 0)
}
