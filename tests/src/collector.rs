//! A collector that takes OTLP by gRPC, and that can be cut off and come back.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, number_data_point};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A collector. Its port is its own as long as it lives, whether somebody serves there or not.
pub struct Collector {
    runtime: Runtime,
    listener: TcpListener,
    heard: Arc<Mutex<Heard>>,
    server: Option<JoinHandle<()>>,
}

/// What it was told.
#[derive(Default)]
pub struct Heard {
    /// Lines of the log and events, as often as they were told.
    pub records: Vec<Told>,
    /// The latest number of each series: a metric's name with its labels' values.
    pub numbers: BTreeMap<String, f64>,
    /// The last value of the header `x-tenant`.
    pub tenant: Option<String>,
}

/// A line of the log, or an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The part of the program that told.
    pub scope: String,
    /// The event's name; empty for a line of the log.
    pub event: String,
    /// Its words.
    pub body: String,
    /// Its facts.
    pub facts: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Service(Arc<Mutex<Heard>>);

impl Collector {
    /// Starts one on a port of its own.
    #[must_use]
    pub fn start() -> Self {
        let mut collector = Self {
            runtime: Runtime::new().unwrap(),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            heard: Arc::default(),
            server: None,
        };
        collector.listener.set_nonblocking(true).unwrap();
        collector.restore();
        collector
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// Ends it: nobody answers at its port, connections that are open end.
    pub fn cut(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = self.runtime.block_on(server);
        }
    }

    /// Begins again, with what it has heard.
    pub fn restore(&mut self) {
        let service = Service(Arc::clone(&self.heard));
        let listener = self.listener.try_clone().unwrap();
        let _runtime = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let server = Server::builder()
            .add_service(LogsServiceServer::new(service.clone()))
            .add_service(MetricsServiceServer::new(service))
            .serve_with_incoming(TcpIncoming::from(listener));
        self.server = Some(self.runtime.spawn(async { server.await.unwrap() }));
    }

    /// What it was told so far.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// The events of one kind by their ids. Whoever is told twice must be told the same.
    ///
    /// # Panics
    /// He was not.
    #[must_use]
    pub fn events(&self, name: &str) -> BTreeMap<String, Told> {
        let mut events = BTreeMap::new();
        for told in self.records.iter().filter(|told| told.event == name) {
            let known = events.insert(told.facts["log.record.uid"].clone(), told.clone());
            assert!(known.is_none_or(|known| known == *told), "{told:?}");
        }
        events
    }

    fn metric(&mut self, metric: Metric) {
        let points = match metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points,
            Some(Data::Sum(sum)) => sum.data_points,
            _ => Vec::new(),
        };
        for NumberDataPoint {
            attributes, value, ..
        } in points
        {
            let labels = facts(attributes)
                .into_values()
                .map(|value| format!(" {value}"));
            let series = metric.name.clone() + &labels.collect::<String>();
            if let Some(number_data_point::Value::AsDouble(number)) = value {
                self.numbers.insert(series, number);
            }
        }
    }
}

impl Service {
    fn heard<T>(&self, request: &Request<T>) -> MutexGuard<'_, Heard> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = request.metadata().get("x-tenant");
        heard.tenant = tenant.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        heard
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut heard = self.heard(&request);
        let logs = request.into_inner().resource_logs.into_iter();
        let scopes = logs.flat_map(|logs| logs.scope_logs);
        let records = scopes.flat_map(|logs| {
            let scope = logs.scope.unwrap_or_default().name;
            let records = logs.log_records.into_iter();
            records.map(move |record| (scope.clone(), record))
        });
        heard.records.extend(records.map(|(scope, record)| {
            Told {
                scope,
                event: record.event_name,
                body: record
                    .body
                    .and_then(|body| body.value)
                    .map(text)
                    .unwrap_or_default(),
                facts: facts(record.attributes),
            }
        }));
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut heard = self.heard(&request);
        let metrics = request.into_inner().resource_metrics.into_iter();
        let scopes = metrics.flat_map(|metrics| metrics.scope_metrics);
        let metrics = scopes.flat_map(|scope| scope.metrics);
        metrics.for_each(|metric| heard.metric(metric));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn facts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let pairs = attributes.into_iter();
    let pairs = pairs.map(|pair| (pair.key, pair.value.and_then(|value| value.value)));
    pairs
        .map(|(key, value)| (key, value.map(text).unwrap_or_default()))
        .collect()
}

fn text(value: Value) -> String {
    match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}
