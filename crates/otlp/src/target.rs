//! Where the collector is, and one by gRPC.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Extensions, Request, Status};

use crate::counts::Signal;
use crate::record::{Value, pair};
use crate::send::{Batch, Collector};

/// How long a connection may take to be made.
const CONNECT_SECONDS_MAX: u64 = 5;
/// How long the collector may take for an answer.
const ANSWER_SECONDS_MAX: u64 = 10;

/// Where the collector is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `http://` in the clear or `https://`, with a port.
    pub endpoint: String,
    /// The authority of its certificate in PEM; the system's authorities without one.
    pub ca: Option<Vec<u8>>,
    /// Sent with every call, as `authorization`.
    pub headers: Vec<(String, String)>,
}

/// Who tells: the same with everything that is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The program.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Which of them: the machine's name.
    pub instance: String,
}

/// Why there is no way to the collector.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The endpoint is no URL.
    #[error("the endpoint {endpoint:?} is no URL such as http://collector:4317")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong, if the URL cannot be read.
        #[source]
        source: Option<tonic::transport::Error>,
    },
    /// TLS cannot be set up.
    #[error("set up TLS for the collector")]
    Tls(#[source] tonic::transport::Error),
    /// A header cannot be sent. Its value may be secret, and is not said.
    #[error("the header {0:?} cannot be sent")]
    Header(String),
}

/// A collector that is reached by gRPC. The connection is made when it is needed, and again when it
/// broke.
#[derive(Clone, Debug)]
pub struct Grpc {
    channel: Channel,
    headers: MetadataMap,
    resource: Resource,
    scope: InstrumentationScope,
}

impl Grpc {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// The target is none.
    pub fn new(target: &Target, source: &Source) -> Result<Self, TargetError> {
        let bad = |source| TargetError::Endpoint {
            endpoint: target.endpoint.clone(),
            source,
        };
        let endpoint = Endpoint::from_shared(target.endpoint.clone());
        let mut endpoint = endpoint.map_err(|error| bad(Some(error)))?;
        endpoint = match endpoint.uri().scheme_str() {
            Some("http") => endpoint,
            Some("https") => endpoint.tls_config(tls(target)).map_err(TargetError::Tls)?,
            _ => return Err(bad(None)),
        };
        let endpoint = endpoint
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX));
        Ok(Self {
            channel: endpoint.connect_lazy(),
            headers: headers(&target.headers)?,
            resource: resource(source),
            scope: InstrumentationScope {
                name: source.service.to_owned(),
                version: source.version.to_owned(),
                ..InstrumentationScope::default()
            },
        })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        Request::from_parts(self.headers.clone(), Extensions::default(), message)
    }

    /// The part of the program that tells.
    fn scope(&self, signal: Signal) -> InstrumentationScope {
        let mut scope = self.scope.clone();
        if let Some(part) = signal.scope() {
            scope.name = format!("{}.{part}", scope.name);
        }
        scope
    }

    async fn records(&self, signal: Signal, log_records: Vec<LogRecord>) -> Result<i64, Status> {
        let scope = ScopeLogs {
            scope: Some(self.scope(signal)),
            log_records,
            ..ScopeLogs::default()
        };
        let logs = ResourceLogs {
            resource: Some(self.resource.clone()),
            scope_logs: vec![scope],
            ..ResourceLogs::default()
        };
        let request = self.request(ExportLogsServiceRequest {
            resource_logs: vec![logs],
        });
        let mut client = LogsServiceClient::new(self.channel.clone());
        let answer = client.export(request).await?.into_inner();
        let part = answer.partial_success;
        Ok(part.map_or(0, |part| part.rejected_log_records))
    }

    async fn metrics(&self, metrics: Vec<Metric>) -> Result<i64, Status> {
        let scope = ScopeMetrics {
            scope: Some(self.scope.clone()),
            metrics,
            ..ScopeMetrics::default()
        };
        let metrics = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![scope],
            ..ResourceMetrics::default()
        };
        let request = self.request(ExportMetricsServiceRequest {
            resource_metrics: vec![metrics],
        });
        let mut client = MetricsServiceClient::new(self.channel.clone());
        let answer = client.export(request).await?.into_inner();
        let part = answer.partial_success;
        Ok(part.map_or(0, |part| part.rejected_data_points))
    }
}

impl Collector for Grpc {
    async fn take(&self, signal: Signal, batch: &Batch) -> Result<u64, Status> {
        // A batch that is not taken is sent again.
        let rejected = match batch.clone() {
            Batch::Records(records) => self.records(signal, records).await?,
            Batch::Metrics(metrics) => self.metrics(metrics).await?,
        };
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

fn tls(target: &Target) -> ClientTlsConfig {
    let tls = ClientTlsConfig::new();
    match &target.ca {
        Some(ca) => tls.ca_certificate(Certificate::from_pem(ca)),
        None => tls.with_native_roots(),
    }
}

fn headers(given: &[(String, String)]) -> Result<MetadataMap, TargetError> {
    let mut headers = MetadataMap::with_capacity(given.len());
    for (name, value) in given {
        let bad = || TargetError::Header(name.clone());
        let key: MetadataKey<Ascii> = name.parse().map_err(|_| bad())?;
        let mut value: MetadataValue<Ascii> = value.parse().map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn resource(source: &Source) -> Resource {
    let text = |key: &str, text: &str| pair(key.to_owned(), Value::Text(text.to_owned()));
    Resource {
        attributes: vec![
            text("service.name", source.service),
            text("service.version", source.version),
            text("service.instance.id", &source.instance),
            text("host.name", &source.instance),
        ],
        ..Resource::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A channel belongs to a runtime.
    #[tokio::test]
    async fn targets_that_are_none_are_told_and_secrets_are_not() {
        let made = |endpoint: &str, headers: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let target = Target {
                endpoint: endpoint.to_owned(),
                ca: None,
                headers: headers.iter().map(owned).collect(),
            };
            let made = Grpc::new(&target, &Source::default());
            made.map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(
            made("http://127.0.0.1:4317", &[("authorization", "x")]),
            Ok(())
        );
        for endpoint in ["127.0.0.1:4317", "ftp://a:1", "http://", ""] {
            let error = made(endpoint, &[]);
            assert!(
                error.is_err_and(|error| error.contains("is no URL")),
                "{endpoint}"
            );
        }
        for header in [("a b", "secret"), ("a", "secret\n")] {
            let error = made("http://127.0.0.1:4317", &[header]);
            let is_told = |error: String| error.contains("header") && !error.contains("secret");
            assert!(error.is_err_and(is_told), "{header:?}");
        }
    }
}
