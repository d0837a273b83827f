//! What the operator configured of billing: price books for the ledger, and the page of bills for
//! Prometheus.

use std::sync::Arc;

use anyhow::Context;
use burstlet_metering::Meter;
use burstlet_metering::book::Book;
use burstlet_metering::view::Format;
use burstlet_telemetry::admin::{Page, Rendered};

use crate::config::Billing;
use crate::machine;

/// The route of the page.
const PATH: &str = "/metrics/billing";

/// Reads the configured price books.
///
/// # Errors
/// One cannot be read, or is none.
pub(crate) fn books(config: &Billing) -> anyhow::Result<Vec<Book>> {
    let read = |path: &crate::config::AbsolutePath| {
        let place = || format!("the price book {}", path.display());
        let text = std::fs::read_to_string(&**path).with_context(place)?;
        Book::parse(&text).with_context(place)
    };
    config.price_books.iter().map(read).collect()
}

/// The page that Prometheus scrapes.
pub(crate) fn page(meter: Meter) -> Page {
    let render = move |accept: Option<&str>| {
        let format = Format::negotiate(accept);
        match meter.page(format, machine::now()) {
            Ok(body) => Some(Rendered {
                content_type: format.content_type(),
                body,
            }),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot show the bills to Prometheus");
                None
            }
        }
    };
    Page {
        path: PATH,
        render: Arc::new(render),
    }
}
