//! The log as it goes to the queue: each event with its fields, and those of the spans around it.
//!
//! What the way to the collector itself logs stays here, or each record would make another.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::queue::Entrance;
use crate::record::{Record, Severity, Value};

/// Crates that are at work when a batch is sent, or their modules.
const OWN_TARGETS: [&str; 6] = [
    "burstlet_otlp",
    "h2",
    "hyper",
    "hyper_util",
    "tonic",
    "tower",
];
/// The field that has an event's words.
const MESSAGE: &str = "message";

/// Puts what is logged in a queue.
#[derive(Debug)]
pub struct LogLayer {
    entrance: Entrance,
    now_ns: fn() -> u64,
}

impl LogLayer {
    /// Puts it here, with the time that this clock says.
    #[must_use]
    pub const fn new(entrance: Entrance, now_ns: fn() -> u64) -> Self {
        Self { entrance, now_ns }
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &tracing::span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if is_own(metadata) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add(outer);
            }
        }
        let target = Value::Text(metadata.target().to_owned());
        fields.attributes.push(("target".to_owned(), target));
        self.entrance.put(Record {
            at_ns: (self.now_ns)(),
            severity: severity(*metadata.level()),
            event: "",
            body: fields.message,
            attributes: fields.attributes,
        });
    }
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    let outermost = metadata.target().split("::").next();
    outermost.is_some_and(|outermost| OWN_TARGETS.contains(&outermost))
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

/// What an event or a span has.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    attributes: Vec<(String, Value)>,
}

impl Fields {
    /// Adds what a span around has, unless something nearer has it too.
    fn add(&mut self, outer: &Self) {
        for (name, value) in &outer.attributes {
            if !self.attributes.iter().any(|(known, _)| known == name) {
                self.attributes.push((name.clone(), value.clone()));
            }
        }
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            (MESSAGE, Value::Text(text)) => self.message = text,
            (name, value) => self.attributes.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Whole(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let whole = i64::try_from(value).map(Value::Whole);
        self.put(
            field,
            whole.unwrap_or_else(|_| Value::Text(value.to_string())),
        );
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::Number(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Flag(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        self.put(field, Value::Text(text));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Mutex;

    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use tonic::Status;
    use tracing_subscriber::layer::SubscriberExt;

    use super::LogLayer;
    use crate::{Batch, Collector, Counts, QUEUE_RECORDS_MAX, Sender, Signal, queue};

    /// Keeps what it is told, as text.
    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Collector for &Kept {
        async fn take(&self, _: Signal, batch: &Batch) -> Result<u64, Status> {
            let Batch::Records(records) = batch else {
                panic!("{batch:?}")
            };
            for record in records {
                let text = |value: Option<Any>| match value {
                    Some(Any::StringValue(text)) => text,
                    other => format!("{other:?}"),
                };
                let body = text(record.body.clone().and_then(|body| body.value));
                let pairs = record.attributes.iter().map(|pair| {
                    let value = pair.value.clone().and_then(|value| value.value);
                    format!(" {}={}", pair.key, text(value))
                });
                let line = format!(
                    "{} {body}{}",
                    record.severity_text,
                    pairs.collect::<String>()
                );
                self.0.lock().unwrap().push(line);
            }
            Ok(0)
        }
    }

    /// What a collector has of what is logged.
    async fn logged(counts: &Counts, log: impl FnOnce()) -> Vec<String> {
        let (entrance, queue) = queue(Signal::Logs, counts.clone());
        let layer = LogLayer::new(entrance, || 7);
        let subscriber = tracing_subscriber::registry().with(layer);
        // With the subscriber goes the queue's entrance, so that it ends.
        tracing::subscriber::with_default(subscriber, log);
        let kept = Kept::default();
        let sender = Sender::new(&kept, Signal::Logs, counts.clone());
        queue.follow(&sender).await;
        kept.0.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_logged_goes_with_what_is_around_it() {
        let counts = Counts::default();
        let lines = logged(&counts, || {
            let group = tracing::info_span!("group", group = "web", step = tracing::field::Empty);
            group.record("step", "pull");
            let _in = group.enter();
            tracing::warn!(target: "agent", step = "start", tries = 3, "it goes {}", "wrong");
            tracing::error!(target: "h2::client", "not told");
        })
        .await;
        let expected =
            "WARN it goes wrong step=start tries=Some(IntValue(3)) group=web target=agent";
        assert_eq!(lines, [expected]);
        assert_eq!(
            (counts.sent(Signal::Logs), counts.dropped(Signal::Logs)),
            (1, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_room_is_counted() {
        let counts = Counts::default();
        let lines = logged(&counts, || {
            for number in 0..QUEUE_RECORDS_MAX + 5 {
                tracing::info!(target: "agent", number, "one more");
            }
        })
        .await;
        assert_eq!(lines.len(), QUEUE_RECORDS_MAX);
        let signal = Signal::Logs;
        let counted = (counts.sent(signal), counts.dropped(signal));
        assert_eq!(counted, (QUEUE_RECORDS_MAX as u64, 5));
    }
}
