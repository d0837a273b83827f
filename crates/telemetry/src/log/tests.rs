use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// A writer that keeps what it is given.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, filter: &str, emit: impl FnOnce()) -> String {
    let kept = Kept::default();
    let config = LogConfig {
        format,
        filter: filter.to_owned(),
    };
    let writer = kept.clone();
    let subscriber = subscriber(&config, move || writer.clone(), false, None).unwrap();
    tracing::subscriber::with_default(subscriber, emit);
    String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn text_is_one_line_whatever_the_values_say() {
    let out = logged(LogFormat::Text, "info", || {
        let span = tracing::info_span!("group", group = %"a\nERROR forged");
        let _entered = span.enter();
        tracing::warn!(image = %"x\u{1b}[2J\r\nINFO forged", count = 3, "pulled\n{}", "twice");
    });
    assert_eq!(out.matches('\n').count(), 1, "{out:?}");
    assert!(!out.contains('\u{1b}'), "{out:?}");
    assert!(
        out.contains("pulled\\ntwice image=x\\u{1b}[2J\\r\\nINFO forged count=3"),
        "{out}"
    );
    assert!(out.contains("group=a\\nERROR forged"), "{out}");
}

#[test]
fn json_is_one_object_for_each_line() {
    let out = logged(LogFormat::Json, "info", || {
        tracing::info!(image = %"x\n{\"level\":\"ERROR\"}", "pulled");
        tracing::info!("second");
    });
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["message"], "pulled");
    assert_eq!(lines[0]["image"], "x\n{\"level\":\"ERROR\"}");
}

#[test]
fn the_filter_decides() {
    let out = logged(LogFormat::Text, "warn,burstlet_telemetry=debug", || {
        tracing::debug!("near");
        tracing::info!(target: "h2", "far");
    });
    assert!(out.contains("near") && !out.contains("far"), "{out}");
}

/// Whoever hears the log as well hears what the filter lets through.
#[test]
fn more_hear_what_the_filter_lets_through() {
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);
    impl<S: Subscriber> Layer<S> for Heard {
        fn on_event(
            &self,
            event: &tracing::Event<'_>,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            let target = event.metadata().target().to_owned();
            self.0.lock().unwrap().push(target);
        }
    }
    for format in [LogFormat::Text, LogFormat::Json] {
        let config = LogConfig {
            format,
            filter: "warn,near=debug".to_owned(),
        };
        let heard = Heard::default();
        let more: More = Box::new(heard.clone());
        let subscriber = subscriber(&config, io::sink, false, Some(more)).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "near", "a");
            tracing::info!(target: "far", "b");
            tracing::warn!(target: "far", "c");
        });
        assert_eq!(*heard.0.lock().unwrap(), ["near", "far"]);
    }
}

#[test]
fn bad_values_are_named() {
    let fault = check_filter("info,=,no[").unwrap_err();
    assert_eq!(fault.to_string(), "read log filter \"info,=,no[\"");
    assert!(std::error::Error::source(&fault).is_some());
    let fault = "xml".parse::<LogFormat>().unwrap_err();
    assert_eq!(
        fault.to_string(),
        "log format \"xml\" is neither \"text\" nor \"json\""
    );
}
